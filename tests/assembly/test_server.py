"""A whole server: start, stop, restart with the same data, drain."""

import asyncio
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from certificates import expired
from cryptography.hazmat.primitives import serialization
from eventually import aeventually, eventually
from quality.test_imports import python

import pilothouse
from pilothouse import pki
from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.storage.interface import Unavailable
from pilothouse.testing.ports import free_ports

SOURCE = str(pathlib.Path(pilothouse.__file__).parents[1])
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


def arguments(directory: Any, port: Any, *more: Any) -> list[Any]:
    return [
        f"--data-dir={directory}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--write-kubeconfig={directory}/admin.kubeconfig",
        *more,
    ]


class Running:
    """A server in this process, on a socket of its own."""

    def __init__(self, directory: Any, *flags: Any) -> None:
        self.directory, self.flags = pathlib.Path(directory), flags

    async def __aenter__(self) -> Any:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        config = options.parse(arguments(self.directory, self.port, *self.flags))
        self.server = Server(config, sockets=[sock])
        try:
            await self.server.start()
        except BaseException:
            sock.close()
            raise
        self.tls = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        self.tls.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.server.stop(drain=1.0)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(
            request, f"https://127.0.0.1:{self.port}{path}", self.tls, method, body
        )

    async def watch(self, path: str) -> tuple[Any, Any]:
        """A watch over a plain connection: its reader, behind the head."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        return reader, writer


def request(url: str, tls: Any, method: str = "GET", body: Any = None) -> tuple[Any, Any]:
    """Status and decoded body."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, context=tls, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text.decode()
    except urllib.error.HTTPError as err:
        with err:
            text = err.read()
            return err.code, json.loads(text) if text.startswith(b"{") else text.decode()


def test_a_server_goes_on_where_it_was(tmp_path: pathlib.Path) -> None:
    async def first() -> tuple[Any, Any, Any]:
        async with Running(tmp_path) as running:
            assert await running.call("GET", "/readyz") == (200, "ok")
            status, made = await running.call(
                "POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}
            )
            assert status == 201
            service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}
            _, service = await running.call("POST", SERVICES, service)
            _, system = await running.call("GET", "/api/v1/namespaces/kube-system")
            await running.call("POST", CONFIG_MAPS, {"metadata": {"name": "b"}})
            return made, service, system

    async def second(made: Any, service: Any, system: Any) -> None:
        async with Running(tmp_path) as running:
            assert await running.call("GET", f"{CONFIG_MAPS}/a") == (200, made)
            assert await running.call("GET", "/api/v1/namespaces/kube-system") == (200, system)
            taken: dict[str, Any] = {"metadata": {"name": "t"}, "spec": {"ports": [{"port": 1}]}}
            taken["spec"]["clusterIP"] = service["spec"]["clusterIP"]
            status, answer = await running.call("POST", SERVICES, taken)
            assert status == 422 and "already allocated" in answer["message"]
            version = made["metadata"]["resourceVersion"]
            reader, writer = await running.watch(
                f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Db&resourceVersion={version}"
            )
            await reader.readline()
            event = json.loads(await reader.readline())
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "b"), "the watch resumes"
            writer.close()

    found = asyncio.run(first())
    ca = (tmp_path / "ca.crt").read_bytes()
    assert (tmp_path / "admin.kubeconfig").stat().st_mode & 0o077 == 0
    asyncio.run(second(*found))
    assert (tmp_path / "ca.crt").read_bytes() == ca


def test_an_expired_certificate_is_answered_with_a_401_and_a_token_beside_it_counts(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "tokens.csv").write_text('secret,jane,1,"system:masters"\n')

    async def body() -> None:
        async with Running(tmp_path, f"--token-auth-file={tmp_path}/tokens.csv") as running:
            authority = pki.CertificateAuthority.load(tmp_path / "ca.crt", tmp_path / "ca.key")
            old = expired(authority.certificate, authority.key, "jane", "system:masters")
            (tmp_path / "old.pem").write_bytes(old)
            running.tls.load_cert_chain(tmp_path / "old.pem")
            status, answer = await running.call("GET", "/api/v1/nodes")
            assert (status, answer["reason"], answer["message"]) == (401, "Unauthorized", "Unauthorized")
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=running.tls)
            writer.write(b"GET /api/v1/nodes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(body())


def test_a_stop_ends_watches_and_gives_everything_back(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path, "--storage-backend=memory") as running:
            reader, writer = await running.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion=0")
            started = time.monotonic()
        rest = await asyncio.wait_for(reader.read(), 5)
        assert rest.endswith(b"0\r\n\r\n"), "the body ends as it should"
        assert time.monotonic() - started < 3
        writer.close()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", running.port)
        with pytest.raises(Unavailable):
            await running.server.cluster.registry.storage.get("/registry/x")
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    asyncio.run(main())


def test_a_directory_belongs_to_one_server(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path) as running:
            with pytest.raises(Unavailable):
                async with Running(tmp_path):
                    pass
            assert await running.call("GET", "/readyz") == (200, "ok")

    asyncio.run(main())


def test_controllers_may_be_left_out(tmp_path: pathlib.Path) -> None:
    async def found(running: Any, path: str) -> bool:
        return (await running.call("GET", path))[0] == 200

    async def main(*flags: Any) -> None:
        async with Running(tmp_path, "--storage-backend=memory", *flags) as running:
            await running.call("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
            account = "/api/v1/namespaces/n/serviceaccounts/default"
            if not flags:
                await aeventually(lambda: found(running, account), "the account of a new namespace")
                return
            assert (await running.call("POST", DEFINITIONS, WIDGETS))[0] == 201
            served = "/apis/example.com/v1/widgets"
            await aeventually(
                lambda: found(running, served), "what a controller does that cannot be left out"
            )
            assert not await found(running, account)

    asyncio.run(main())
    asyncio.run(main("--controllers=-*"))


def test_documents_about_tokens(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path, "--storage-backend=memory") as running:
            _, document = await running.call("GET", "/.well-known/openid-configuration")
            assert document["issuer"] == running.server.host.config.authentication.service_accounts.issuers[0]
            status, keys = await running.call("GET", "/openid/v1/jwks")
            assert status == 200 and keys["keys"][0]["use"] == "sig"

    asyncio.run(main())


def serve(directory: Any, port: Any, *more: Any) -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", "pilothouse", "serve", *arguments(directory, port, *more)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_ready(process: Any, directory: Any, port: Any) -> Any:
    def ready() -> Any:
        assert process.poll() is None, process.stdout.read()
        if not (directory / "admin.kubeconfig").exists():
            return None
        tls = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        tls.load_cert_chain(directory / "admin.crt", directory / "admin.key")
        try:
            return tls if request(f"https://127.0.0.1:{port}/readyz", tls) == (200, "ok") else None
        except OSError:
            return None

    return eventually(ready, "readyz", 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_drains(tmp_path: pathlib.Path, number: Any) -> None:
    """An open watch ends cleanly, and the process is gone with status 0."""
    port = free_ports(1)[0]
    process = serve(tmp_path, port, "--storage-backend=memory")
    try:
        tls = wait_ready(process, tmp_path, port)
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=10)
        connection.request("GET", CONFIG_MAPS + "?watch=1")
        answer = connection.getresponse()
        assert b"kube-root-ca.crt" in answer.readline()
        process.send_signal(number)
        answer.read()  # raises IncompleteRead when the connection is cut
        connection.close()
        assert process.wait(10) == 0, process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_that_cannot_start_says_why(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.crt").write_text("no certificate")
    flags = [f"--tls-cert-file={tmp_path}/broken.crt", f"--tls-private-key-file={tmp_path}/broken.crt"]
    process = serve(tmp_path, free_ports(1)[0], "--storage-backend=memory", *flags)
    output, _ = process.communicate(timeout=20)
    assert process.returncode not in (0, None) and b"Traceback" not in output and output.strip()


def test_a_front_proxy_may_have_a_ca_of_its_own(tmp_path: pathlib.Path) -> None:
    authority = pki.CertificateAuthority.create("front")
    ca = authority.certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "front-ca.crt").write_bytes(ca)
    cert, key = authority.issue("front", ["system:masters"], server=False)
    (tmp_path / "front.pem").write_bytes(cert + key)

    async def main() -> Any:
        flags = (
            f"--requestheader-client-ca-file={tmp_path}/front-ca.crt",
            "--requestheader-username-headers=X-Remote-User",
        )
        async with Running(tmp_path / "data", *flags) as running:
            tls = ssl.create_default_context(cafile=str(tmp_path / "data/ca.crt"))
            tls.load_cert_chain(tmp_path / "front.pem")
            statuses = []
            for headers in ({"X-Remote-User": "alice"}, {}):
                connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=tls, timeout=10)
                await asyncio.to_thread(connection.request, "GET", CONFIG_MAPS, None, headers)
                statuses.append((await asyncio.to_thread(connection.getresponse)).status)
                connection.close()
            return statuses

    # known, but allowed nothing; and by itself the proxy is nobody, whatever its certificate says
    assert asyncio.run(main()) == [403, 401]


def test_always_allow_lets_nobody_in_without_a_name(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        async with Running(tmp_path, "--authorization-mode=AlwaysAllow") as running:
            nobody = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
            url = f"https://127.0.0.1:{running.port}/api/v1/secrets"
            for headers in ({}, {"Authorization": "Basic YTpi"}):
                asked = urllib.request.Request(url, headers=headers)
                with pytest.raises(urllib.error.HTTPError) as caught:
                    await asyncio.to_thread(urllib.request.urlopen, asked, context=nobody, timeout=10)
                assert caught.value.code == 401
                caught.value.close()
            assert (await running.call("GET", "/api/v1/secrets"))[0] == 200

    asyncio.run(go())
    texts = [record.getMessage() for record in caplog.records]
    assert any(text.startswith("AnonymousAuth is not allowed with the AlwaysAllow") for text in texts)


def test_a_file_may_let_nobody_in_without_a_name(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "authentication.json"
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    file.write_text(json.dumps({**head, "anonymous": {"enabled": False}}))

    async def go() -> None:
        async with Running(tmp_path, f"--authentication-config={file}") as running:
            nobody = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
            url = f"https://127.0.0.1:{running.port}/livez"
            with pytest.raises(urllib.error.HTTPError) as caught:
                await asyncio.to_thread(urllib.request.urlopen, url, context=nobody, timeout=10)
            assert caught.value.code == 401
            caught.value.close()

    asyncio.run(go())
    assert "AnonymousAuth" not in caplog.text


def test_the_log_says_that_kubelets_are_restricted(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def go(*flags: Any) -> None:
        async with Running(tmp_path, *flags):
            pass

    for flags, times in (
        ((), 1),
        (("--authorization-mode=RBAC",), 0),
        (("--disable-admission-plugins=NodeRestriction",), 0),
        (("--enable-admission-plugins=NodeRestriction",), 0),
    ):
        caplog.clear()
        with caplog.at_level("INFO"):
            asyncio.run(go(*flags))
        assert sum("NodeRestriction is on" in r.getMessage() for r in caplog.records) == times


def test_a_webhook_that_refuses_everything_does_not_lock_a_server_out(tmp_path: pathlib.Path) -> None:
    """The server starts again, and the configuration can be removed."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    every = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    hook = {
        "name": "a.b.c",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [every],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }

    async def go() -> None:
        async with Running(tmp_path) as running:
            assert (await running.call("POST", path, {"metadata": {"name": "q"}, "webhooks": [hook]}))[
                0
            ] == 201
        async with Running(tmp_path) as running:
            maps = "/api/v1/namespaces/default/configmaps"
            status, body = await running.call("POST", maps, {"metadata": {"name": "a"}})
            assert status == 500 and body["message"].endswith(
                "dial tcp 127.0.0.1:1: connect: connection refused"
            )
            assert (await running.call("DELETE", f"{path}/q"))[0] == 200
            assert (await running.call("POST", maps, {"metadata": {"name": "a"}}))[0] == 201

    asyncio.run(go())


STARTED = """
import asyncio, socket, sys
from pilothouse.assembly.server import Server
from pilothouse.configuration import options

async def main():
    server = Server(options.parse(sys.argv[1:]), sockets=[socket.create_server(("127.0.0.1", 0))])
    await server.start()
    print(*sys.modules)
    await server.stop()

asyncio.run(main())
"""
MODULES = 550
"""Most modules of ours that a start imports: each takes a tenth of a millisecond at the least."""


def test_a_start_imports_what_it_needs(tmp_path: pathlib.Path) -> None:
    """The first makes keys, the next ones do not read them."""
    flags = [f"--data-dir={tmp_path}", "--storage-backend=memory", "--advertise-address=127.0.0.1"]
    first, second = (set(python("-c", STARTED, *flags).stdout.split()) for _ in range(2))
    assert "cryptography.x509" in first
    late = ("cryptography", "difflib", "email", "joserfc", "re2", "yaml", "pilothouse.api.cel")
    assert [name for name in second if name.startswith(late)] == []
    rules = {name for name in second if name.startswith("pilothouse.api.validate.")}
    assert not rules & {f"pilothouse.api.validate.{name}" for name in ("endpoints", "rbac", "discovery")}
    assert len([name for name in second if name.startswith("pilothouse")]) <= MODULES
