"""Logical clusters of a server for tests: a fresh one, or a copy of a prepared one, for each test."""

import itertools
import os
import pathlib
import shutil
import ssl
import time
from functools import cached_property
from types import TracebackType
from typing import Self

from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import kubeconfigs
from pilothouse.authn.x509 import scope_unit
from pilothouse.clusters.definition import GROUP, KIND, PLURAL, VERSION
from pilothouse.clusters.guests import PATH
from pilothouse.files import write_file
from pilothouse.testing.client import KubeClient, RefusedError, context
from pilothouse.testing.helpers import Helpers, Signing
from pilothouse.testing.server import APIServer

CLUSTERS = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
FLAG = "--clusters"
ADMIN = "kubernetes-admin"
REMOVAL_SECONDS = 10.0
"""How long the removal of a cluster may take."""

_numbers = itertools.count(1)


class LogicalServer(Helpers):
    """A logical cluster of `host`, which serves with --clusters. Its members are those of a server."""

    def __init__(self, host: "APIServer | AttachedServer", name: str = "", copy_of: str = "") -> None:
        self.name = name or f"test-{os.getpid()}-{next(_numbers)}"
        self.flags = host.flags
        self.port = host.port
        self.ca_file = host.ca_file
        self.directory = host.directory / "of-clusters" / self.name
        self.unit = ""
        self._host = host
        self._copy_of = copy_of

    @property
    def authority(self) -> pathlib.Path:
        return self._host.directory

    @property
    def url(self) -> str:
        return f"{self._host.url}{PATH}{self.name}"

    @cached_property
    def client_cert(self) -> pathlib.Path:
        """The administrator's certificate, made when it is asked for."""
        return self._made()[0]

    @cached_property
    def client_key(self) -> pathlib.Path:
        """The administrator's key."""
        return self._made()[1]

    @cached_property
    def kubeconfig(self) -> pathlib.Path:
        """The administrator's kubeconfig."""
        cert, key = self._made()
        path = self.directory / "kubeconfig"
        made = kubeconfigs.of_user(
            self.url, self.ca_file.read_bytes(), cert=cert.read_bytes(), key=key.read_bytes()
        )
        write_file(path, made, sync=False)
        return path

    def _made(self) -> tuple[pathlib.Path, pathlib.Path]:
        cert, key = self.directory / "admin.crt", self.directory / "admin.key"
        if not cert.exists():
            pair = self._host.signer.issue(ADMIN, ("system:masters",), server=False, unit=self.unit)
            write_file(cert, pair[0], sync=False)
            write_file(key, pair[1], sync=False)
        return cert, key

    def context(self) -> ssl.SSLContext:
        """TLS settings of an administrator."""
        return context(self.ca_file, self.client_cert, self.client_key)

    def start(self) -> Self:
        """Create the cluster."""
        spec = {"copyOf": self._copy_of} if self._copy_of else {}
        body: Object = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": self.name}}
        made = self._host.root.call("POST", CLUSTERS, body | {"spec": spec})
        self.unit = scope_unit(made["metadata"]["uid"])
        return self

    def stop(self) -> None:
        """Delete the cluster and the files."""
        try:
            self._host.root.call("DELETE", f"{CLUSTERS}/{self.name}")
        except (OSError, RefusedError):  # the server has ended, or the test has deleted it
            pass
        self.forget_files()

    def forget_files(self) -> None:
        """Remove the files of credentials: they are for one cluster, not for a name."""
        shutil.rmtree(self.directory, ignore_errors=True)
        for name in ("client_cert", "client_key", "kubeconfig"):
            self.__dict__.pop(name, None)

    def reset(self) -> None:
        """Have a fresh cluster in place of this one, at the same address."""
        self.forget_files()
        self._host.root.call("DELETE", f"{CLUSTERS}/{self.name}")
        ends = time.monotonic() + REMOVAL_SECONDS
        while True:
            try:
                self.start()
                return
            except RefusedError as error:  # the old one is still being removed
                if error.code != 409 or time.monotonic() > ends:
                    raise
            time.sleep(0.002)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class AttachedServer(Signing):
    """A server that another process has started, by its directory and port."""

    def __init__(self, directory: str, port: int, flags: tuple[str, ...]) -> None:
        self.directory = pathlib.Path(directory)
        self.port = port
        self.flags = flags
        self.ca_file = self.directory / "ca.crt"
        self.kubeconfig = self.directory / "admin.kubeconfig"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @cached_property
    def root(self) -> KubeClient:
        """A client of the server's own cluster."""
        tls = context(self.ca_file, self.directory / "admin.crt", self.directory / "admin.key")
        return KubeClient(self.url, tls)
