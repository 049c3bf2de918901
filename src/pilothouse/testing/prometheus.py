"""Runs a Prometheus that scrapes API servers and etcd by the configuration in deploy/monitoring."""

import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, cast

from pilothouse.files import write_file
from pilothouse.pki import CertificateAuthority
from pilothouse.testing.ports import check, free_ports, wait_or_move

FOLDER = pathlib.Path(__file__).parents[3] / "deploy/monitoring"
"""Exists in a checkout only, not in an installed package."""

BINARY = shutil.which("prometheus")
START_SECONDS = 30.0


class Prometheus:
    """A Prometheus in `directory`; it keeps running unless stop() is called."""

    def __init__(self, directory: pathlib.Path, interval: str = "15s", port: int = 0) -> None:
        self.directory = directory
        self.interval = interval
        self.port = port or free_ports(1)[0]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, pki: pathlib.Path, servers: Sequence[str], etcd: Sequence[str]) -> None:
        """Write the configuration: addresses to scrape,
        and a certificate of system:monitoring by the CA in `pki`."""
        targets = self.directory / "targets"
        targets.mkdir(parents=True, exist_ok=True)
        for name, addresses in (("kube-apiserver", servers), ("etcd", etcd)):
            (targets / f"{name}.json").write_text(json.dumps([{"targets": list(addresses)}]))
        text = (FOLDER / "prometheus.yml").read_text().replace("interval: 15s", f"interval: {self.interval}")
        (self.directory / "prometheus.yml").write_text(text)
        shutil.copy(FOLDER / "rules.yml", self.directory)
        shutil.copy(pki / "ca.crt", self.directory)
        authority = CertificateAuthority.load(pki / "ca.crt", pki / "ca.key")
        assert authority is not None
        certificate, key = authority.issue("prometheus", ["system:monitoring"], server=False)
        write_file(self.directory / "client.crt", certificate, 0o644)
        write_file(self.directory / "client.key", key)

    def start(self) -> "Prometheus":
        """Start it and wait until it is ready; tries other ports if one is taken."""
        self._spawn()
        wait_or_move(self._wait, self._move)
        return self

    def _move(self) -> None:
        self._log_path.unlink()
        self.port = free_ports(1)[0]
        self._spawn()

    @property
    def _log_path(self) -> pathlib.Path:
        return self.directory / "prometheus.log"

    def _spawn(self) -> None:
        assert BINARY is not None
        command = [
            BINARY,
            f"--config.file={self.directory}/prometheus.yml",
            f"--storage.tsdb.path={self.directory}/series",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        with open(self._log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}, start_new_session=True
            )

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            check(self.process, self._log_path)
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of Prometheus' API;
        urllib.error.HTTPError for a query that is not PromQL."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        """The series of an instant query, with their values now."""
        return cast("list[dict[str, Any]]", self.get("query", query=text)["result"])

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
