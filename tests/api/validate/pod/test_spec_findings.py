"""Rules that took quadratic time, or that a short text could keep busy for very long."""

import gc
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from complexity import seconds
from filled import linear

from pilothouse.api.validate.apps import int_or_percent
from pilothouse.api.validate.core_node import validate_node, validate_node_update
from pilothouse.api.validate.cron import schedule_fault, zone_fault
from pilothouse.api.validate.job_indexes import parse_indexes
from pilothouse.api.validate.networking import validate_network_policy
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


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


NUMBERS = count()


def fresh_address() -> str:
    """An address that no cache knows."""
    number = next(NUMBERS)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def rule(call: Callable[..., None], *args: Any) -> Callable[[Any], None]:
    """A rule of (value, path, errs) as something that is timed."""
    return lambda value: call(value, "p", Errors(), *args)


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], **spec}, "status": {}}


def with_ports(port: Callable[[int], Object]) -> Callable[[int], Object]:
    return lambda n: pod(containers=[{"name": "c", "ports": [port(i) for i in range(n)]}])


SILENT: list[Callable[[int], Object]] = [
    lambda i: {"containerPort": 80, "hostPort": i + 1, "protocol": "TCP"},
    lambda i: {"containerPort": 80, "hostPort": 80, "hostIP": f"10.0.{i >> 8}.{i & 255}", "protocol": "TCP"},
]
NOISY: list[Callable[[int], Object]] = [lambda i: {"containerPort": 80, "protocol": "TCP"}, lambda i: {"containerPort": 80, "hostPort": i % 2, "hostIP": "::1" if i % 3 else "", "protocol": "TCP"}]


@pytest.mark.parametrize("port", SILENT)
def test_ports_without_a_clash(port: Callable[[int], Object]) -> None:
    linear(pod_warnings, with_ports(port), 500)


@pytest.mark.parametrize("port", NOISY)
def test_no_more_clashes_than_an_answer_can_carry(port: Callable[[int], Object]) -> None:
    """Every pair of them clashes: the search ends with what can be told."""
    assert seconds(pod_warnings, with_ports(port), 20000) < 0.5
    assert len(pod_warnings(with_ports(port)(20000))) < 200


def test_clashing_ports_are_told_in_their_order() -> None:
    ports = [(0, ""), (80, ""), (80, "1.1.1.1"), (81, ""), (80, ""), (0, "")]
    made = pod(containers=[{"name": "c", "ports": [{"hostPort": p, "hostIP": h} for p, h in ports]}])
    told = [text.partition(".ports")[2].replace("spec.containers[0].ports", "") for text in pod_warnings(made)]
    assert told == [
        "[1]: overlapping port definition with [0]",
        "[2]: overlapping port definition with [0]",
        "[2]: dangerously ambiguous port definition with [1]",
        "[3]: overlapping port definition with [0]",
        "[4]: overlapping port definition with [0]",
        "[4]: duplicate port definition with [1]",
        "[4]: dangerously ambiguous port definition with [2]",
        "[5]: duplicate port definition with [0]",
        *(f"[5]: overlapping port definition with [{i}]" for i in (1, 2, 3, 4)),
    ]


def test_spread_constraints() -> None:
    make = lambda n: [{"topologyKey": f"k{i}", "whenUnsatisfiable": "ScheduleAnyway"} for i in range(n)]
    linear(rule(validate_spread_constraints), make, 200)


def test_tolerations_beside_old_ones() -> None:
    make = lambda n: [{"key": f"k{next(NUMBERS)}", "operator": "Exists"} for _ in range(n)]
    linear(lambda pair: validate_added_tolerations(pair, pair, "p", Errors()), make, 200)


@pytest.mark.parametrize("text", ["['", "a['", "']", "metadata.labels['"])
def test_subscripts_of_fields(text: str) -> None:
    make = lambda n: {"apiVersion": "v1", "fieldPath": text * n}
    linear(lambda ref: validate_field_ref(ref, ENV_FIELDS, "p", Errors()), make, 2000)


def test_exceptions_of_a_block() -> None:
    def make(n: int) -> Object:
        block = {"cidr": "10.0.0.0/8", "except": [f"10.{i >> 8 & 255}.{i & 255}.0/24" for i in range(n)]}
        return {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}}

    linear(lambda policy: validate_network_policy(policy, Errors()), make, 300)


@pytest.mark.parametrize(
    ("part", "whole", "good"),
    [("10.1.0.0/16", "10.0.0.0/8", True), ("10.0.0.0/8", "10.0.0.0/8", False), ("11.0.0.0/16", "10.0.0.0/8", False), ("fd00:1::/32", "fd00::/8", True), ("fd00:1::/32", "0.0.0.0/0", False)],
)
def test_exceptions_are_strictly_smaller(part: str, whole: str, good: bool) -> None:
    errs = Errors()
    block = {"cidr": whole, "except": [part]}
    validate_network_policy({"spec": {"ingress": [{"from": [{"ipBlock": block}]}]}}, errs)
    assert [c["message"].rpartition(": ")[2] for c in errs.causes] == ([] if good else ["must be a strict subset of `cidr`"])


def test_mounts_beside_devices() -> None:
    def make(n: int) -> tuple[list[Object], list[Object]]:
        mounts = [{"name": f"m{i}", "mountPath": f"/m{i}"} for i in range(n)]
        return mounts, [{"name": f"d{i}", "devicePath": f"/d{i}"} for i in range(n)]

    def call(pair: tuple[list[Object], list[Object]]) -> None:
        validate_volume_mounts(*pair, {}, "p", Errors())
        validate_volume_devices(pair[1], pair[0], {}, "p", Errors())

    linear(call, make, 200)


def test_claims_of_a_container() -> None:
    """Many requests of one claim, and many claims that the pod does not have beside many that it has."""
    known = frozenset(f"k{i}" for i in range(20000))

    def requests(n: int) -> list[Object]:
        return [{"name": f"c{i % n}", **({"request": "r"} if i < n else {})} for i in range(2 * n)]

    linear(rule(validate_claim_names, known), requests, 100)
    errs = Errors()
    validate_claim_names([{"name": "a", "request": "x"}, {"name": "a", "request": "y"}, {"name": "a"}], "p", errs, frozenset("a"))
    assert [c["message"] for c in errs.causes] == ['Duplicate value: "a"'] * 2


def test_capabilities_and_their_context() -> None:
    make = lambda n: {"allowPrivilegeEscalation": False, "capabilities": {"add": ["CAP_SYS_ADMIN"] * n}}
    linear(rule(validate_security_context, False, True), make, 500)


def test_registry_of_quobyte() -> None:
    make = lambda n: {"registry": "a," * n, "volume": "v"}
    linear(rule(sources["quobyte"]), make, 500)


def test_initiators() -> None:
    make = lambda n: {"targetPortal": "p", "iqn": "iqn.2000-01.a" * n}
    linear(rule(sources["iscsi"]), make, 500)


def test_profiles_of_containers() -> None:
    def make(n: int) -> Object:
        return {f"{APPARMOR}{i}": "unconfined" for i in range(n)}

    containers = [{"name": str(i)} for i in range(3000)]
    linear(lambda a: validate_pod_annotations(a, {"containers": containers}, "p", Errors()), make, 200)


def test_addresses_and_ended_containers_of_a_status() -> None:
    def make(n: int) -> tuple[Object, Object]:
        ips = [{"ip": fresh_address()} for _ in range(n)]
        states = [{"name": f"c{i}", "state": {"terminated": {"exitCode": 0}}} for i in range(n)]
        new = {**pod(restartPolicy="Never"), "status": {"podIPs": ips, "containerStatuses": states}}
        return new, new

    def check(pair: tuple[Object, Object]) -> None:
        validate_pod_status_update(*pair, Errors())

    assert seconds(check, make, 10000) < 1.0


def test_subnets_and_addresses_of_a_node() -> None:
    def make(n: int) -> Object:
        subnets = [f"{fresh_address()}/32" for _ in range(n)]
        addresses = [{"type": "InternalIP", "address": str(i)} for i in range(n)]
        return {"metadata": {}, "spec": {"podCIDRs": subnets}, "status": {"addresses": addresses}}

    def call(node: Object) -> None:
        validate_node(node, Errors())
        validate_node_update(node, node, Errors())

    assert seconds(call, make, 10000) < 1.5


def test_steps_of_a_start_beside_sidecars() -> None:
    def make(n: int) -> Object:
        sidecar = {"restartPolicy": "Always", "resources": {"requests": {f"r{i}": "1" for i in range(n)}}}
        return {"initContainers": [sidecar, *({"resources": {"requests": {"cpu": "1"}}} for _ in range(n))]}

    linear(lambda spec: aggregate(spec, "requests"), make, 200)


def test_printed_endpoints() -> None:
    """Addresses times ports: a product that is counted, not made."""
    make = lambda n: {"subsets": [{"addresses": [{"ip": "10.0.0.1"}] * n, "ports": [{"port": 80}] * n}] * 10}
    printer = PRINTERS["", "endpoints"]
    assert printer(make(2), 0.0)[1] == "10.0.0.1:80,10.0.0.1:80,10.0.0.1:80 + 37 more..."
    assert seconds(lambda obj: printer(obj, 0.0), make, 3000) < 0.1


def test_readiness_gates_beside_conditions() -> None:
    def make(n: int) -> Object:
        gates = [{"conditionType": f"t{i}"} for i in range(n)]
        conditions = [{"type": f"t{i}", "status": "True"} for i in range(n)]
        return {**pod(readinessGates=gates), "status": {"conditions": conditions}}

    printer = PRINTERS["", "pods"]
    assert printer(make(2), 0.0)[-1] == "2/2"
    assert seconds(lambda obj: printer(obj, 0.0), make, 20000) < 0.5


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


def test_zones_are_not_imported_dot_by_dot() -> None:
    assert zone_fault("a.b.c.d/" * 100000).startswith("unknown time zone a.b.c.d/")
    assert zone_fault("Europe/Berlin") == ""
