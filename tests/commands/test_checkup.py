"""The checks of `pilothouse doctor`: certificates, the clock, etcd, limits."""

import http.server
import pathlib
import resource
import threading
from collections.abc import Iterator

import pytest

from pilothouse import pki
from pilothouse.commands import checkup
from pilothouse.commands.findings import Finding, Level
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.pki import CertificateAuthority
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import free_ports


def config(directory: pathlib.Path, *more: str) -> Config:
    return options.parse([f"--data-dir={directory}", "--bind-address=127.0.0.1", *more])


def bad(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(one.level.value, one.text) for one in findings if one.level is not Level.OK]


def test_certificates(tmp_path: pathlib.Path) -> None:
    wanted = config(tmp_path)
    pki.prepare(wanted)
    assert bad(checkup.certificates(wanted)) == []
    short, _ = CertificateAuthority.create("short", days=10).issue("x", server=False, days=10)
    (tmp_path / "short.crt").write_bytes(short)
    (tmp_path / "admin.crt").write_bytes(short)
    (tmp_path / "past.crt").write_bytes(pki.pem(CertificateAuthority.create("past", days=-0.001).certificate))
    (tmp_path / "broken.crt").write_text("x")
    (tmp_path / "apiserver.key").chmod(0o644)
    (tmp_path / "ca.key").write_text("x")
    said = "\n".join(f"{level} {text}" for level, text in bad(checkup.certificates(wanted)))
    for line in (
        f"warning {tmp_path}/short.crt (CN=x) expires on ",
        f"error {tmp_path}/past.crt (CN=past) has expired on ",
        f"error {tmp_path}/broken.crt cannot be read: ",
        f"error {tmp_path}/admin.key is not the key of {tmp_path}/admin.crt",
        f"warning {tmp_path}/apiserver.key can be read by others (mode 0644)",
        f"error {tmp_path}/ca.key cannot be read: ",
    ):
        assert line in said, said


def test_a_clock_that_is_behind(tmp_path: pathlib.Path) -> None:
    """Certificates that are not good yet, and a member of etcd that says another time."""

    class Member(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", "Sat, 01 Jan 2050 00:00:00 GMT")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Member) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wanted = config(tmp_path, f"--etcd-servers=http://127.0.0.1:{server.server_port}")
        ((level, text),) = bad(checkup.clock(wanted, lambda: True))
        server.shutdown()
    assert level == "warning" and text.startswith("the clock differs by -") and "is it synchronized" in text
    assert bad(checkup.clock(config(tmp_path, "--etcd-servers=http://127.0.0.1:1"), lambda: None)) == []


def test_a_clock_that_nothing_keeps_right(tmp_path: pathlib.Path) -> None:
    ((level, text),) = bad(checkup.clock(config(tmp_path), lambda: False))
    assert level == "warning" and "no time service keeps the clock right" in text


def test_limits(tmp_path: pathlib.Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = next(checkup.limits(config(tmp_path)))
    few = hard != resource.RLIM_INFINITY and hard < checkup.DESCRIPTORS
    assert found.level is (Level.WARNING if few else Level.OK) and "open" in found.text


@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_etcd(tmp_path: pathlib.Path) -> None:
    with EtcdCluster(tmp_path) as cluster:
        [dead] = free_ports(1)
        servers = f"--etcd-servers={cluster.urls[0]},http://127.0.0.1:{dead}"
        findings = list(checkup.etcd(config(tmp_path / "data", servers)))
    levels = [one.level for one in findings]
    assert levels == [Level.OK, Level.ERROR]
    assert findings[0].text.startswith(f"{cluster.urls[0]} is etcd 3.")
    assert findings[1].text.startswith(f"http://127.0.0.1:{dead} does not answer")
