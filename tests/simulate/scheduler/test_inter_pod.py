"""Pod affinity and anti-affinity."""

from typing import Any

from simulate.scheduler.views import HOSTNAME, ZONE, Object, cluster, decided, node, pod, refusal

from pilothouse.simulate.scheduler.decision import decide
from pilothouse.simulate.scheduler.pods import Pending

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def term(app: str = "db", topology: str = ZONE, **members: Any) -> Object:
    return {"topologyKey": topology, "labelSelector": {"matchLabels": {"app": app}}, **members}


def near(*terms: Object) -> Object:
    return {"podAffinity": {REQUIRED: list(terms)}}


def far(*terms: Object) -> Object:
    return {"podAntiAffinity": {REQUIRED: list(terms)}}


NODES = node("a1", labels={ZONE: "a"}), node("a2", labels={ZONE: "a"}), node("b1", labels={ZONE: "b"})
DB = pod("db", on="b1", labels={"app": "db"})


def test_a_pod_goes_where_the_pods_are_that_it_must_be_near() -> None:
    assert decided(pod("p", affinity=near(term())), *NODES, DB).node == "b1"
    assert refusal(pod("p", affinity=near(term("gone"))), *NODES, DB) == (
        "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    )
    both = near(term(), term(topology=HOSTNAME))
    assert decided(pod("p", affinity=both), *NODES, DB).node == "b1"


def test_the_first_pod_of_a_group_may_be_near_to_itself() -> None:
    wanted = pod("p", labels={"app": "db"}, affinity=near(term()))
    assert decided(wanted, *NODES).node
    assert not decided(wanted, node("n")).node  # which has no zone


def test_a_pod_keeps_away_from_those_that_it_must_be_far_from() -> None:
    assert decided(pod("p", affinity=far(term())), *NODES, DB).node in ("a1", "a2")
    text = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    assert refusal(pod("p", affinity=far(term())), NODES[2], DB) == text


def test_a_pod_keeps_away_from_those_that_will_not_have_it_near() -> None:
    shy = pod("shy", on="b1", affinity=far(term("web")))
    text = "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    assert refusal(pod("p", labels={"app": "web"}), NODES[2], shy) == text
    assert decided(pod("p", labels={"app": "other"}), NODES[2], shy).node == "b1"


def test_terms_are_about_namespaces_by_name_and_by_label() -> None:
    other = pod("db", on="b1", labels={"app": "db"})
    other["metadata"]["namespace"] = "team"
    assert not decided(pod("p", affinity=near(term())), *NODES, other).node
    assert decided(pod("p", affinity=near(term(namespaces=["team"]))), *NODES, other).node == "b1"
    state = cluster(*NODES, other)
    state.set_namespace("team", {"kind": "data"})
    for labels, placed in (({"kind": "data"}, "b1"), ({"kind": "x"}, ""), ({}, "b1")):
        selector = {"matchLabels": labels} if labels else {}
        wanted = Pending(pod("p", affinity=near(term(namespaceSelector=selector))))
        assert decide(wanted, state, _Nothing(), []).node == placed  # type: ignore[arg-type]


class _Nothing:
    def list(self, resource: str, namespace: str = "") -> list[Object]:
        return []


def test_preferences_of_either_side_count_for_the_choice() -> None:
    weighed = [{"weight": 100, "podAffinityTerm": term()}]
    assert decided(pod("p", affinity={"podAffinity": {PREFERRED: weighed}}), *NODES, DB).node == "b1"
    heavy = pod("h", on="a1", cpu="1", memory="2Gi"), pod("i", on="a2", cpu="1", memory="2Gi")
    wanted = pod("p", affinity={"podAntiAffinity": {PREFERRED: weighed}})
    assert decided(wanted, *NODES, DB, *heavy).node in ("a1", "a2")
    assert decided(pod("p"), *NODES, DB, *heavy).node == "b1"
    theirs = [{"weight": 100, "podAffinityTerm": term("web")}]
    friend = pod("f", on="a2", affinity={"podAffinity": {PREFERRED: theirs}})
    assert decided(pod("p", labels={"app": "web"}), *NODES, DB, heavy[0], friend).node in ("a1", "a2")


def test_a_pod_that_requires_others_near_draws_them() -> None:
    needs = pod("f", on="b1", cpu="1", memory="2Gi", labels={"app": "web"}, affinity=near(term("web")))
    assert decided(pod("p", labels={"app": "web"}), *NODES, needs).node == "b1"
    assert decided(pod("p", labels={"app": "other"}), *NODES, needs).node == "a1"
