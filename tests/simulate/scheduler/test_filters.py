"""Which nodes a pod fits: filters that look at one node alone."""

from typing import Any

import pytest
from simulate.scheduler.views import Object, decided, node, pod, refusal

IN, REQUIRED = "In", "requiredDuringSchedulingIgnoredDuringExecution"
TAINT = {"key": "a", "value": "b", "effect": "NoSchedule"}


def near(*terms: Object) -> Object:
    """The required node affinity of a pod."""
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


UNMATCHED = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "hdd"}}, False),
        ({"nodeSelector": {"disk": "ssd", "gone": ""}}, False),
        ({"affinity": near(expression("disk", "In", "hdd", "ssd"))}, True),
        ({"affinity": near(expression("disk", "NotIn", "ssd"))}, False),
        ({"affinity": near(expression("gone", "NotIn", "x"))}, True),
        ({"affinity": near(expression("disk", "Exists"))}, True),
        ({"affinity": near(expression("disk", "DoesNotExist"))}, False),
        ({"affinity": near(expression("size", "Gt", "4"))}, True),
        ({"affinity": near(expression("size", "Lt", "5"))}, False),
        ({"affinity": near(expression("disk", "Gt", "4"))}, False),
        ({"affinity": near(expression("gone", "Exists"), expression("disk", "Exists"))}, True),
        ({"affinity": near({})}, False),
        (
            {"affinity": near({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["n"]}]})},
            True,
        ),
        (
            {"affinity": near({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["o"]}]})},
            False,
        ),
    ],
)
def test_node_selectors_and_affinity(spec: dict[str, Any], fits: bool) -> None:
    given = node("n", labels={"disk": "ssd", "size": "5"})
    if fits:
        assert decided(pod("p", **spec), given).node == "n"
    else:
        assert refusal(pod("p", **spec), given) == UNMATCHED


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "a", "value": "b"}, True),
        ({"key": "a", "operator": "Equal", "value": "c"}, False),
        ({"key": "a", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_taints_and_tolerations(toleration: Object, fits: bool) -> None:
    given = node("n", taints=[TAINT, {"key": "soft", "effect": "PreferNoSchedule"}])
    wanted = pod("p", tolerations=[toleration])
    if fits:
        assert decided(wanted, given).node == "n"
    else:
        assert refusal(wanted, given) == "0/1 nodes are available: 1 node(s) had untolerated taint(s)."


def with_port(name: str, port: int, *, on: str = "", protocol: str = "TCP", address: str = "") -> Object:
    made = pod(name, on=on)
    given = {"containerPort": 1, "hostPort": port, "protocol": protocol}
    made["spec"]["containers"][0]["ports"] = [given | {"hostIP": address} if address else given]
    return made


def test_ports_of_the_host_are_taken_once() -> None:
    given = node("n"), with_port("x", 80, on="n")
    text = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    assert refusal(with_port("p", 80), *given) == text
    assert refusal(with_port("p", 80, address="10.0.0.1"), *given) == text
    assert decided(with_port("p", 81), *given).node == "n"
    assert decided(with_port("p", 80, protocol="UDP"), *given).node == "n"
    own = node("n"), with_port("x", 80, on="n", address="10.0.0.1")
    assert decided(with_port("p", 80, address="10.0.0.2"), *own).node == "n"
    assert refusal(with_port("p", 80), *own) == text


def test_requests_of_init_containers_and_sidecars_count_as_upstream_says() -> None:
    def asking(cpu: str, **members: Any) -> Object:
        return {"name": cpu, "image": "i", "resources": {"requests": {"cpu": cpu}}, **members}

    init = [asking("3"), asking("1", restartPolicy="Always"), asking("2")]
    wanted = pod("p", cpu="1", initContainers=init)
    assert decided(wanted, node("n", cpu="3")).node == "n"
    assert refusal(wanted, node("n", cpu="2999m")) == "0/1 nodes are available: 1 Insufficient cpu."


def test_the_reasons_of_all_nodes_are_counted_in_their_order() -> None:
    nodes = [
        node("a", memory="1Gi", cpu="1"),
        node("b", cpu="1"),
        node("c", taints=[TAINT]),
        node("d", pods="0"),
    ]
    assert refusal(pod("p", cpu="2", memory="2Gi"), *nodes) == (
        "0/4 nodes are available: 1 Insufficient memory, 1 Too many pods,"
        " 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
    )


def test_other_resources_are_counted_too() -> None:
    wanted = pod("p")
    wanted["spec"]["containers"][0]["resources"] = {"requests": {"a.b/gpu": "2"}}
    gpus = node("n")
    gpus["status"]["allocatable"]["a.b/gpu"] = "1"
    assert refusal(wanted, gpus) == "0/1 nodes are available: 1 Insufficient a.b/gpu."
    gpus["status"]["allocatable"]["a.b/gpu"] = "2"
    assert decided(wanted, gpus).node == "n"
