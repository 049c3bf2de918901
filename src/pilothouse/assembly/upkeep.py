"""Metrics of what an operator looks after:
room on the disk of the data directory, certificates that expire."""

import contextlib
import os
import pathlib

from pilothouse.metrics.instruments import Gauge, Group, Labels
from pilothouse.pki import Files


class UpkeepMetrics(Group):
    """Metrics that are read when they are shown; a file or disk that cannot be read has no series."""

    def __init__(self, directory: pathlib.Path, files: Files) -> None:
        self._directory = directory
        certificates = (files.serving_cert, files.kubelet_cert, files.proxy_cert, *files.client_ca)
        self._certificates = sorted({path for path in certificates if path})
        self.free = Gauge(
            "pilothouse_data_free_bytes",
            "[ALPHA] Bytes that are free on the disk of the data directory.",
            (),
            lambda: self._space("f_bavail"),
            joined=min,
        )
        self.size = Gauge(
            "pilothouse_data_disk_bytes",
            "[ALPHA] Bytes of the disk of the data directory.",
            (),
            lambda: self._space("f_blocks"),
            joined=max,
        )
        self.expiry = Gauge(
            "pilothouse_certificate_expiry_timestamp_seconds",
            "[ALPHA] When the first certificate of a file in use expires, in seconds since the epoch.",
            ("path",),
            self._expiry,
            joined=min,
        )

    def _space(self, blocks: str) -> dict[Labels, float]:
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return {}
        return {(): getattr(found, blocks) * found.f_frsize}

    def _expiry(self) -> dict[Labels, float]:
        from cryptography import x509

        out: dict[Labels, float] = {}
        for path in self._certificates:
            with contextlib.suppress(OSError, ValueError):
                found = x509.load_pem_x509_certificates(pathlib.Path(path).read_bytes())
                out[path,] = min(one.not_valid_after_utc for one in found).timestamp()
        return out
