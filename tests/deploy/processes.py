"""Servers that are started by the command lines of what deploys them."""

import contextlib
import json
import pathlib
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence

from eventually import eventually

COMMANDS = {"kube-apiserver": "kube_apiserver", "pilothouse": "main"}
"""The programs that the package installs, and their functions in pilothouse.cli."""


@contextlib.contextmanager
def running(
    command: Sequence[str], directory: pathlib.Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of the package in a folder; at the end it is told to stop, and must end well."""
    program, *arguments = command
    code = f"import sys; from pilothouse import cli; sys.exit(cli.{COMMANDS[program]}(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=directory, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        status = process.wait(30)
    assert status == 0


def get(url: str, trust: pathlib.Path, user: pathlib.Path) -> bytes:
    """A server's answer to the client whose certificate and key are USER.crt and USER.key."""
    context = ssl.create_default_context(cafile=str(trust))
    context.load_cert_chain(user.with_suffix(".crt"), user.with_suffix(".key"))
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        body: bytes = answer.read()
    return body


def wait_for_namespaces(
    process: subprocess.Popen[bytes], port: int, trust: pathlib.Path, user: pathlib.Path
) -> list[str]:
    """The names of the first namespaces, once the server answers."""

    def names() -> list[str]:
        assert process.poll() is None, "the server ended"
        try:
            body = get(f"https://127.0.0.1:{port}/api/v1/namespaces", trust, user)
        except (urllib.error.URLError, FileNotFoundError):
            return []
        return [item["metadata"]["name"] for item in json.loads(body)["items"]]

    return eventually(names, "an answer of the server", 30)
