"""Rules, warnings and printers take time in proportion to their input, and none that a short text could keep busy for very long."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from complexity import MOST, seconds
from filled import linear

from pilothouse.api.validate import admissionregistration, certificates, dra, node, policies, quota, rbac, storage
from pilothouse.api.validate.core_node import validate_node, validate_node_update
from pilothouse.api.validate.cron import schedule_fault, zone_fault
from pilothouse.api.validate.job_indexes import parse_indexes
from pilothouse.api.validate.key_pair import key_pair_fault
from pilothouse.api.validate.network_policy import validate_network_policy
from pilothouse.api.validate.percent import int_or_percent
from pilothouse.api.validate.pod.annotations import APPARMOR, validate_pod_annotations
from pilothouse.api.validate.pod.env import ENV_FIELDS, validate_field_ref
from pilothouse.api.validate.pod.mounts import validate_volume_devices, validate_volume_mounts
from pilothouse.api.validate.pod.options import is_int32
from pilothouse.api.validate.pod.scheduling import validate_added_tolerations, validate_spread_constraints
from pilothouse.api.validate.pod.security import validate_security_context
from pilothouse.api.validate.pod.status import validate_pod_status_update
from pilothouse.api.validate.pod.warnings import pod_warnings
from pilothouse.api.validate.resources import huge_page_fault, is_whole, validate_claim_names
from pilothouse.api.validate.volume_sources import rules as sources
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.pod_resources import aggregate
from pilothouse.registry.printers.core import PRINTERS

Call = Callable[[Any], Any]
Make = Callable[[int], Any]
NUMBERS = count()
KNOWN = frozenset(f"k{i}" for i in range(20000))
CONTAINERS = {"containers": [{"name": str(i)} for i in range(3000)]}
ZONE = {"provisioner": "example.com/p", "volumeBindingMode": "Immediate"}
print_endpoints, print_pod = PRINTERS["", "endpoints"], PRINTERS["", "pods"]


def fresh_address() -> str:
    """An address that no cache knows."""
    number = next(NUMBERS)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def of(rule: Callable[..., None], *more: Any) -> Call:
    """A rule of (object, errors), or with more of (value, path, errors)."""
    return lambda value: rule(value, *more[:1], Errors(), *more[1:])


def updated(rule: Callable[..., None]) -> Call:
    """A rule of (object, old one, errors) for a change that changes nothing."""
    return lambda obj: rule(obj, obj, Errors())


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], **spec}, "status": {}}


def ports(**port: Any) -> Make:
    """A pod with ports whose members depend on the number of the port."""
    return lambda n: pod(containers=[{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP", **{m: v(i) for m, v in port.items()}} for i in range(n)]}])


def repeated(text: Any, start: Any = b"") -> Make:
    return lambda n: start + text * n


def hook(i: int, **more: Any) -> Object:
    return {"name": f"h{i}.example.com", "matchConditions": [{"name": f"c{i}", "expression": "true"}], **more}


def hard(n: int, **more: Any) -> Object:
    return {"spec": {"hard": {f"example.com/r{i}": "1" for i in range(n)}, **more}}


def mounts_and_devices(pair: tuple[list[Object], list[Object]]) -> None:
    validate_volume_mounts(*pair, {}, "p", Errors())
    validate_volume_devices(pair[1], pair[0], {}, "p", Errors())


def excepted(n: int) -> Object:
    block = {"cidr": "10.0.0.0/8", "except": [f"10.{i >> 8 & 255}.{i & 255}.0/24" for i in range(n)]}
    return {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}}


def sidecars(n: int) -> Object:
    sidecar = {"restartPolicy": "Always", "resources": {"requests": {f"r{i}": "1" for i in range(n)}}}
    return {"initContainers": [sidecar, *({"resources": {"requests": {"cpu": "1"}}} for _ in range(n))]}


LINEAR: dict[str, tuple[Call, Make, int]] = {
    "ports without a clash": (pod_warnings, ports(hostPort=lambda i: i + 1), 500),
    "ports of addresses without a clash": (pod_warnings, ports(hostPort=lambda i: 80, hostIP=lambda i: f"10.0.{i >> 8}.{i & 255}"), 500),
    "spread constraints": (of(validate_spread_constraints, "p"), lambda n: [{"topologyKey": f"k{i}", "whenUnsatisfiable": "ScheduleAnyway"} for i in range(n)], 200),
    "tolerations beside old ones": (lambda given: validate_added_tolerations(given, given, "p", Errors()), lambda n: [{"key": f"k{next(NUMBERS)}", "operator": "Exists"} for _ in range(n)], 200),
    **{
        f"subscripts {text}": (lambda path: validate_field_ref({"apiVersion": "v1", "fieldPath": path}, ENV_FIELDS, "p", Errors()), repeated(text, ""), 2000)
        for text in ("['", "a['", "']", "metadata.labels['")
    },
    "exceptions of a block": (of(validate_network_policy), excepted, 300),
    "mounts beside devices": (mounts_and_devices, lambda n: ([{"name": f"m{i}", "mountPath": f"/m{i}"} for i in range(n)], [{"name": f"d{i}", "devicePath": f"/d{i}"} for i in range(n)]), 200),
    "requests of one claim, and claims that the pod does not have": (
        of(validate_claim_names, "p", KNOWN),
        lambda n: [{"name": f"c{i % n}", **({"request": "r"} if i < n else {})} for i in range(2 * n)],
        100,
    ),
    "capabilities": (of(validate_security_context, "p", False, True), lambda n: {"allowPrivilegeEscalation": False, "capabilities": {"add": ["CAP_SYS_ADMIN"] * n}}, 500),
    "registry of quobyte": (of(sources["quobyte"], "p"), lambda n: {"registry": "a," * n, "volume": "v"}, 500),
    "initiators": (of(sources["iscsi"], "p"), lambda n: {"targetPortal": "p", "iqn": "iqn.2000-01.a" * n}, 500),
    "profiles of containers": (lambda given: validate_pod_annotations(given, CONTAINERS, "p", Errors()), lambda n: {f"{APPARMOR}{i}": "unconfined" for i in range(n)}, 200),
    "steps of a start beside sidecars": (lambda spec: aggregate(spec, "requests"), sidecars, 200),
}
BLOCKS = (
    b"-----BEGIN CERTIFICATE-----", b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----", b"-----BEGIN A-----END B-----", b"-----", b"-----BEGIN ", b"-----BEGIN A", b"A", b" ",
    b"-----BEGIN A-----\nYWJj\n-----END A-----\n", b"-----BEGIN A-----",
)  # fmt: skip
REQUESTS = (
    b"-----BEGIN CERTIFICATE REQUEST-----", b"-----BEGIN CERTIFICATE REQUEST-----\n", b"-----BEGIN X-----\n-----END Y-----\n", b"-----BEGIN ", b"-----BEGIN A-----   ",
    b"-----BEGIN X-----\nA:b\n\n", b"-",
)  # fmt: skip
PEM: dict[str, tuple[Call, Make, int]] = {**{f"{start!r}, then {text!r}": (lambda data: key_pair_fault(data, b""), repeated(text, start), 1000) for start in (b"", b"-----BEGIN ") for text in BLOCKS}}
SLOW: dict[str, tuple[Call, Make, int]] = {
    "review versions": (of(admissionregistration.validate_validating_webhooks), lambda n: {"webhooks": [hook(0, admissionReviewVersions=[f"v{i}" for i in range(n)])]}, 200),
    "match conditions": (lambda obj: admissionregistration.validate_validating_webhooks(obj, Errors(), obj), lambda n: {"webhooks": [hook(i) for i in range(n)]}, 200),
    "actions": (of(policies.validate_validating_binding), lambda n: {"spec": {"policyName": "p", "validationActions": ["Deny"] + ["Audit"] * n}}, 200),
    "usages": (of(certificates.validate_request), lambda n: {"spec": {"usages": [f"u{i}" for i in range(n)], "signerName": "example.com/s"}}, 200),
    "binding conditions": (of(dra.validate_binding, "x"), lambda n: {"bindingConditions": [f"a{i}" for i in range(n)], "bindingFailureConditions": [f"b{i}" for i in range(n)]}, 200),
    "scopes": (of(quota.validate_quota), lambda n: hard(n, scopes=["Terminating"] * n), 200),
    "scope selectors": (of(quota.validate_quota), lambda n: hard(n, scopeSelector={"matchExpressions": [{"scopeName": "BestEffort", "operator": "Exists"}] * n}), 200),
    "topologies": (of(storage.validate_storage_class), lambda n: {**ZONE, "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": [f"z{i}"]}]} for i in range(n)]}, 200),
    "topology values": (of(storage.validate_storage_class), lambda n: {**ZONE, "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": [f"z{i}" for i in range(n)]}]}]}, 200),
    "drivers": (
        updated(storage.validate_csi_node_update),
        lambda n: {"spec": {"drivers": [{"name": f"d{i}.example.com", "nodeID": "n", "topologyKeys": ["example.com/zone"]} for i in range(n)]}},
        200,
    ),
    "tolerations": (of(node.validate_runtime_class), lambda n: {"handler": "h", "scheduling": {"tolerations": [{"key": f"k{i}", "operator": "Exists"} for i in range(n)]}}, 200),
    "roles": (of(rbac.validate_role), lambda n: {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [f"r{i}"]} for i in range(n)]}, 200),
    **{f"requests of {part!r}": (lambda data: list(certificates._blocks(data)), repeated(part), 500) for part in REQUESTS},
}


@pytest.mark.parametrize("case", LINEAR | PEM)
def test_ten_times_as_much_takes_ten_times_as_long(case: str) -> None:
    linear(*(LINEAR | PEM)[case])


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_long_lists_take_linear_time(case: str) -> None:
    linear(*SLOW[case], MOST + 10)  # names that are right are remembered, some thousands of them


def status(n: int) -> Object:
    states = [{"name": f"c{i}", "state": {"terminated": {"exitCode": 0}}} for i in range(n)]
    return {**pod(restartPolicy="Never"), "status": {"podIPs": [{"ip": fresh_address()} for _ in range(n)], "containerStatuses": states}}


def node_with_subnets(n: int) -> Object:
    addresses = [{"type": "InternalIP", "address": str(i)} for i in range(n)]
    return {"metadata": {}, "spec": {"podCIDRs": [f"{fresh_address()}/32" for _ in range(n)]}, "status": {"addresses": addresses}}


def node_rules(given: Object) -> None:
    validate_node(given, Errors())
    validate_node_update(given, given, Errors())


def endpoints(n: int) -> Object:
    """Addresses times ports: a product that is counted, not made."""
    return {"subsets": [{"addresses": [{"ip": "10.0.0.1"}] * n, "ports": [{"port": 80}] * n}] * 10}


def gated(n: int) -> Object:
    conditions = [{"type": f"t{i}", "status": "True"} for i in range(n)]
    return {**pod(readinessGates=[{"conditionType": f"t{i}"} for i in range(n)]), "status": {"conditions": conditions}}


SAME, MIXED = ports(), ports(hostPort=lambda i: i % 2, hostIP=lambda i: "::1" if i % 3 else "")
QUICK: dict[str, tuple[Call, Make, int, float]] = {
    "ports that all clash": (pod_warnings, SAME, 20000, 0.5),  # the search ends with what can be told
    "ports that often clash": (pod_warnings, MIXED, 20000, 0.5),
    "addresses and ended containers of a status": (updated(validate_pod_status_update), status, 10000, 1.0),
    "subnets and addresses of a node": (node_rules, node_with_subnets, 10000, 1.5),
    "printed endpoints": (lambda obj: print_endpoints(obj, 0.0), endpoints, 3000, 0.1),
    "readiness gates beside conditions": (lambda obj: print_pod(obj, 0.0), gated, 20000, 0.5),
}


@pytest.mark.parametrize("case", QUICK)
def test_much_takes_little_time(case: str) -> None:
    call, make, n, limit = QUICK[case]
    assert seconds(call, make, n) < limit


def test_no_more_is_told_than_an_answer_can_carry() -> None:
    assert all(len(pod_warnings(make(20000))) < 200 for make in (SAME, MIXED))
    assert print_endpoints(endpoints(2), 0.0)[1] == "10.0.0.1:80,10.0.0.1:80,10.0.0.1:80 + 37 more..."
    assert print_pod(gated(2), 0.0)[-1] == "2/2"


def test_numbers_beyond_all_measure() -> None:
    """Each of these numbers once took half a minute or ended in a 500."""
    many = "9" * 20
    assert is_whole(f"{many}e999970") and is_whole(f"{many}e2000000000") and is_whole("1e2000000000")
    assert not is_whole("1500m") and is_whole("1000m")
    assert huge_page_fault("hugepages-1e30", "2Mi")
    assert int_or_percent("9" * 5000 + "%") == int_or_percent("9" * 5000) == 2**63 - 1
    assert int_or_percent("-" + "9" * 5000) < 0 and int_or_percent("007%") == 7
    assert not is_int32("9" * 5000)
    with pytest.raises(ValueError, match="cannot convert string to integer for index"):
        parse_indexes("9" * 5000, 10)
    assert parse_indexes("0" * 5000 + "1", 10) == 1
    assert schedule_fault(f"{'9' * 5000} * * * *").endswith("value out of range")
    assert zone_fault("a.b.c.d/" * 100000).startswith("unknown time zone a.b.c.d/")  # and not imported dot by dot
