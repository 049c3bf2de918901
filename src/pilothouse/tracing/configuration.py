"""The TracingConfiguration: which collector gets spans,
and of how many requests (KEP-647; component-base tracing/api/v1)."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from pilothouse.api.configfile import ConfigurationError, expect, parse, refuse
from pilothouse.api.values.fields import Errors
from pilothouse.process.patterns import pattern
from pilothouse.spans import MILLION

VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
ENDPOINT = "localhost:4317"
"""The address of a collector that the file does not name."""

_SCHEME = pattern(r"([A-Za-z][A-Za-z0-9+.-]*):(?=//)")
_NAMING = "Options are none, dns, unix, or unix-abstract.  See https://github.com/grpc/grpc/blob/master/doc/naming.md"


class TracingConfiguration(NamedTuple):
    """Where spans are sent. endpoint: the collector, as gRPC names it.
    per_million: requests of a million that are sampled where the client does not decide it."""

    endpoint: str = ENDPOINT
    per_million: int = 0


def load(path: str, data: bytes | None = None) -> TracingConfiguration:
    """The configuration in a file, whose content may be known already; ConfigurationError."""
    if data is None:
        try:
            data = Path(path).read_bytes()
        except OSError as err:
            why = (err.strerror or str(err)).lower()
            raise ConfigurationError(
                f'failed to read tracing config: unable to read tracing configuration from "{path}": open'
                f" {path}: {why}"
            ) from None
    lead = "failed to read tracing config: unable to decode tracing configuration data:"
    found = parse(data, lead)
    try:
        expect(found, VERSIONS, "TracingConfiguration", ("endpoint", "samplingRatePerMillion"))
    except ConfigurationError as err:
        raise ConfigurationError(f"{lead} {err}") from None
    errs = Errors()
    endpoint, rate = found.get("endpoint"), found.get("samplingRatePerMillion")
    per_million = _rate(rate, errs) if rate is not None else 0
    if endpoint is not None:
        _check_endpoint(endpoint, errs)
    try:
        refuse(errs)
    except ConfigurationError as err:
        raise ConfigurationError(f"failed to validate tracing configuration: {err}") from None
    return TracingConfiguration(ENDPOINT if endpoint is None else endpoint, per_million)


def _rate(value: Any, errs: Errors) -> int:
    if type(value) is not int:
        errs.invalid("samplingRatePerMillion", value, "it must be an integer")
        return 0
    if value < 0:
        errs.invalid("samplingRatePerMillion", value, "sampling rate must be positive")
    if value > MILLION:
        errs.invalid(
            "samplingRatePerMillion",
            value,
            "sampling rate per million must be less than or equal to one million",
        )
    return value


def _check_endpoint(value: Any, errs: Errors) -> None:
    if not isinstance(value, str):
        errs.invalid("endpoint", value, "it must be a string")
        return
    found = _SCHEME.match(value)
    scheme = found[1].lower() if found else "" if "//" in value else "dns"
    if scheme not in ("dns", "unix", "unix-abstract"):
        errs.invalid("endpoint", value, f"unsupported scheme: {scheme}.  {_NAMING}")


def target(endpoint: str) -> str:
    """An endpoint as gRPC's C core reads it.
    Only a host and port go by TCP, and then `dns://host/` has no name server."""
    return re.sub(r"^dns://[^/]*/", "dns:///", endpoint)


def address(endpoint: str) -> tuple[str, int] | None:
    """Host and port of an endpoint, None where it is a Unix socket."""
    if endpoint.startswith(("unix:", "unix-abstract:")):
        return None
    host, _, port = target(endpoint).removeprefix("dns:").lstrip("/").rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() and host else (f"{host}{port}".strip("[]"), 443)
