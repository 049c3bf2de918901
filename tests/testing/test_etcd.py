import pathlib
import signal
import socket

import pytest

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import EndedError


@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_a_paused_member_is_ended_too(tmp_path: pathlib.Path) -> None:
    with EtcdCluster(tmp_path) as cluster:
        process = cluster.processes[0]
        assert process is not None
        cluster.signal(0, signal.SIGSTOP)
        threads = pathlib.Path(f"/proc/{process.pid}/task").glob("*/status")
        assert all("State:\tT" in status.read_text() for status in threads)
    assert not pathlib.Path(f"/proc/{process.pid}").exists()


@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_another_port_is_used_when_one_is_taken(tmp_path: pathlib.Path) -> None:
    cluster = EtcdCluster(tmp_path, 3)
    before = list(cluster.urls)
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(before[1].rpartition(":")[2])))
        other.listen()
        with cluster:
            assert not set(before) & set(cluster.urls)
            assert all(process is not None and process.poll() is None for process in cluster.processes)


@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_a_member_that_can_not_start_says_why(tmp_path: pathlib.Path) -> None:
    with pytest.raises(EndedError, match="no-such-flag"), EtcdCluster(tmp_path, 1, "--no-such-flag"):
        pass
