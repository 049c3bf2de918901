import contextlib
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from pilothouse.testing.ports import ATTEMPTS, EndedError, check, free_ports, wait_or_move


def test_ports_are_free_and_given_once() -> None:
    ports = free_ports(5)
    assert not set(ports) & set(free_ports(5))
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))


def test_workers_of_a_test_run_draw_from_different_ports(tmp_path: pathlib.Path) -> None:
    program = "from pilothouse.testing.ports import free_ports; print(*free_ports(300))"
    given = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTEST_XDIST_WORKER": worker},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for worker in ("gw0", "gw1")
    ]
    assert not set(given[0]) & set(given[1])


def test_no_client_is_given_one_of_them() -> None:
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port < low for port in free_ports(20)) or low <= 11_000


@pytest.mark.parametrize(("said", "taken"), [("bind: Address already in use", True), ("no such flag", False)])
def test_a_process_that_ended_is_told_of(tmp_path: pathlib.Path, said: str, taken: bool) -> None:
    log = tmp_path / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen([sys.executable, "-c", f"print({said!r})"], stdout=out)
        process.wait()
    with pytest.raises(EndedError, match=said) as caught:
        check(process, log)
    assert caught.value.port_taken is taken


def test_one_that_runs_or_was_never_started_is_let_pass(tmp_path: pathlib.Path) -> None:
    check(None, tmp_path / "log")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        check(process, tmp_path / "log")
    finally:
        process.communicate()


@pytest.mark.parametrize(
    ("said", "ends", "moves"),
    [
        ("Address already in use", 1, 1),
        ("Address already in use", ATTEMPTS, ATTEMPTS - 1),
        ("no such flag", 1, 0),
    ],
)
def test_a_process_moves_only_when_its_port_is_taken(
    tmp_path: pathlib.Path, said: str, ends: int, moves: int
) -> None:
    log = tmp_path / "log"
    log.write_text(said)
    waited, moved = [], []

    def wait() -> None:
        waited.append(1)
        if len(waited) <= ends:
            raise EndedError(log)

    serves = moves == ends
    with contextlib.nullcontext() if serves else pytest.raises(EndedError, match=said):
        wait_or_move(wait, lambda: moved.append(1))
    assert len(moved) == moves
