import json
import pathlib
import socket
import ssl
import urllib.request

import pytest

from pilothouse.testing import ha, prometheus
from pilothouse.testing.ports import EndedError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(ha.missing()), reason="needs etcd and haproxy; apt-get install etcd-server haproxy"
    ),
]


def test_up_and_down(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "ha"
    assert ha.main(["up", str(directory)]) == 0
    try:
        printed = capsys.readouterr().out
        assert f"export KUBECONFIG={directory}/kubeconfig" in printed
        pids = json.loads((directory / "pids.json").read_text())
        others = [] if prometheus.BINARY is None else ["prometheus"]
        assert sorted(pids) == ["haproxy", "m0", "m1", "m2", *others, "server0", "server1", "server2"]
        assert ("Prometheus: http://127.0.0.1:" in printed) is bool(others)
        server = next(
            line.split()[-1]
            for line in (directory / "kubeconfig").read_text().replace('"', " ").splitlines()
            if "server:" in line
        )
        context = ssl.create_default_context(cafile=str(directory / "data/ca.crt"))
        with urllib.request.urlopen(f"{server}/readyz", context=context, timeout=5) as answer:
            assert answer.read() == b"ok"
        assert ha.main(["up", str(directory)]) == 1
    finally:
        assert ha.main(["down", str(directory)]) == 0
    assert not any(
        pathlib.Path(f"/proc/{pid}/fd").exists() and ha._is_ours(pid, directory) for pid in pids.values()
    )
    assert ha.main(["down", str(directory)]) == 0


def test_a_server_moves_to_another_port_when_its_is_taken(tmp_path: pathlib.Path) -> None:
    cluster = ha.Ha(tmp_path)
    before = list(cluster.ports)
    with socket.socket() as other:
        other.bind(("127.0.0.1", before[1]))
        other.listen()
        cluster.start()
        try:
            assert [a == b for a, b in zip(before, cluster.ports, strict=True)] == [True, False, True]
            assert "server1.log" in {path.name for path in tmp_path.iterdir()}
        finally:
            cluster.stop()


def test_a_server_that_can_not_start_says_why(tmp_path: pathlib.Path) -> None:
    with pytest.raises(EndedError, match="no-such-flag"):
        ha.Ha(tmp_path, flags=("--no-such-flag",)).start()


def test_usage() -> None:
    assert ha.main([]) == 2
