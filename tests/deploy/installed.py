"""Tries the Pilothouse that is installed beside this Python: `python tests/deploy/installed.py`.

The server has to serve what comes with the package (schemas, descriptions, the console, first objects); the
time that it needed to get ready is printed. Nothing but the standard library is used.
"""

import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request

SECONDS = 30.0
NODES = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
POD = "io.k8s.api.core.v1.Pod"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def get(url: str, directory: pathlib.Path) -> bytes:
    """The server's answer to its administrator."""
    context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        body: bytes = answer.read()
    return body


def wait(process: "subprocess.Popen[bytes]", url: str, directory: pathlib.Path) -> None:
    """Wait until the server is ready. SystemExit when it ends, TimeoutError when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with status {process.returncode}")
        try:
            get(f"{url}/readyz", directory)
            return
        except (urllib.error.URLError, FileNotFoundError):
            time.sleep(0.01)
    raise TimeoutError("the server did not become ready")


def check(url: str, directory: pathlib.Path) -> None:
    """AssertionError when a part of the package is missing."""
    schemas = json.loads(get(f"{url}/openapi/v3/api/v1", directory))["components"]["schemas"]
    assert schemas[POD]["description"].startswith("Pod is"), "no descriptions"
    assert json.loads(get(url + NODES, directory))["rules"], "no first objects"
    assert b"<html" in get(f"{url}/console/", directory), "no console"


def main() -> None:
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    program = pathlib.Path(sysconfig.get_path("scripts")) / "pilothouse"
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--data-dir={folder}", f"--secure-port={port}", "--bind-address=127.0.0.1"]
        start = time.monotonic()
        process = subprocess.Popen([program, "serve", *flags], env=os.environ, stderr=subprocess.DEVNULL)
        try:
            wait(process, url, pathlib.Path(folder))
            print(f"ready after {time.monotonic() - start:.2f} s, {sys.version.split()[0]}")
            check(url, pathlib.Path(folder))
        finally:
            process.terminate()
            status = process.wait(SECONDS)
    if status != 0:
        raise SystemExit(f"the server ended with status {status}")


if __name__ == "__main__":
    main()
