"""Reads the files that the flags of a server name, as the server would, and tells where each error stands."""

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pilothouse.admission import configuration as admission
from pilothouse.admission.api import Plugin
from pilothouse.admission.installed.loader import configured_plugins
from pilothouse.admission.plugins import ORDER, enabled
from pilothouse.api.yaml.lines import broken_at, line_of
from pilothouse.commands.config_own import own_problems
from pilothouse.commands.config_problem import Problem
from pilothouse.commands.config_readers import NAMING, READERS, Naming
from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.admission import GATED_PLUGINS
from pilothouse.files import said
from pilothouse.outbound.kubeconfig import read_kubeconfig
from pilothouse.server.pem import pair_fault, validity_fault
from pilothouse.storage.interface import Unavailable

PAIRS = (
    ("tls-cert-file", "tls-private-key-file"),
    ("kubelet-client-certificate", "kubelet-client-key"),
    ("proxy-client-cert-file", "proxy-client-key-file"),
    ("etcd-certfile", "etcd-keyfile"),
    ("cluster-signing-cert-file", "cluster-signing-key-file"),
)
"""Certificates and their keys."""


def problems(config: Config) -> Iterator[Problem]:
    """Every error in the files that flags name, and in those that a server keeps.

    `serve` and `check-config` both go by this.
    Files that cannot be opened are left to the check of the flags.
    """
    for flag, reader in READERS.items():
        for path in _paths(config, flag):
            yield from _read(flag, path, reader, path, config)
    for flag, naming in NAMING.items():
        for path in _paths(config, flag):
            named: list[str] = []
            yield from _read(flag, path, _note, named, naming, path, config)
            for kubeconfig in dict.fromkeys(named):
                yield from _read(flag, kubeconfig, read_kubeconfig, Path(kubeconfig))
    for flag, other in PAIRS:
        for cert, key in zip(_paths(config, flag), _paths(config, other), strict=False):
            yield from _read(flag, cert, _pair, cert, key)
    for cert, key, _ in config.serving.tls_sni_cert_key:
        yield from _read("tls-sni-cert-key", cert, _pair, cert, key)
    yield from _validity(config)
    yield from _plugins(config)
    yield from own_problems(config)


def _note(named: list[str], naming: Naming, path: str, config: Config) -> None:
    named.extend(naming(path, config))


def files(config: Config) -> list[str]:
    """The files that are looked at."""
    flags = (*READERS, *NAMING, *(flag for pair in PAIRS for flag in pair))
    sni = (path for cert, key, _ in config.serving.tls_sni_cert_key for path in (cert, key))
    return list(dict.fromkeys([*(path for flag in flags for path in _paths(config, flag)), *sni]))


def _paths(config: Config, flag: str) -> tuple[str, ...]:
    """The files of a flag that can be opened."""
    value = config.value(flag)
    given = (value,) if isinstance(value, str) else value
    return tuple(path for path in given if path and os.access(path, os.R_OK))


def _pair(cert: str, key: str) -> None:
    if os.access(cert, os.R_OK) and os.access(key, os.R_OK):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            why = pair_fault(Path(cert).read_bytes(), Path(key).read_bytes()) or error
            raise ValueError(f"the certificate cannot be used with the key {key}: {why}") from None


def _validity(config: Config) -> Iterator[Problem]:
    """Serving certificates that clients refuse."""
    from cryptography import x509

    serving = config.serving
    given = [("tls-cert-file", path) for path in _paths(config, "tls-cert-file")]
    given += [
        ("tls-sni-cert-key", cert) for cert, _, _ in serving.tls_sni_cert_key if os.access(cert, os.R_OK)
    ]
    for flag, path in given:
        try:
            fault = validity_fault(x509.load_pem_x509_certificate(Path(path).read_bytes()))
        except (ValueError, OSError):  # the check of the pair tells it
            continue
        if fault:
            yield Problem(path, 0, f"the certificate {fault}", flag, warning=True)


def _plugins(config: Config) -> Iterator[Problem]:
    """Admission plugins of packages that cannot be used, or do not take their sections."""
    on = enabled(config.admission, config.authorization.modes) - ORDER.keys() - set(GATED_PLUGINS)
    file = config.admission.admission_control_config_file
    if on:
        try:
            for _, plugin in configured_plugins(on, admission.load(file)):
                asyncio.run(_close(plugin))
        except ValueError as error:
            flag = "admission-control-config-file" if file else "enable-admission-plugins"
            yield from located(flag, file, str(error))


async def _close(plugin: Plugin) -> None:
    closing = plugin.close()
    if closing is not None:
        await closing


def _read(flag: str, path: str, read: Callable[..., object], *arguments: Any) -> Iterator[Problem]:
    """The problems that a reader finds in a file."""
    try:
        read(*arguments)
    except (ValueError, OSError, Unavailable) as error:
        yield from located(flag, path, said(error).removeprefix(f"{path}: "))
    except (TypeError, AttributeError, LookupError):
        yield Problem(path, 0, "a member of it has a value of another type than it must have", flag)


_FAULT = "(?:Required|Invalid|Unsupported|Duplicate) value|Forbidden|Not found|Too (?:long|many|few)"
_CAUSE = re.compile(
    rf'(?P<field>[A-Za-z][\w\[\].-]*): (?:{_FAULT})|unknown field "(?P<unknown>[^"]+)"|line (?P<line>\d+): '
)
"""How upstream's lists of errors name the place of each (apimachinery field.Error, sigs.k8s.io/yaml)."""


def located(flag: str, path: str, text: str) -> Iterator[Problem]:
    """The errors that a text lists, each with its line; the whole text where the file has no such place."""
    causes = list(_CAUSE.finditer(text))
    if not causes or not path:
        yield Problem(path, 0, text, flag)
        return
    data = Path(path).read_bytes()
    first = causes[0].start()
    end = (
        text.rfind("]")
        if text[:first].rpartition("[")[2].strip() in ("", "yaml:") and "[" in text[:first]
        else len(text)
    )
    ends = [*(cause.start() for cause in causes[1:]), end]
    found = []
    for cause, last in zip(causes, ends, strict=True):
        field = cause["field"] or cause["unknown"]
        line = line_of(data, field) if field else broken_at(data) or int(cause["line"])
        begin = cause.start() if field else cause.end()
        found.append(Problem(path, line or 0, text[begin:last].rstrip("\n ,;"), flag))
    yield from found if any(one.line for one in found) else [Problem(path, 0, text, flag)]
