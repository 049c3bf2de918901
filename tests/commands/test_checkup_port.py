"""The check of `pilothouse doctor` that looks at who holds the port."""

import os
import pathlib
import socket
import threading

from pilothouse.commands.checkup_port import port
from pilothouse.commands.findings import Level
from pilothouse.configuration import options
from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import InProcess


def found(directory: pathlib.Path, number: int, *more: str) -> tuple[Level, str]:
    flags = [f"--data-dir={directory}", "--bind-address=127.0.0.1", f"--secure-port={number}", *more]
    (finding,) = port(options.parse(flags))
    return finding.level, finding.text


def us() -> str:
    return f" ({pathlib.Path('/proc/self/comm').read_text().strip()}, pid {os.getpid()})"


def test_a_free_port(tmp_path: pathlib.Path) -> None:
    [free] = free_ports(1)
    assert found(tmp_path, free) == (Level.OK, f"port {free} is free")


def test_another_program(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(5)
        number = taken.getsockname()[1]

        def refuse() -> None:
            taken.accept()[0].close()

        threading.Thread(target=refuse, daemon=True).start()
        assert found(tmp_path, number) == (
            Level.ERROR,
            f"listen tcp 127.0.0.1:{number}: bind: address already in use, and what listens there{us()} is no"
            " API server",
        )


def test_an_address_of_another_host(tmp_path: pathlib.Path) -> None:
    assert found(tmp_path, 6443, "--bind-address=192.0.2.1") == (
        Level.ERROR,
        "listen tcp 192.0.2.1:6443: bind: cannot assign requested address",
    )


def test_the_server_of_the_flags_and_another_one(tmp_path: pathlib.Path) -> None:
    with InProcess() as server:
        assert found(server.directory, server.port) == (
            Level.OK,
            f"the server of these flags serves at https://127.0.0.1:{server.port}{us()}, and is ready",
        )
        for certificate in ((), cert_flags(server.directory, "admin")):
            level, text = found(tmp_path, server.port, *certificate)
            assert level is Level.ERROR
            assert text.startswith(f"another server serves at https://127.0.0.1:{server.port}{us()}, by a")


def test_a_server_on_the_loopback_alone(tmp_path: pathlib.Path) -> None:
    """The flags do not say so: they stand for all addresses."""
    with InProcess() as server:
        flags = [f"--data-dir={server.directory}", f"--secure-port={server.port}"]
        (finding,) = port(options.parse(flags))
        where = f"https://127.0.0.1:{server.port}{us()}"
        assert (finding.level, finding.text) == (
            Level.OK,
            f"the server of these flags serves at {where}, and is ready",
        )


def cert_flags(directory: pathlib.Path, name: str) -> tuple[str, ...]:
    return (f"--tls-cert-file={directory / name}.crt", f"--tls-private-key-file={directory / name}.key")


def test_a_server_that_tells_strangers_nothing(tmp_path: pathlib.Path) -> None:
    with InProcess(["--anonymous-auth=false"]) as server:
        level, text = found(server.directory, server.port)
        assert level is Level.OK and text.startswith("the server of these flags serves")
