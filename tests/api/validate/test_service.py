"""Services and endpoints."""

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.service import service_warnings, validate_endpoints, validate_service, validate_service_update


def service(**spec: object) -> Object:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    whole = {
        "type": "ClusterIP",
        "ports": ports,
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "clusterIP": "10.0.0.5",
        "clusterIPs": ["10.0.0.5"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        **spec,
    }
    return {"metadata": {"name": "s"}, "spec": whole, "status": {"loadBalancer": {}}}


def causes(obj: Object, old: Object | None = None) -> list[tuple[str, str]]:
    errs = Errors()
    if old is None:
        validate_service(obj, errs)
    else:
        validate_service_update(obj, old, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


def test_plain_service() -> None:
    assert causes(service()) == []


@pytest.mark.parametrize(("bad", "field", "message"), [
    ({"ports": []}, "spec.ports", "Required value"),
    ({"type": "Other"}, "spec.type", 'Unsupported value: "Other": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '),
    ({"type": "ExternalName"}, "spec.externalName", "Required value"),
    ({"externalIPs": ["127.0.0.1"]}, "spec.externalIPs[0]", "may not be in the loopback range"),
    ({"sessionAffinity": ""}, "spec.sessionAffinity", "Required value"),
])  # fmt: skip
def test_bad_service(bad: Object, field: str, message: str) -> None:
    assert any(f == field and message in m for f, m in causes(service(**bad)))


def test_doubled_ports() -> None:
    port = {"port": 80, "protocol": "TCP", "targetPort": 80}
    doubled = service(ports=[{**port, "name": "a"}, {**port, "name": "b"}])
    assert [f for f, _ in causes(doubled)] == ["spec.ports[1]"]


def test_cluster_ip_is_fixed() -> None:
    new = service(clusterIP="10.0.0.6", clusterIPs=["10.0.0.6"])
    fields = [f for f, _ in causes(new, service())]
    assert fields == ["spec.clusterIPs[0]"]


def test_warnings() -> None:
    assert service_warnings(service()) == []
    text = "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    assert service_warnings(service(externalIPs=["10.9.0.1"])) == [text]


def test_endpoints_need_addresses() -> None:
    errs = Errors()
    validate_endpoints({"metadata": {"name": "e"}, "subsets": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}, errs)
    assert [c["field"] for c in errs.causes] == ["subsets[0]"]
