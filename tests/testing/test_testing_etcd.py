import pathlib
import signal
import socket

import pytest

from pilothouse.testing.etcd import BINARY, Cluster, free_ports


def test_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))


@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_a_paused_member_is_ended_too(tmp_path: pathlib.Path) -> None:
    with Cluster(tmp_path) as cluster:
        process = cluster.processes[0]
        assert process is not None
        cluster.signal(0, signal.SIGSTOP)
    assert not pathlib.Path(f"/proc/{process.pid}").exists()
