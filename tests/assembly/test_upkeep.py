import pathlib
import time

from metric_samples import samples

from pilothouse.assembly.upkeep import UpkeepMetrics
from pilothouse.pki import CertificateAuthority, Files, pem


def files(cert: pathlib.Path, *client_ca: str) -> Files:
    return Files(
        serving_cert=str(cert),
        serving_key="",
        ca_cert="",
        client_ca=client_ca,
        signing_key="",
        admin_cert="",
        admin_key="",
        issuer_cert="",
        issuer_key="",
    )


def test_the_first_certificate_that_expires_counts(tmp_path: pathlib.Path) -> None:
    cert, ca = tmp_path / "serving.crt", tmp_path / "ca.crt"
    authority = CertificateAuthority.create(days=30)
    leaf, _ = authority.issue("server", server=True, days=2)
    cert.write_bytes(leaf + pem(authority.certificate))
    ca.write_bytes(pem(authority.certificate))
    group = UpkeepMetrics(tmp_path, files(cert, str(ca), str(tmp_path / "missing.crt")))
    found = samples(group)
    name = "pilothouse_certificate_expiry_timestamp_seconds"
    days = {
        key.partition("{")[2]: round((float(value) - time.time()) / 86400)
        for key, value in found.items()
        if key.startswith(name)
    }
    assert days == {f'path="{ca}"}}': 30, f'path="{cert}"}}': 2}
    cert.write_text("no certificate")
    assert f'{name}{{path="{cert}"}}' not in samples(group)


def test_room_on_the_disk(tmp_path: pathlib.Path) -> None:
    found = samples(UpkeepMetrics(tmp_path, files(tmp_path / "none")))
    assert 0 < float(found["pilothouse_data_free_bytes"]) <= float(found["pilothouse_data_disk_bytes"])
    assert samples(UpkeepMetrics(tmp_path / "gone", files(tmp_path / "none"))) == {}
