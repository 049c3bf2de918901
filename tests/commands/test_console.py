"""`pilothouse console`: the proxy passes on what the secret address gets, by the rights of the kubeconfig."""

import http.client
import json
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from pilothouse import cli
from pilothouse.testing.server import InProcess

MAPS = "api/v1/namespaces/default/configmaps"
REVIEW = "apis/authentication.k8s.io/v1/selfsubjectreviews"


class Answer(NamedTuple):
    """The answer to a request: its status, its headers and its text."""

    status: int
    headers: dict[str, str]
    text: str


class Proxy(NamedTuple):
    """A command that runs, by the port and the secret that it has told."""

    port: int
    secret: str

    def ask(self, path: str, method: str = "GET", body: str = "", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Answer(answer.status, dict(answer.getheaders()), text)

    def own(self, path: str, method: str = "GET", body: str = "", **headers: str) -> Answer:
        return self.ask(f"/{self.secret}/{path}", method, body, **headers)


@contextmanager
def proxy(kubeconfig: pathlib.Path) -> Iterator[Proxy]:
    """The command, which ends without an error when it is interrupted."""
    words = [sys.executable, "-m", "pilothouse", "console", f"--kubeconfig={kubeconfig}", "--open=false"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            first, address = process.stdout.readline(), process.stdout.readline()
            assert str(kubeconfig) in first, first
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{22})/console/\n", address)
            assert found, address
            yield Proxy(int(found[1]), found[2])
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--console"]) as server:
        yield server


@pytest.fixture(scope="module")
def running(server: InProcess) -> Iterator[Proxy]:
    with proxy(server.kubeconfig) as found:
        yield found


def test_requests_have_the_rights_of_the_kubeconfig(running: Proxy) -> None:
    """The tokens, cookies and origin of the browser do not go on."""
    page = running.own("console/")
    assert page.status == 200 and "<title>Pilothouse" in page.text
    foreign = {
        "Origin": "https://evil.example",
        "Sec_Fetch_Site": "cross-site",
        "Authorization": "Bearer none",
    }
    review = running.own(REVIEW, "POST", "{}", Content_Type="application/json", Cookie="a=b", **foreign)
    assert json.loads(review.text)["status"]["userInfo"]["username"] == "kubernetes-admin", review
    made = running.own(MAPS, "POST", '{"metadata": {"name": "a"}}', Content_Type="application/json")
    assert made.status == 201
    assert [one["metadata"]["name"] for one in json.loads(running.own(MAPS).text)["items"]] == [
        "a",
        "kube-root-ca.crt",
    ]
    some = running.own(f"{MAPS}?fieldSelector=metadata.name%3Da&limit=1")
    assert [one["metadata"]["name"] for one in json.loads(some.text)["items"]] == ["a"]
    assert running.own(f"{MAPS}/none").status == 404


def test_who_does_not_know_the_secret_gets_nothing(running: Proxy) -> None:
    for path in (
        "/console/",
        f"/{MAPS}",
        "/",
        f"/{running.secret[:-1]}/{MAPS}",
        f"/{running.secret}x/{MAPS}",
    ):
        answer = running.ask(path)
        assert answer.status == 404 and "kube-root-ca" not in answer.text, path


def test_answers_of_others_run_no_scripts(running: Proxy) -> None:
    """A page of a pod or of an aggregated server could read the secret."""
    own, other = running.own("console/main.js"), running.own("healthz")
    assert other.headers["Content-Security-Policy"] == "sandbox"
    assert "script-src 'self'" in own.headers["Content-Security-Policy"]
    for path in ("console/../healthz", "console/%2e%2e/healthz", "console/x/../../healthz"):
        assert running.own(path).headers["Content-Security-Policy"] == "sandbox"


def test_a_watch_comes_as_it_goes_on(running: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    connection.request("GET", f"/{running.secret}/{MAPS}?watch=1&fieldSelector=metadata.name%3Dlate")
    answer = connection.getresponse()
    running.own(MAPS, "POST", '{"metadata": {"name": "late"}}', Content_Type="application/json")
    assert json.loads(answer.readline())["object"]["metadata"]["name"] == "late"
    connection.close()


def test_a_port_that_is_taken(server: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["console", f"--kubeconfig={server.kubeconfig}", f"--port={server.port}", "--open=false"]
    assert cli.main(words) == 1
    assert capsys.readouterr().err == (
        f"Error: 127.0.0.1:{server.port}: address already in use: choose another --port\n"
    )


def test_a_server_without_a_console(capsys: pytest.CaptureFixture[str]) -> None:
    with InProcess(["--console=false"]) as server:
        assert cli.main(["console", f"--kubeconfig={server.kubeconfig}", "--open=false"]) == 1
    assert "has no console: it was started without --console=true" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [(["x"], "does not take any arguments"), (["--port=70000"], "--port must be between 0 and 65535")],
)
def test_bad_command_lines(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["console", *words]) == 2
    assert error in capsys.readouterr().err
