"""Tells what keeps a server from using its directories, and the files that it writes or has made itself."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from pilothouse import pki
from pilothouse.authn import keys
from pilothouse.commands.config_problem import Problem
from pilothouse.configuration.config import Config
from pilothouse.files import check_usable, said
from pilothouse.server.pem import pair_fault

MAGIC = b"SQLite format 3\0"
"""The first bytes of a SQLite database."""
PAIRS = ("ca", "admin", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client")
MADE = (*(f"{name}.{end}" for name in PAIRS for end in ("crt", "key")), "sa.key", "sa.pub", "port")
"""Files that a server makes in its data directory."""
AGAIN = "restore it from a backup, or remove it to have another one made"


def own_problems(config: Config) -> Iterator[Problem]:
    """The errors in what the server keeps. Nothing is made or changed."""
    data, certificates = config.data.directory, config.data.certificate_directory
    unusable = [*_directory(data, "data-dir")]
    if certificates != data:
        unusable += _directory(certificates, "cert-dir")
    yield from unusable
    if not unusable:
        yield from _files(config)
    yield from _written(config)


def _directory(path: Path, flag: str) -> Iterator[Problem]:
    try:
        check_usable(path)
    except OSError as error:
        yield Problem("", 0, error.strerror or str(error), flag)


def _files(config: Config) -> Iterator[Problem]:
    data, accounts = config.data.directory, config.authentication.service_accounts
    names = (*MADE, "state.db") if config.store.backend == "sqlite" else MADE
    for path in (data / name for name in names):
        if path.exists() and not path.is_file():
            yield Problem(str(path), 0, "it is no file", "data-dir")
    key = data / "sa.key"
    signed_elsewhere = accounts.service_account_signing_key_file or accounts.service_account_signing_endpoint
    if key.is_file() and not signed_elsewhere:
        try:
            keys.load_private(key.read_bytes())
        except (OSError, ValueError) as error:
            yield Problem(str(key), 0, f"it is no private key: {error}; {AGAIN}", "data-dir")
    database = data / "state.db"
    if config.store.backend == "sqlite" and database.is_file():
        with database.open("rb") as file:
            if file.read(len(MAGIC)) not in (b"", MAGIC):
                yield Problem(str(database), 0, "it is no SQLite database: restore a snapshot", "data-dir")
    yield from _serving(config)


def _serving(config: Config) -> Iterator[Problem]:
    """A serving certificate in the directory that was not made here, and that cannot be used."""
    path = config.data.certificate_directory / "apiserver.crt"
    try:
        pair = pki.brought_serving_pair(config)
        if pair is None:
            return
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair, password="")
    except ssl.SSLError as error:
        why = pair_fault(path.read_bytes(), path.with_suffix(".key").read_bytes()) or str(error)
    except OSError as error:
        why = said(error)
    else:
        return
    text = f"it cannot be used with apiserver.key: {why}; {AGAIN}"
    yield Problem(str(path), 0, text, "cert-dir" if config.data.cert_dir else "data-dir")


def _written(config: Config) -> Iterator[Problem]:
    """Files that a server writes and that cannot be written."""
    if config.data.write_kubeconfig:
        yield from _target(Path(config.data.write_kubeconfig), "write-kubeconfig")
    log = config.audit.audit_log_path
    if (
        log
        and log != "-"
        and not (os.path.exists(log) and os.access(log, os.W_OK) and not os.path.isdir(log))
    ):
        yield from _target(Path(log), "audit-log-path")


def _target(path: Path, flag: str) -> Iterator[Problem]:
    if path.is_dir():
        yield Problem(str(path), 0, "it is a directory", flag)
        return
    try:
        check_usable(path.parent)
    except OSError as error:
        yield Problem(str(path), 0, f"it cannot be written: {error.strerror or error}", flag)
