"""Reads --egress-selector-config-file:
which connections go through which proxy (apiserver server/egressselector)."""

import json
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.yaml import text as yaml
from pilothouse.gotext import quote
from pilothouse.outbound.dialer import Dialer, Switch
from pilothouse.outbound.egress import Proxy, ProxyDialer
from pilothouse.outbound.metrics import EgressMetrics

VERSIONS = ("apiserver.k8s.io/v1beta1", "apiserver.k8s.io/v1alpha1")
KIND = "EgressSelectorConfiguration"
SCHEME = "k8s.io/apiserver/pkg/server/egressselector/config.go:33"
"""The name that upstream gives its list of kinds, in the error about one that is not on it."""

NAMES = ("cluster", "controlplane", "etcd")
PROTOCOLS = ("Direct", "HTTPConnect", "GRPC")
PATH = "service.connection"

SHAPE: Object = {
    "kind": str,
    "apiVersion": str,
    "egressSelections": [
        {
            "name": str,
            "connection": {
                "proxyProtocol": str,
                "transport": {
                    "tcp": {
                        "url": str,
                        "tlsConfig": dict.fromkeys(
                            ("caBundle", "clientKey", "clientCert", "tlsServerName"), str
                        ),
                    },
                    "uds": {"udsName": str},
                },
            },
        }
    ],
}
"""The members of the file, and what each of them is."""


class EgressConfigError(ValueError):
    """A file that cannot be used; the server does not start with it."""


class Egress(NamedTuple):
    """How connections are opened, by what lies at their other end."""

    cluster: Dialer
    """The dialer for what the cluster runs:
    kubelets, pods, services, webhooks and aggregated servers behind services."""

    controlplane: Dialer
    """The dialer for what stands beside this server:
    webhooks with a URL, the webhooks of authentication and authorization."""

    direct: Dialer
    """The dialer for hosts that no selection covers."""

    etcd: Dialer | None = None
    """The dialer for the members of etcd; None when they are reached directly."""

    async def close(self) -> None:
        """Give up what belongs to the connections."""
        for dialer in self:
            if dialer is not None:
                await dialer.close()


class Switched(NamedTuple):
    """Dialers that can be exchanged while connections are opened by them.
    It is made for a configuration, `made`."""

    cluster: Switch
    controlplane: Switch
    direct: Dialer
    etcd: Switch | None

    @classmethod
    def over(cls, made: Egress) -> "Switched":
        """Switches that lead where a configuration says."""
        return cls(
            Switch(made.cluster),
            Switch(made.controlplane),
            made.direct,
            Switch(made.etcd) if made.etcd is not None else None,
        )

    @property
    def egress(self) -> Egress:
        """The dialers, for those who open connections."""
        return Egress(self.cluster, self.controlplane, self.direct, self.etcd)

    def use(self, made: Egress) -> None:
        """Open connections as another configuration says;
        ValueError for a proxy to etcd where there was none."""
        if made.etcd is not None and self.etcd is None:
            raise EgressConfigError("the egressSelection etcd is new: it needs a restart")
        self.cluster.use(made.cluster)
        self.controlplane.use(made.controlplane)
        if self.etcd is not None:
            self.etcd.use(made.etcd or made.direct)


def files(path: str) -> list[str]:
    """The file, and those of certificates that it names; the file alone when it cannot be used."""
    found = [path]
    try:
        selections = _selections(path)
    except EgressConfigError:
        return found
    for connection in selections.values():
        tls = ((connection.get("transport") or {}).get("tcp") or {}).get("tlsConfig") or {}
        found += [tls[name] for name in ("caBundle", "clientCert", "clientKey") if tls.get(name)]
    return found


def load(path: str, metrics: EgressMetrics) -> Egress:
    """The dialers that a file describes, direct ones when `path` is "";
    EgressConfigError when it cannot be used."""
    selections = _selections(path) if path else {}
    try:
        dialers = {name: _dialer(name, connection, metrics) for name, connection in selections.items()}
    except EgressConfigError as error:
        raise EgressConfigError(f"failed to setup egress selector: {error}") from None
    direct = Dialer()
    return Egress(
        dialers.get("cluster") or direct,
        dialers.get("controlplane") or direct,
        direct,
        dialers.get("etcd"),
    )


def _selections(path: str) -> dict[str, Object]:
    """The connection of each selection in a file."""
    try:
        config = _read(path)
    except EgressConfigError as error:
        raise EgressConfigError(f"failed to read egress selector config: {error}") from None
    selections = [one or {} for one in config.get("egressSelections") or ()]
    for one in selections:
        if one.get("name") == "master":  # the name of old files
            one["name"] = "controlplane"
    errs = validate(selections)
    if errs:
        texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in errs.causes))
        listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        raise EgressConfigError(f"failed to validate egress selector configuration: {listed}")
    return {one["name"].lower(): one["connection"] for one in selections}


def _read(path: str) -> Object:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise EgressConfigError(
            f"unable to read egress selector configuration from {quote(path)} [open {path}: {error.strerror}]"
        ) from None
    try:
        document = yaml.parse(data)
    except yaml.YAMLError as error:
        raise EgressConfigError(f"couldn't get version/kind; json parse error: {error}") from None
    config = document.value
    for member in ("kind", "apiVersion"):
        if not isinstance(config, dict) or not config.get(member):
            shown = "" if config is None else json.dumps(config, separators=(",", ":"))
            raise EgressConfigError(f"Object '{member.replace('kind', 'Kind')}' is missing in '{shown}'")
    if config["kind"] != KIND or config["apiVersion"] not in VERSIONS:
        raise EgressConfigError(
            f"no kind {quote(str(config['kind']))} is registered for version "
            f'{quote(str(config["apiVersion"]))} in scheme "{SCHEME}"'
        )
    problems = [text for text in (document.strict_error(), *_unknown(config, SHAPE, "")) if text]
    if problems:
        raise EgressConfigError(f"strict decoding error: {', '.join(problems)}")
    return dict(config)


def _unknown(value: Any, shape: Any, path: str) -> list[str]:
    """The members that there are not; EgressConfigError when one is of another type."""
    if value is None:
        return []
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise EgressConfigError(f"{path}: it must be a list")
        return [
            text for at, item in enumerate(value) for text in _unknown(item or {}, shape[0], f"{path}[{at}]")
        ]
    if isinstance(shape, dict) and not isinstance(value, dict):
        raise EgressConfigError(f"{path}: it must be an object")
    if shape is str:
        if not isinstance(value, str):
            raise EgressConfigError(f"{path}: it must be a string")
        return []
    out: list[str] = []
    for name, member in value.items():
        where = f"{path}.{name}".lstrip(".")
        out += _unknown(member, shape[name], where) if name in shape else [f"unknown field {quote(where)}"]
    return out


def validate(selections: list[Object]) -> Errors:
    """The faults in selections, in upstream's words (egressselector/config.go)."""
    errs = Errors()
    for one in selections:
        connection = one.get("connection") or {}
        transport, protocol = connection.get("transport"), connection.get("proxyProtocol", "")
        if protocol == "Direct":
            if transport is not None:
                errs.invalid(f"{PATH}.transport", "direct", "config must be absent for direct connect")
        elif protocol == "HTTPConnect":
            _http_connect(errs, transport)
        elif protocol == "GRPC":
            _grpc(errs, transport)
        else:
            errs.not_supported(f"{PATH}.protocol", protocol, PROTOCOLS)
    seen: set[str] = set()
    for at, one in enumerate(selections):
        name = one.get("name", "").lower()
        if name in seen:
            errs.duplicate(f"{PATH}[{at}]", name)
        elif name not in NAMES:
            errs.not_supported(PATH, name, NAMES)
        seen.add(name)
    return errs


def _http_connect(errs: Errors, transport: Object | None) -> None:
    if transport is None:
        errs.required(f"{PATH}.transport", "transport must be set for HTTPConnect")
        return
    tcp, uds = transport.get("tcp"), transport.get("uds")
    if tcp is not None and uds is not None:
        errs.invalid(f"{PATH}.tcp", _shown(tcp), "TCP and UDS cannot both be set")
    elif tcp is not None:
        _tcp(errs, tcp)
    elif uds is not None:
        _uds(errs, uds)
    else:
        errs.required(f"{PATH}.tcp", "One of TCP or UDS must be set")


def _grpc(errs: Errors, transport: Object | None) -> None:
    if transport is None:
        errs.required(f"{PATH}.transport", "transport must be set for GRPC")
    elif transport.get("uds") is None:
        errs.required(f"{PATH}.uds", "UDS must be set with GRPC")
    else:
        _uds(errs, transport["uds"])


def _uds(errs: Errors, uds: Object) -> None:
    if not uds.get("udsName"):
        errs.invalid(f"{PATH}.udsName", "nil", "must be present for UDS connections")


def _tcp(errs: Errors, tcp: Object) -> None:
    url, tls = tcp.get("url", ""), tcp.get("tlsConfig")
    if url.startswith("https://"):
        _tls(errs, tls)
    elif not url.startswith("http://"):
        errs.invalid(f"{PATH}.url", url, "supported connection protocols are http:// and https://")
    elif tls is not None:
        errs.invalid(f"{PATH}.tlsConfig", "nil", "config must not be present when using HTTP")


def _tls(errs: Errors, tls: Object | None) -> None:
    path = f"{PATH}.tlsConfig"
    if tls is None:
        errs.required(path, "TLSConfig must be present when using HTTPS")
        return
    ca, cert, key = (tls.get(name, "") for name in ("caBundle", "clientCert", "clientKey"))
    if ca and not Path(ca).exists():
        errs.invalid(f"{path}.caBundle", ca, "TLS config ca bundle does not exist")
    if not cert:
        errs.invalid(f"{path}.clientCert", "nil", "Using TLS requires clientCert")
    elif not Path(cert).exists():
        errs.invalid(f"{path}.clientCert", cert, "TLS client cert does not exist")
    if not key:
        errs.invalid(f"{path}.clientKey", "nil", "Using TLS requires requires clientKey")
    elif not Path(key).exists():
        errs.invalid(f"{path}.clientKey", key, "TLS client key does not exist")


def _shown(tcp: Object) -> Object:
    """A TCP transport with the names of upstream's fields, for an error text."""
    tls = tcp.get("tlsConfig")
    names = {
        "CABundle": "caBundle",
        "ClientKey": "clientKey",
        "ClientCert": "clientCert",
        "TLSServerName": "tlsServerName",
    }
    shown = None if tls is None else {name: tls.get(member, "") for name, member in names.items()}
    return {"URL": tcp.get("url", ""), "TLSConfig": shown}


def _dialer(name: str, connection: Object, metrics: EgressMetrics) -> Dialer | None:
    """The dialer of a valid connection; None when it is a direct one."""
    protocol = connection["proxyProtocol"]
    if protocol == "Direct":
        return None
    transport = connection["transport"]
    try:
        if protocol == "GRPC":
            return _konnectivity(transport["uds"]["udsName"], metrics)
        if transport.get("uds") is not None:
            return ProxyDialer(Proxy(path=transport["uds"]["udsName"]), metrics)
        return ProxyDialer(_proxy(transport["tcp"]), metrics)
    except EgressConfigError as error:
        raise EgressConfigError(
            f"failed to create dialer for egressSelection {quote(name)}: {error}"
        ) from None


def _konnectivity(path: str, metrics: EgressMetrics) -> Dialer:
    if find_spec("grpc") is None:
        raise EgressConfigError("proxyProtocol GRPC needs the package grpcio: pip install pilothouse[etcd]")
    from pilothouse.outbound.konnectivity import KonnectivityDialer

    return KonnectivityDialer(path, metrics)


def _proxy(tcp: Object) -> Proxy:
    url, tls = tcp["url"], tcp.get("tlsConfig") or {}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise EgressConfigError(f"invalid proxy server url {quote(url)}: {error}") from None
    if not host or port is None:
        raise EgressConfigError(f"invalid proxy server url {quote(url)}: it must have a host and a port")
    if parts.scheme == "http":
        return Proxy(host, port)
    return Proxy(host, port, _context(tls), tls.get("tlsServerName", ""))


def _context(tls: Object) -> ssl.SSLContext:
    ca, cert, key = tls.get("caBundle"), tls["clientCert"], tls["clientKey"]
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except (OSError, ValueError) as error:
        raise EgressConfigError(f"failed to read cert file {ca}, got {error}") from None
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        raise EgressConfigError(f"failed to read key pair {cert} & {key}, got {error}") from None
    return context
