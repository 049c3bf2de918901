import json
import pathlib
import socket
import urllib.error

import pytest

from pilothouse.pki import CertificateAuthority, key_pem, pem
from pilothouse.testing import prometheus
from pilothouse.testing.prometheus import Prometheus

needs_prometheus = pytest.mark.skipif(
    prometheus.BINARY is None, reason="needs prometheus; apt-get install prometheus"
)


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Prometheus:
    authority = CertificateAuthority.create()
    (tmp_path / "ca.crt").write_bytes(pem(authority.certificate))
    (tmp_path / "ca.key").write_bytes(key_pem(authority.key))
    made = Prometheus(tmp_path / "prometheus", "1s")
    made.configure(tmp_path, ["127.0.0.1:1"], ["127.0.0.1:2", "127.0.0.1:3"])
    return made


def test_configure(server: Prometheus) -> None:
    targets = {path.stem: json.loads(path.read_text()) for path in (server.directory / "targets").iterdir()}
    assert targets == {
        "kube-apiserver": [{"targets": ["127.0.0.1:1"]}],
        "etcd": [{"targets": ["127.0.0.1:2", "127.0.0.1:3"]}],
    }
    text = (server.directory / "prometheus.yml").read_text()
    assert "scrape_interval: 1s" in text and "evaluation_interval: 1s" in text
    assert (server.directory / "client.key").stat().st_mode & 0o777 == 0o600


@needs_prometheus
def test_it_answers_queries(server: Prometheus) -> None:
    server.start()
    try:
        assert server.query("vector(2)")[0]["value"][1] == "2"
        assert server.query("no_such_metric") == []
        with pytest.raises(urllib.error.HTTPError):
            server.query("no such query")
    finally:
        server.stop()


@needs_prometheus
def test_another_port_when_its_is_taken(server: Prometheus) -> None:
    before = server.port
    with socket.socket() as other:
        other.bind(("127.0.0.1", before))
        other.listen()
        server.start()
        try:
            assert server.port != before
        finally:
            server.stop()
