"""Reads the files that the flags of a server name, as the server would, and tells where each error stands."""

import os
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pilothouse.admission import configuration as admission
from pilothouse.admission import eventratelimit, imagepolicy
from pilothouse.admission.podsecurity import configuration as podsecurity
from pilothouse.admission.quota.judge import limited_from
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml.lines import broken_at, line_of
from pilothouse.audit import policy
from pilothouse.authn import configuration as authentication
from pilothouse.authn import keys, validation
from pilothouse.authn.tokens import TokenFile
from pilothouse.authz import abac
from pilothouse.authz import configuration as authorization
from pilothouse.configuration.config import Config
from pilothouse.outbound import egress_config
from pilothouse.outbound.kubeconfig import read_kubeconfig
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.storage.encryption import config as encryption
from pilothouse.storage.interface import Unavailable
from pilothouse.tracing import configuration as tracing


class Problem(NamedTuple):
    """An error in a file. `line` counts from 1; it is 0 when the error belongs to no line.
    `flag` names the file."""

    file: str
    line: int
    text: str
    flag: str

    def __str__(self) -> str:
        return f"{self.file}:{f'{self.line}:' if self.line else ''} {self.text} (--{self.flag})"


def _authentication(path: str, config: Config) -> None:
    found = authentication.read(Path(path).read_bytes())
    validation.validated(found, config.authentication.service_accounts.issuers)
    if found.anonymous is not None and "anonymous-auth" in config.given:
        raise ValueError("anonymous: Forbidden: --anonymous-auth is given as well")


def _authorization(path: str, config: Config) -> Iterator[str]:
    """The kubeconfigs that the file names."""
    return (one.webhook.kubeconfig for one in authorization.load(path) if one.webhook is not None)


SECTIONS: Mapping[str, Callable[[Object], object]] = MappingProxyType(
    {
        "PodSecurity": podsecurity.read,
        "ResourceQuota": limited_from,
        "EventRateLimit": eventratelimit.read,
        "ImagePolicyWebhook": imagepolicy.read,
    }
)
"""The reader of each admission plugin's configuration."""


def _admission(path: str, config: Config) -> list[str]:
    """The kubeconfigs that the file names."""
    found = admission.load(path)
    for name, read in SECTIONS.items():
        section = found.section(name)
        if section is not None:
            try:
                read(section)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    plugins = ("ImagePolicyWebhook", "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook")
    return [named for name in plugins if (named := found.kubeconfig(name))]


READERS: Mapping[str, Callable[[str, Config], object]] = MappingProxyType(
    {
        "audit-policy-file": lambda path, _: policy.load(path),
        "authentication-config": _authentication,
        "authorization-policy-file": lambda path, _: abac.load(path),
        "encryption-provider-config": lambda path, _: encryption.load(path),
        "egress-selector-config-file": lambda path, _: egress_config.load(path, EgressMetrics()),
        "tracing-config-file": lambda path, _: tracing.load(path),
        "token-auth-file": lambda path, _: TokenFile.load(path),
        "service-account-key-file": lambda path, _: keys.load_public(Path(path).read_bytes()),
        "service-account-signing-key-file": lambda path, _: keys.load_private(Path(path).read_bytes()),
        "audit-webhook-config-file": lambda path, _: read_kubeconfig(Path(path)),
        "authentication-token-webhook-config-file": lambda path, _: read_kubeconfig(Path(path)),
        "authorization-webhook-config-file": lambda path, _: read_kubeconfig(Path(path)),
        **dict.fromkeys(
            (
                "client-ca-file",
                "requestheader-client-ca-file",
                "kubelet-certificate-authority",
                "etcd-cafile",
                "oidc-ca-file",
            ),
            lambda path, _: ssl.create_default_context(cafile=path),
        ),
    }
)
"""The reader of each flag's file; it raises ValueError, OSError or Unavailable."""

Naming = Callable[[str, Config], Iterable[str]]

NAMING: Mapping[str, Naming] = MappingProxyType(
    {"authorization-config": _authorization, "admission-control-config-file": _admission}
)
"""The reader of each flag's file that names kubeconfigs; it returns them."""

PAIRS = (
    ("tls-cert-file", "tls-private-key-file"),
    ("kubelet-client-certificate", "kubelet-client-key"),
    ("proxy-client-cert-file", "proxy-client-key-file"),
    ("etcd-certfile", "etcd-keyfile"),
    ("cluster-signing-cert-file", "cluster-signing-key-file"),
)
"""Certificates and their keys."""


def problems(config: Config) -> Iterator[Problem]:
    """Every error in the files that flags name.
    Files that cannot be opened are left to the check of the flags."""
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
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
        except ssl.SSLError as error:
            raise ValueError(f"the certificate cannot be used with the key {key}: {error}") from None


def _read(flag: str, path: str, read: Callable[..., object], *arguments: Any) -> Iterator[Problem]:
    """The problems that a reader finds in a file."""
    try:
        read(*arguments)
    except (ValueError, OSError, Unavailable) as error:
        yield from located(flag, path, str(error))


_FAULT = "(?:Required|Invalid|Unsupported|Duplicate) value|Forbidden|Not found|Too (?:long|many|few)"
_CAUSE = re.compile(
    rf'(?P<field>[A-Za-z][\w\[\].-]*): (?:{_FAULT})|unknown field "(?P<unknown>[^"]+)"|line (?P<line>\d+): '
)
"""How upstream's lists of errors name the place of each (apimachinery field.Error, sigs.k8s.io/yaml)."""


def located(flag: str, path: str, text: str) -> Iterator[Problem]:
    """The errors that a text lists, each with its line."""
    causes = list(_CAUSE.finditer(text))
    if not causes:
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
    for cause, last in zip(causes, ends, strict=True):
        field = cause["field"] or cause["unknown"]
        line = line_of(data, field) if field else broken_at(data) or int(cause["line"])
        begin = cause.start() if field else cause.end()
        yield Problem(path, line or 0, text[begin:last].rstrip("\n ,;"), flag)
