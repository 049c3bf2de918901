"""The checks of `pilothouse doctor`: one function for each part of a host and of an installation.

Each takes the configuration and yields findings. None changes anything, except that `disk` writes a small
file and removes it.
"""

import ctypes
import datetime
import os
import pathlib
import resource
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

from pilothouse import pki
from pilothouse.commands.machine import syncs
from pilothouse.configuration.addresses import reachable, url
from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.server.accept import BACKLOG
from pilothouse.server.listener import bind

SOON = datetime.timedelta(days=30)
"""Certificates that expire earlier are told."""
SKEW = 1.0
"""Seconds by which the clocks of members of etcd may differ from ours."""
FREE_BYTES, FREE_SHARE = 1 << 30, 0.05
SLOW_SYNC = 0.010
"""Seconds that a durable write may take; etcd's documentation asks for 10 ms."""
DESCRIPTORS = 65536
TIMEOUT = 3.0
TIMEX, TIME_ERROR = 512, 5
"""Bytes that are enough for a struct timex, and the state of a clock that is not synchronized."""


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding, and the advice about it."""

    level: Level
    text: str


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def _warning(text: str) -> Finding:
    return Finding(Level.WARNING, text)


def _error(text: str) -> Finding:
    return Finding(Level.ERROR, text)


def certificates(config: Config) -> Iterator[Finding]:
    """Certificates of the data directory and of the flags:
    when they expire, and whether their keys belong to them."""
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    looked = 0
    for path in _certificate_files(config):
        try:
            found = x509.load_pem_x509_certificates(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            yield _error(f"{path} cannot be read: {error}")
            continue
        looked += 1
        for one in found:
            who = f"{path} ({one.subject.rfc4514_string()})"
            if one.not_valid_before_utc > now:
                yield _error(
                    f"{who} is good from {one.not_valid_before_utc:%Y-%m-%d %H:%M}: is the clock behind?"
                )
            elif one.not_valid_after_utc <= now:
                yield _error(f"{who} has expired on {one.not_valid_after_utc:%Y-%m-%d %H:%M}")
            elif one.not_valid_after_utc - now < SOON:
                yield _warning(f"{who} expires on {one.not_valid_after_utc:%Y-%m-%d %H:%M}")
        yield from _key(path, found[0])
    yield _ok(f"{looked} certificate files were looked at")


def _certificate_files(config: Config) -> list[pathlib.Path]:
    made = sorted({*config.data.directory.glob("*.crt"), *config.data.certificate_directory.glob("*.crt")})
    given = (
        config.serving.tls_cert_file,
        *(pair[0] for pair in config.serving.tls_sni_cert_key),
        config.authentication.client_ca_file,
        config.authentication.request_header.requestheader_client_ca_file,
        config.outbound.kubelet_client_certificate,
        config.outbound.proxy_client_cert_file,
        config.store.etcd_cafile,
        config.store.etcd_certfile,
    )
    return list(dict.fromkeys([*map(pathlib.Path, filter(None, given)), *made]))


def _key(path: pathlib.Path, certificate: object) -> Iterator[Finding]:
    """The key beside a certificate: who may read it, and whether it is the one."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = path.with_suffix(".key")
    assert isinstance(certificate, x509.Certificate)
    try:
        mode = key.stat().st_mode & 0o777
        private = load_pem_private_key(key.read_bytes(), None)
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError) as error:
        yield _error(f"{key} cannot be read: {error}")
        return
    if mode & 0o077:
        yield _warning(f"{key} can be read by others (mode {mode:04o}): chmod 600 {key}")
    if private.public_key() != certificate.public_key():
        yield _error(f"{key} is not the key of {path}")


def synchronized() -> bool | None:
    """Whether the kernel says that a time service keeps the clock right (adjtimex(2));
    None where it does not say."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR


def clock(config: Config, kept: Callable[[], bool | None] = synchronized) -> Iterator[Finding]:
    """Our clock beside those of the members of etcd: certificates, leases and tokens go by it.
    `kept` says if it is kept right."""
    for server in config.store.etcd_servers:
        began = time.time()
        try:
            with urllib.request.urlopen(  # noqa: S310 -- a flag names it
                f"{server}/version", timeout=TIMEOUT, context=_etcd_tls(config.store)
            ) as answer:
                theirs = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (OSError, ValueError, TypeError):
            continue  # `etcd` says that it does not answer
        off = began - theirs - 0.5  # the header has whole seconds
        if abs(off) > SKEW + 0.5:
            yield _warning(
                f"the clock differs by {off:+.1f} s from that of {server}: is it synchronized (chrony, NTP)?"
            )
    text = f"it is {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    if kept() is False:
        yield _warning(f"{text}, and no time service keeps the clock right (chrony, NTP), says the kernel")
    else:
        yield _ok(text)


def disk(config: Config) -> Iterator[Finding]:
    """The disk of the data directory: room, and how long a durable write takes."""
    directory = config.data.directory
    try:
        pki.make_private(directory)
        space = os.statvfs(directory)
    except OSError as error:
        yield _error(error.strerror or str(error))
        return
    free, size = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    text = f"{free / 1e9:.1f} GB of {size / 1e9:.1f} GB are free at {directory}"
    yield _warning(text) if free < FREE_BYTES or free < size * FREE_SHARE else _ok(text)
    if space.f_files and space.f_favail < 1000:
        yield _warning(f"{space.f_favail} inodes are free at {directory}")
    times = sorted(syncs(directory))
    text = (
        f"a durable write takes {times[len(times) // 2] * 1e3:.1f} ms, the slowest of {len(times)}"
        f" {times[-1] * 1e3:.1f} ms"
    )
    yield _warning(f"{text}: every write to the API waits for one") if times[-1] > SLOW_SYNC else _ok(text)


def etcd(config: Config) -> Iterator[Finding]:
    """Members of etcd: whether each answers, whether one leads, alarms, and how full the databases are."""
    if not config.store.etcd_servers:
        return
    try:
        from pilothouse.storage.etcd import admin
    except ImportError as error:
        yield _error(f"--etcd-servers needs the package etcd3-py: pip install 'pilothouse[etcd]' ({error})")
        return
    files = (config.store.etcd_cafile, config.store.etcd_certfile, config.store.etcd_keyfile)
    with admin.opened(config.store.etcd_servers, *files) as members:
        rows = members.status()[1:]
        leads = False
        for server, version, size, used, _, leader, errors in rows:
            leads = leads or leader is True
            if version == "-":
                yield _error(f"{server} does not answer: {errors}")
            elif errors:
                yield _error(f"{server} (etcd {version}): {errors}")
            else:
                yield _ok(f"{server} is etcd {version}, its database has {size}, of which {used} are in use")
        if any(row[1] != "-" for row in rows):
            if not leads:
                yield _warning("none of these members leads; is one missing in --etcd-servers?")
            for member, alarm in members.alarms()[1:]:
                yield _error(
                    f"member {member} has raised the alarm {alarm}: see docs/production.md, Maintaining etcd"
                )


def _etcd_tls(options: StoreOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.etcd_cafile or None)
    if options.etcd_certfile:
        context.load_cert_chain(options.etcd_certfile, options.etcd_keyfile)
    return context


def port(config: Config) -> Iterator[Finding]:
    """The port: free, or a server answers there."""
    where = url(reachable(config.serving), config.serving.secure_port)
    try:
        bind(config.serving.bind_address, config.serving.secure_port).close()
    except OSError as error:
        said = _readyz(where)
        if said is None:
            yield _error(f"{error.strerror}, and what listens there is no API server")
        elif said:
            yield _error(f"a server serves at {where}, and is not ready: {said}")
        else:
            yield _ok(f"a server serves at {where}, and is ready")
        return
    yield _ok(f"port {config.serving.secure_port} is free")


def _readyz(server: str) -> str | None:
    """The failed checks of a server, "" when it is ready, None when that is no API server."""
    context = ssl._create_unverified_context()  # noqa: S323 -- only whether it is ready is asked
    try:
        with urllib.request.urlopen(f"{server}/readyz", timeout=TIMEOUT, context=context) as answer:  # noqa: S310 -- always https
            return "" if answer.read(16) == b"ok" else None
    except urllib.error.HTTPError as error:
        failed = [
            line[3:] for line in error.read(4096).decode("utf-8", "replace").splitlines() if line[:3] == "[-]"
        ]
        return ", ".join(failed) or f"status {error.code}"
    except (OSError, ValueError):
        return None


def limits(config: Config) -> Iterator[Finding]:
    """Limits of the system: open files, and connections that wait to be accepted."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS
    text = (
        "there is no limit of open files" if hard == resource.RLIM_INFINITY else f"{hard} files may be open"
    )
    yield (
        _ok(text)
        if many
        else _warning(f"{text}: each connection takes one; raise it (LimitNOFILE=, ulimit -n)")
    )
    try:
        waiting = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        waiting = socket.SOMAXCONN
    text = f"{waiting} connections may wait to be accepted"
    yield _ok(text) if waiting >= BACKLOG else _warning(f"{text}: sysctl net.core.somaxconn={BACKLOG}")


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (certificates, clock, disk, etcd, port, limits)
