"""Certificates and keys that OpenSSL reads from files."""

import pathlib

from pilothouse.server.pem import pem_files


def test_texts_become_files_for_a_moment(tmp_path: pathlib.Path) -> None:
    key = tmp_path / "key"
    with pem_files(b"CERT", str(key)) as (cert_file, key_file):
        made = pathlib.Path(cert_file)
        assert made.read_bytes() == b"CERT" and key_file == str(key)
        assert made.parent.stat().st_mode & 0o777 == 0o700
    assert not made.parent.exists()
