"""Validates probes and lifecycle handlers of containers (apis/core/validation)."""

from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

_ONE_HANDLER = "may not specify more than 1 handler type / must specify a handler type"
_probe = """
    @probe-handler
    initialDelaySeconds                 >=0
    timeoutSeconds                      >=0
    periodSeconds                       >=0
    successThreshold                    >=0
    failureThreshold                    >=0
    terminationGracePeriodSeconds       >=1 : must be greater than 0
"""
rules = Rules(__name__, header_name=d.Matches(names.http_header_name))
rules.define(f"""
http-get                            api.core.v1.HTTPGetAction
    path!
    port                                port-or-name
    scheme                              HTTP|HTTPS
    httpHeaders[=]
      name                              header-name as:
probe-handler                       api.core.v1.Probe
    first-of                            : {_ONE_HANDLER}
      exec
        command!
      httpGet                           http-get
      tcpSocket
        port                            port-or-name
      grpc
        port                            port-or-name
lifecycle-handler                   api.core.v1.LifecycleHandler
    first-of                            : {_ONE_HANDLER}
      exec
        command!
      httpGet                           http-get
      tcpSocket
        port                            port-or-name
      sleep
""")
readiness_probe = rules.table("api.core.v1.Probe")(f"""
    {_probe}
    terminationGracePeriodSeconds       never : must not be set for readinessProbes
""")
other_probe = rules.table("api.core.v1.Probe")(f"""
    {_probe}
    successThreshold                    1..1 : must be 1
""")
_handlers = rules.table("api.core.v1.Lifecycle")("""
    postStart                           lifecycle-handler
    preStop                             lifecycle-handler
""")


def validate_lifecycle(lifecycle: Object, path: str, errs: Errors, around: Any) -> None:
    """`around.grace` is the pod's grace period; another rule reports that it is missing."""
    grace: int | None = around.grace
    _handlers(lifecycle, path, errs)
    for member in ("postStart", "preStop"):
        handler = lifecycle.get(member) or {}
        sleep = handler.get("sleep")
        if sleep is None or grace is None or 0 <= sleep.get("seconds", 0) <= grace:
            continue
        if all(handler.get(other) is None for other in ("exec", "httpGet", "tcpSocket")):
            why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            errs.invalid(f"{path}.{member}.sleep", sleep.get("seconds", 0), why)
