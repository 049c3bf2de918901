"""Validates probes and lifecycle handlers of containers (apis/core/validation)."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import report, validate_nonnegative, validate_port_number_or_name

_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_LIFECYCLE_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def validate_probe(probe: Object, path: str, errs: Errors, member: str) -> None:
    """Validates a probe; `member` is livenessProbe, readinessProbe or startupProbe."""
    _handler(probe, path, errs, _PROBE_HANDLERS, None)
    for count in _COUNTS:
        validate_nonnegative(probe.get(count, 0), f"{path}.{count}", errs)
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errs.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if member == "readinessProbe":
        if grace is not None:
            why = "must not be set for readinessProbes"
            errs.invalid(f"{path}.terminationGracePeriodSeconds", grace, why)
    elif probe.get("successThreshold", 0) != 1:
        errs.invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1")


def validate_lifecycle(lifecycle: Object, path: str, errs: Errors, grace: int | None) -> None:
    """`grace` is the pod's termination grace period; None if it is missing, which is reported elsewhere."""
    for member in ("postStart", "preStop"):
        if lifecycle.get(member) is not None:
            _handler(lifecycle[member], f"{path}.{member}", errs, _LIFECYCLE_HANDLERS, grace)


def _handler(handler: Object, path: str, errs: Errors, kinds: tuple[str, ...], grace: int | None) -> None:
    found = [kind for kind in kinds if handler.get(kind) is not None]
    for i, kind in enumerate(found):
        if i:
            errs.forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
        else:
            _action(kind, handler[kind], f"{path}.{kind}", errs, grace)
    if not found:
        errs.required(path, "must specify a handler type")


def _action(kind: str, action: Object, path: str, errs: Errors, grace: int | None) -> None:
    if kind == "exec":
        if not action.get("command"):
            errs.required(f"{path}.command")
    elif kind == "httpGet":
        _http_get(action, path, errs)
    elif kind == "sleep":
        seconds = action.get("seconds", 0)
        if grace is not None and not 0 <= seconds <= grace:
            why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            errs.invalid(path, seconds, why)
    else:
        validate_port_number_or_name(action.get("port", 0), f"{path}.port", errs)


def _http_get(action: Object, path: str, errs: Errors) -> None:
    if not action.get("path"):
        errs.required(f"{path}.path")
    validate_port_number_or_name(action.get("port", 0), f"{path}.port", errs)
    if action.get("scheme", "") not in ("HTTP", "HTTPS"):
        errs.not_supported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        name = header.get("name", "")
        report(f"{path}.httpHeaders", name, names.http_header_name(name), errs)
