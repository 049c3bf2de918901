"""Gives OpenSSL a certificate and its key as files: Python's ssl reads them from no other place."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def pem_files(cert: bytes | str, key: bytes | str) -> Iterator[tuple[str, str]]:
    """The paths of a certificate and a key.
    PEM texts (bytes) become files that nobody else can read, and are removed."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as made:  # mode 0700
        paths = []
        for name, given in (("crt", cert), ("key", key)):
            if isinstance(given, bytes):
                path = f"{made}/tls.{name}"
                Path(path).write_bytes(given)
                given = path
            paths.append(given)
        yield paths[0], paths[1]
