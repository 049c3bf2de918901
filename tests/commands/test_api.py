"""The client of commands."""

import http.server
import pathlib
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from certificates import expired

from pilothouse.commands.api import Api, ApiError
from pilothouse.pki import CertificateAuthority
from pilothouse.testing.server import InProcess


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess() as started:
        yield started


def changed(running: InProcess, directory: pathlib.Path, **cluster: str) -> Api:
    config = yaml.safe_load(running.kubeconfig.read_text())
    config["clusters"][0]["cluster"] |= {name.replace("_", "-"): value for name, value in cluster.items()}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return Api(path)


def test_requests_and_refusals(server: InProcess) -> None:
    api = Api(server.kubeconfig)
    body = {"metadata": {"name": "a"}}
    api.ensure("/api/v1/namespaces/default/configmaps", body)
    api.ensure("/api/v1/namespaces/default/configmaps", body)
    assert api.call("GET", "/api/v1/namespaces/default/configmaps/a")["metadata"]["name"] == "a"
    with pytest.raises(ApiError, match='configmaps "b" not found') as caught:
        api.call("GET", "/api/v1/namespaces/default/configmaps/b")
    assert caught.value.status == 404
    with pytest.raises(ApiError, match="Invalid"):
        api.ensure("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "B"}})


def test_servers_that_are_not_trusted(server: InProcess, tmp_path: pathlib.Path) -> None:
    assert changed(server, tmp_path, tls_server_name="kubernetes").call("GET", "/version")
    with pytest.raises(ApiError, match="Hostname mismatch"):
        changed(server, tmp_path, tls_server_name="other").call("GET", "/version")
    with pytest.raises(ValueError, match="is no https URL"):
        changed(server, tmp_path, server="http://127.0.0.1:1")
    with pytest.raises(ApiError, match="refused"):
        changed(server, tmp_path, server="https://127.0.0.1:1").call("GET", "/version")
    below = changed(server, tmp_path, server=f"{server.url}/api/").call("GET", "/v1")
    assert below["kind"] == "APIResourceList"


class Page(http.server.BaseHTTPRequestHandler):
    """Another program, which answers each request with a page of HTML."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def another_program(tls: ssl.SSLContext | None) -> Iterator[str]:
    """The host and the port of a web server."""
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as program:
        if tls is not None:
            program.socket = tls.wrap_socket(program.socket, server_side=True)
        thread = threading.Thread(target=program.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{program.server_port}"
        program.shutdown()
        thread.join()


def test_programs_that_are_no_api_server(server: InProcess, tmp_path: pathlib.Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server.directory / "apiserver.crt", server.directory / "apiserver.key")
    with another_program(tls) as where:
        api = changed(server, tmp_path, server=f"https://{where}")
        with pytest.raises(ApiError) as caught:
            api.call("GET", "/version")
    said = f"https://{where} is no API server: it answers 404 with a page"
    assert (str(caught.value), caught.value.status) == (said, 0)
    with another_program(None) as where:
        api = changed(server, tmp_path, server=f"https://{where}")
        with pytest.raises(ApiError) as caught:
            api.call("GET", "/version")
    said = f"GET https://{where}/version: what listens there does not speak TLS: it is no API server"
    assert str(caught.value) == said


def user(running: InProcess, directory: pathlib.Path, **members: Any) -> Api:
    """The API for a user with other credentials."""
    config = yaml.safe_load(running.kubeconfig.read_text())
    config["users"][0]["user"] = {name.replace("_", "-"): value for name, value in members.items()}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return Api(path)


def test_credentials_that_are_not_accepted(server: InProcess, tmp_path: pathlib.Path) -> None:
    why = f"Unauthorized: {server.url} does not accept the credentials of {tmp_path}/kubeconfig"
    with pytest.raises(ApiError) as caught:
        user(server, tmp_path, token="nope").call("GET", "/api/v1/pods")
    assert (str(caught.value), caught.value.status) == (why, 401)
    ca = CertificateAuthority.load(server.directory / "ca.crt", server.directory / "ca.key")
    assert ca is not None
    (tmp_path / "client.pem").write_bytes(expired(ca.certificate, ca.key, "jane"))
    api = user(server, tmp_path, client_certificate="client.pem", client_key="client.pem")
    with pytest.raises(ApiError) as caught:
        api.call("GET", "/api/v1/pods")
    assert re.fullmatch(
        rf"{re.escape(why)}, its client certificate has expired on [-0-9]+ [:0-9]+ UTC", str(caught.value)
    )
    for plugin in ("exec", "auth-provider"):
        with pytest.raises(
            ValueError, match=rf"gets credentials by a program \({plugin}\), which only kubectl"
        ):
            user(server, tmp_path, **{plugin: {"command": "aws"}})


def test_a_connection_that_is_held(server: InProcess) -> None:
    api = Api(server.kubeconfig)
    held = api.held()
    opened = []
    for _ in range(3):
        assert held.call("GET", "/version")
        opened.append(held._connection)
    with pytest.raises(ApiError, match="page not found"):
        held.call("GET", "/nope")
    assert opened[0] is not None and opened[0] is opened[1] is opened[2] is held._connection
    assert api._connection is None and held.held()._connection is None
    held.close()
    assert held._connection is None and opened[0].sock is None
    assert held.call("GET", "/version") and held._connection is not opened[0]
    held.close()


def test_settings_that_were_read_before(server: InProcess) -> None:
    config = Api(server.kubeconfig).config
    assert Api(config).call("GET", "/api/v1/namespaces/default")["kind"] == "Namespace"
    with pytest.raises(ValueError, match=r"^the server 'http://a' is no https URL$"):
        Api(config._replace(server="http://a"))


def test_another_server_of_a_logical_cluster(server: InProcess, tmp_path: pathlib.Path) -> None:
    api = changed(server, tmp_path, server=f"{server.url}/clusters/a")
    assert api.other("10.0.0.1", 6443).config.server == "https://10.0.0.1:6443/clusters/a"
    assert api.other("::1", 6443).address == ("::1", 6443)
