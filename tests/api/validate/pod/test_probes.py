"""Every cause that probes and lifecycle handlers can have (pkg/apis/core/validation)."""

from pods import container
from rules import at, below, table, within

from pilothouse.api.validate.pod.spec import validate_pod

NEW = within("spec.containers[0]", validate_pod)
SPEED = {"timeoutSeconds": 1, "periodSeconds": 1, "successThreshold": 1, "failureThreshold": 1}


live = at(container(), "spec.containers.0.livenessProbe", SPEED)
hook = at(container(), "spec.containers.0.lifecycle.preStop", {})
test_causes = table([
    (NEW, live(exec={"command": ["true"]}), []),
    (NEW, live(), ["~.livenessProbe: Required value: must specify a handler type"]),
    (NEW, live(exec={}, tcpSocket={"port": 1}), ["~.livenessProbe.exec.command: Required value", "~.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"]),
    (NEW, live(tcpSocket={"port": 0}, successThreshold=2, periodSeconds=-1), ["~.livenessProbe.tcpSocket.port: Invalid value: 0: <port>",
        "~.livenessProbe.periodSeconds: Invalid value: -1: <not negative>", "~.livenessProbe.successThreshold: Invalid value: 2: must be 1"]),
    (NEW, live(grpc={"port": 70_000}, terminationGracePeriodSeconds=0), ["~.livenessProbe.grpc.port: Invalid value: 70000: <port>",
        "~.livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"]),
    (NEW, live(httpGet={"path": "/", "port": "http", "scheme": "HTTPS"}), []),
    (NEW, live(httpGet={"port": "Http!", "scheme": "FTP", "httpHeaders": [{"name": "A b"}]}), below("~.livenessProbe.httpGet", ".path: Required value",
        '.port: Invalid value: "Http!": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)', '.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"',
        ".httpHeaders: Invalid value: \"A b\": a valid HTTP header must consist of alphanumeric characters or '-'")),
    (NEW, container(readinessProbe={**SPEED, "successThreshold": 2, "exec": {"command": ["a"]}}), []),
    (NEW, container(readinessProbe={**SPEED, "terminationGracePeriodSeconds": 1, "exec": {"command": ["a"]}}),
        ["~.readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes"]),
    (NEW, container(startupProbe={**SPEED, "exec": {"command": ["a"]}}), []),
    (NEW, hook(sleep={"seconds": 30}), []),
    (NEW, hook(sleep={"seconds": 31}), ["~.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"]),
    (NEW, hook(), ["~.lifecycle.preStop: Required value: must specify a handler type"]),
    (NEW, hook(tcpSocket={"port": 1}, exec={"command": ["a"]}), ["~.lifecycle.preStop.tcpSocket: Forbidden: may not specify more than 1 handler type"]),
    (NEW, container(lifecycle={"stopSignal": "SIGTERM", "postStart": {"exec": {}}}), ["~.lifecycle.postStart.exec.command: Required value"]),
])  # fmt: skip
