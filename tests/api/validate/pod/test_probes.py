"""Every cause that probes and lifecycle handlers can have (pkg/apis/core/validation)."""

from pods import container
from rules import at, below, table, valid, within

from pilothouse.api.validate.pod.spec import validate_pod

NEW = within("spec.containers[0]", validate_pod)
SPEED = {"timeoutSeconds": 1, "periodSeconds": 1, "successThreshold": 1, "failureThreshold": 1}
live = at(container(), "spec.containers.0.livenessProbe", SPEED)
hook = at(container(), "spec.containers.0.lifecycle.preStop", {})
test_causes = table([
    *valid(NEW, live(exec={"command": ["true"]}), live(httpGet={"path": "/", "port": "http", "scheme": "HTTPS"})),
    *valid(NEW, container(readinessProbe={**SPEED, "successThreshold": 2, "exec": {"command": ["a"]}}), container(startupProbe={**SPEED, "exec": {"command": ["a"]}}), hook(sleep={"seconds": 30})),
    (NEW, live(), "~.livenessProbe! : must specify a handler type"),
    (NEW, live(exec={}, tcpSocket={"port": 1}), "~.livenessProbe.exec.command!", "~.livenessProbe.tcpSocket- : may not specify more than 1 handler type"),
    (NEW, live(tcpSocket={"port": 0}, successThreshold=2, periodSeconds=-1), *below("~.livenessProbe", ".tcpSocket.port : <port>", ".periodSeconds : <not negative>", ".successThreshold : must be 1")),
    (NEW, live(grpc={"port": 70_000}, terminationGracePeriodSeconds=0), "~.livenessProbe.grpc.port : <port>", "~.livenessProbe.terminationGracePeriodSeconds : must be greater than 0"),
    (NEW, live(httpGet={"port": "Http!", "scheme": "FTP", "httpHeaders": [{"name": "A b"}]}), *below("~.livenessProbe.httpGet", ".path!",
        ".port : must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)", ".scheme HTTP|HTTPS",
        ".httpHeaders=\"A b\" : a valid HTTP header must consist of alphanumeric characters or '-'")),
    (NEW, container(readinessProbe={**SPEED, "terminationGracePeriodSeconds": 1, "exec": {"command": ["a"]}}), "~.readinessProbe.terminationGracePeriodSeconds : must not be set for readinessProbes"),
    (NEW, hook(sleep={"seconds": 31}), "~.lifecycle.preStop.sleep=31 : must be non-negative and less than terminationGracePeriodSeconds (30)"),
    (NEW, hook(), "~.lifecycle.preStop! : must specify a handler type"),
    (NEW, hook(tcpSocket={"port": 1}, exec={"command": ["a"]}), "~.lifecycle.preStop.tcpSocket- : may not specify more than 1 handler type"),
    (NEW, container(lifecycle={"stopSignal": "SIGTERM", "postStart": {"exec": {}}}), "~.lifecycle.postStart.exec.command!"),
])  # fmt: skip
