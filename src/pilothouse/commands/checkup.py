"""The checks of `pilothouse doctor`: one function for each part of a host and of an installation.

Each takes the configuration and yields findings. None changes anything.
"""

import ctypes
import datetime
import pathlib
import resource
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

from pilothouse.commands.checkup_disk import disk
from pilothouse.commands.checkup_history import history
from pilothouse.commands.checkup_port import port
from pilothouse.commands.findings import Finding, error, ok, warning
from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.server.accept import BACKLOG
from pilothouse.server.pem import validity_fault

SOON = datetime.timedelta(days=30)
"""Certificates that expire earlier are told."""
SKEW = 1.0
"""Seconds by which the clocks of members of etcd may differ from ours."""
DESCRIPTORS = 65536
TIMEOUT = 3.0
TIMEX, TIME_ERROR = 512, 5
"""Bytes that are enough for a struct timex, and the state of a clock that is not synchronized."""


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
        except (OSError, ValueError) as problem:
            yield error(f"{path} cannot be read: {problem}")
            continue
        looked += 1
        for one in found:
            who = f"{path} ({one.subject.rfc4514_string()})"
            if fault := validity_fault(one, now):
                yield error(f"{who} {fault}")
            elif one.not_valid_after_utc - now < SOON:
                yield warning(f"{who} expires on {one.not_valid_after_utc:%Y-%m-%d %H:%M}")
        yield from _key(path, found[0])
    yield ok(f"{looked} certificate files were looked at")


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
    except (OSError, ValueError, TypeError) as problem:
        yield error(f"{key} cannot be read: {problem}")
        return
    if mode & 0o077:
        yield warning(f"{key} can be read by others (mode {mode:04o}): chmod 600 {key}")
    if private.public_key() != certificate.public_key():
        yield error(f"{key} is not the key of {path}")


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
            yield warning(
                f"the clock differs by {off:+.1f} s from that of {server}: is it synchronized (chrony, NTP)?"
            )
    text = f"it is {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    if kept() is False:
        yield warning(f"{text}, and no time service keeps the clock right (chrony, NTP), says the kernel")
    else:
        yield ok(text)


def etcd(config: Config) -> Iterator[Finding]:
    """Members of etcd: whether each answers, whether one leads, alarms, and how full the databases are."""
    if not config.store.etcd_servers:
        return
    try:
        from pilothouse.storage.etcd import admin
    except ImportError as missing:
        yield error(f"--etcd-servers needs the package etcd3-py: pip install 'pilothouse[etcd]' ({missing})")
        return
    files = (config.store.etcd_cafile, config.store.etcd_certfile, config.store.etcd_keyfile)
    with admin.opened(config.store.etcd_servers, *files) as members:
        rows = members.status()[1:]
        leads = False
        for server, version, size, used, _, leader, errors in rows:
            leads = leads or leader is True
            if version == "-":
                yield error(f"{server} does not answer: {errors}")
            elif errors:
                yield error(f"{server} (etcd {version}): {errors}")
            else:
                yield ok(f"{server} is etcd {version}, its database has {size}, of which {used} are in use")
        if any(row[1] != "-" for row in rows):
            if not leads:
                yield warning("none of these members leads; is one missing in --etcd-servers?")
            for member, alarm in members.alarms()[1:]:
                yield error(
                    f"member {member} has raised the alarm {alarm}: see docs/production.md, Maintaining etcd"
                )


def _etcd_tls(options: StoreOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.etcd_cafile or None)
    if options.etcd_certfile:
        context.load_cert_chain(options.etcd_certfile, options.etcd_keyfile)
    return context


def limits(config: Config) -> Iterator[Finding]:
    """Limits of the system: open files, and connections that wait to be accepted."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS
    text = (
        "there is no limit of open files" if hard == resource.RLIM_INFINITY else f"{hard} files may be open"
    )
    yield (
        ok(text)
        if many
        else warning(f"{text}: each connection takes one; raise it (LimitNOFILE=, ulimit -n)")
    )
    try:
        waiting = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        waiting = socket.SOMAXCONN
    text = f"{waiting} connections may wait to be accepted"
    yield ok(text) if waiting >= BACKLOG else warning(f"{text}: sysctl net.core.somaxconn={BACKLOG}")


Check = Callable[[Config], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (certificates, clock, disk, history, etcd, port, limits)
