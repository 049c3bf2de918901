"""Topology spread."""

from typing import Any

from simulate.scheduler.views import HOSTNAME, ZONE, Object, decided, node, pod, refusal

APP = {"app": "web"}
NOT_SPREAD = "node(s) didn't match pod topology spread constraints"


def constraint(topology: str = ZONE, **members: Any) -> Object:
    given = {
        "topologyKey": topology,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": APP},
    }
    return given | members


def web(name: str, *, on: str = "", constraints: list[Object] | None = None, **spec: Any) -> Object:
    return pod(name, on=on, labels=APP, topologySpreadConstraints=constraints or [], **spec)


ZONES = node("a1", labels={ZONE: "a"}), node("a2", labels={ZONE: "a"}), node("b1", labels={ZONE: "b"})


def test_the_skew_is_kept() -> None:
    given = *ZONES, web("x", on="a1"), web("y", on="b1"), web("z", on="a2")
    assert decided(web("p", constraints=[constraint()]), *given).node == "b1"
    full = *given[:2], node("b1", labels={ZONE: "b"}, pods="1"), *given[3:]
    assert refusal(web("p", constraints=[constraint()]), *full) == (
        f"0/3 nodes are available: 1 Too many pods, 2 {NOT_SPREAD}."
    )
    assert decided(web("p", constraints=[constraint(maxSkew=2)]), *full).node in ("a1", "a2")


def test_only_pods_that_the_constraint_selects_count() -> None:
    other = pod("o", on="a1", labels={"app": "db"})
    elsewhere = web("e", on="a1")
    elsewhere["metadata"]["namespace"] = "other"
    ending = web("t", on="a1")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    given = *ZONES[:1], node("b1", labels={ZONE: "b"}, pods="0"), other, elsewhere, ending
    assert decided(web("p", constraints=[constraint()]), *given).node == "a1"


def test_nodes_without_the_label_are_refused() -> None:
    text = f"0/1 nodes are available: 1 {NOT_SPREAD} (missing required label)."
    assert refusal(web("p", constraints=[constraint()]), node("n")) == text


def test_too_few_domains_count_as_an_empty_one() -> None:
    given = node("a", labels={ZONE: "a"}), web("x", on="a")
    assert decided(web("p", constraints=[constraint()]), *given).node == "a"
    wanted = web("p", constraints=[constraint(minDomains=2)])
    assert refusal(wanted, *given) == f"0/1 nodes are available: 1 {NOT_SPREAD}."


def test_nodes_that_the_pod_may_not_use_do_not_count_unless_asked_for() -> None:
    given = node("a", labels={ZONE: "a", "use": "yes"}), node("b", labels={ZONE: "b"}), web("x", on="a")
    honoured = web("p", constraints=[constraint()], nodeSelector={"use": "yes"})
    assert decided(honoured, *given).node == "a"
    ignored = web("p", constraints=[constraint(nodeAffinityPolicy="Ignore")], nodeSelector={"use": "yes"})
    assert "1 node(s) didn't match pod topology spread" in refusal(ignored, *given)
    tainted = node("b", labels={ZONE: "b"}, taints=[{"key": "t", "effect": "NoSchedule"}])
    pods = given[0], tainted, given[2]
    assert decided(web("p", constraints=[constraint(nodeTaintsPolicy="Honor")]), *pods).node == "a"
    assert not decided(web("p", constraints=[constraint()]), *pods).node


def test_constraints_that_need_not_be_met_count_for_the_choice() -> None:
    given = *ZONES, web("x", on="a1"), web("y", on="a2")
    wanted = web("p", constraints=[constraint(whenUnsatisfiable="ScheduleAnyway")])
    assert decided(wanted, *given).node == "b1"
    hosts = web("p", constraints=[constraint(HOSTNAME, whenUnsatisfiable="ScheduleAnyway")])
    assert decided(hosts, *given, web("z", on="b1"), node("free", labels={ZONE: "a"})).node == "free"


def test_pods_of_a_service_are_spread_without_being_asked() -> None:
    service = {"metadata": {"name": "s", "namespace": "default"}, "spec": {"selector": APP}}
    busy = web("x", on="a1"), web("y", on="a2")
    heavy = pod("h", on="b1", cpu="1", memory="2Gi")  # its scores alone would keep pods away
    assert decided(web("p"), *ZONES, *busy, heavy, services=[service]).node == "b1"
    assert decided(web("p"), *ZONES, *busy, heavy).node != "b1"
    other = {"metadata": {"name": "o", "namespace": "default"}, "spec": {"selector": {"app": "other"}}}
    assert decided(web("p"), *ZONES, *busy, heavy, services=[other]).node != "b1"
    both = [service, other]
    assert decided(web("p"), *ZONES, *busy, heavy, services=both).node == "b1"


def test_pods_of_a_replica_set_are_spread_without_being_asked() -> None:
    owner = {"metadata": {"name": "r", "namespace": "default"}, "spec": {"selector": {"matchLabels": APP}}}
    wanted = web("p")
    wanted["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "controller": True}
    ]
    given = *ZONES, web("x", on="a1"), web("y", on="a2"), pod("h", on="b1", cpu="1", memory="2Gi")
    assert decided(wanted, *given, replicasets_apps=[owner]).node == "b1"
    assert decided(wanted, *given).node != "b1"
