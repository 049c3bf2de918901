"""Certificates that a running server makes anew."""

import asyncio
import pathlib
import socket
from typing import Any

import pytest
from cryptography import x509
from eventually import aeventually
from virtual_time import VirtualLoop

from pilothouse import pki
from pilothouse.assembly.intervals import Intervals
from pilothouse.assembly.renewal import Renewal
from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.files import write_file


def age(files: pki.Files, *paths: str) -> None:
    """Put certificates in place that have ten days left."""
    authority = pki.CertificateAuthority.load(pathlib.Path(files.issuer_cert), pathlib.Path(files.issuer_key))
    for path in paths:
        cert, key = authority.issue("kubernetes-admin", ["system:masters"], server=False, days=10)
        write_file(pathlib.Path(path).with_suffix(".key"), key)
        write_file(pathlib.Path(path), cert)


def days(path: str) -> int:
    left = x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())
    return (left.not_valid_after_utc - left.not_valid_before_utc).days


async def test_what_is_about_to_expire_is_renewed(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    config = options.parse([f"--data-dir={tmp_path}"])
    files = pki.prepare(config)
    told: list[float] = []
    renewal = Renewal(config, files, lambda: told.append(virtual.time()), 100)
    renewal.start()
    begun = virtual.time()
    await virtual.advance(250)
    assert told == []
    age(files, files.kubelet_cert, files.admin_cert)
    await virtual.advance(100)
    assert told == [begun + 300]
    assert days(files.kubelet_cert) == days(files.admin_cert) == pki.LEAF_DAYS
    await virtual.advance(300)
    assert len(told) == 1
    await renewal.close()


async def test_what_another_process_has_renewed_counts(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    config = options.parse([f"--data-dir={tmp_path}"])
    files = pki.prepare(config)
    told: list[bool] = []
    renewal = Renewal(config, files, lambda: told.append(True), 100)
    renewal.start()
    await virtual.advance(1)
    age(files, files.proxy_cert)
    pki.prepare(config)
    await virtual.advance(100)
    assert told == [True]
    await renewal.close()


async def test_a_failure_is_told_and_tried_again(
    virtual: VirtualLoop, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = options.parse([f"--data-dir={tmp_path}/data"])
    files = pki.prepare(config)
    told: list[bool] = []
    renewal = Renewal(config, files, lambda: told.append(True), 100)
    renewal.start()
    age(files, files.kubelet_cert)
    (tmp_path / "data").rename(tmp_path / "away")
    (tmp_path / "data").touch()
    await virtual.advance(101)
    assert caplog.records[-1].getMessage() == "Certificates were not renewed, it is tried again"
    (tmp_path / "data").unlink()
    (tmp_path / "away").rename(tmp_path / "data")
    await virtual.advance(100)
    assert told == [True]
    await renewal.close()


async def test_a_server_goes_on_with_what_is_new(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    flags = [f"--data-dir={tmp_path}", "--bind-address=127.0.0.1", "--storage-backend=memory"]
    path = tmp_path / "admin.kubeconfig"
    sockets: list[Any] = [socket.create_server(("127.0.0.1", 0))]
    server = Server(options.parse(flags), sockets=sockets, intervals=Intervals(certificates=0.01))
    await server.start()
    before = path.read_bytes()
    age(server.host.files, server.host.files.admin_cert)
    await aeventually(lambda: path.read_bytes() != before, "another kubeconfig")
    assert days(server.host.files.admin_cert) == pki.LEAF_DAYS
    await asyncio.wait_for(server.stop(drain=0), 10)
