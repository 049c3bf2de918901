"""Every cause that probes and lifecycle handlers can have (pkg/apis/core/validation)."""

from pods import container
from rules import table

from pilothouse.api.validate.pod.spec import validate_pod as NEW
from pilothouse.api.values.fields import Object

SPEED = {"timeoutSeconds": 1, "periodSeconds": 1, "successThreshold": 1, "failureThreshold": 1}


def live(**members: object) -> Object:
    return container(livenessProbe={**SPEED, **members})


def hook(**handler: object) -> Object:
    return container(lifecycle={"preStop": handler})


test_causes = table([
    (NEW, live(exec={"command": ["true"]}), []),
    (NEW, live(), ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]),
    (NEW, live(exec={}, tcpSocket={"port": 1}), [
        "spec.containers[0].livenessProbe.exec.command: Required value",
        "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"]),
    (NEW, live(tcpSocket={"port": 0}, successThreshold=2, periodSeconds=-1), [
        "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"]),
    (NEW, live(grpc={"port": 70_000}, terminationGracePeriodSeconds=0), [
        "spec.containers[0].livenessProbe.grpc.port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        "spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"]),
    (NEW, live(httpGet={"path": "/", "port": "http", "scheme": "HTTPS"}), []),
    (NEW, live(httpGet={"port": "Http!", "scheme": "FTP", "httpHeaders": [{"name": "A b"}]}), [
        "spec.containers[0].livenessProbe.httpGet.path: Required value",
        'spec.containers[0].livenessProbe.httpGet.port: Invalid value: "Http!": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"',
        "spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: \"A b\": a valid HTTP header must consist of alphanumeric characters or '-'"]),
    (NEW, container(readinessProbe={**SPEED, "successThreshold": 2, "exec": {"command": ["a"]}}), []),
    (NEW, container(readinessProbe={**SPEED, "terminationGracePeriodSeconds": 1, "exec": {"command": ["a"]}}),
        ["spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes"]),
    (NEW, container(startupProbe={**SPEED, "exec": {"command": ["a"]}}), []),
    (NEW, hook(sleep={"seconds": 30}), []),
    (NEW, hook(sleep={"seconds": 31}), ["spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"]),
    (NEW, hook(), ["spec.containers[0].lifecycle.preStop: Required value: must specify a handler type"]),
    (NEW, hook(tcpSocket={"port": 1}, exec={"command": ["a"]}), ["spec.containers[0].lifecycle.preStop.tcpSocket: Forbidden: may not specify more than 1 handler type"]),
    (NEW, container(lifecycle={"stopSignal": "SIGTERM", "postStart": {"exec": {}}}), ["spec.containers[0].lifecycle.postStart.exec.command: Required value"]),
])  # fmt: skip
