"""Matching requests against flow schemas."""

from typing import Any

import pytest
from flowcontrol.live import GROUP, REJECT, Live

from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.controllers import bootstrap
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.flowcontrol.levels import Levels


@pytest.fixture
def live() -> Live:
    return Live()


@pytest.fixture
def classifier(live: Live) -> Classifier:
    classifier = Classifier(live, Levels(live, 600))
    settings = bootstrap.BootstrapSettings(
        advertise_address="192.0.2.2",
        secure_port=6443,
        service_cidrs=("10.0.0.0/16",),
        hostname="h",
        now="2026-01-01T00:00:00Z",
    )
    for planned in bootstrap.objects(settings):
        if planned.group == GROUP:
            obj = planned.obj
            obj["metadata"]["uid"] = f"{planned.plural[0]}:{planned.name}"
            live.put(planned.plural, obj)
    return classifier


def user(name: str, *groups: Any) -> User:
    return User(name, groups=(*groups, "system:authenticated"))


def path(url: str, verb: str = "get") -> RequestInfo:
    return RequestInfo(url, verb)


def resource(verb: str = "get", name: str = "pods", namespace: str = "", group: str = "") -> RequestInfo:
    name, _, sub = name.partition("/")
    return RequestInfo("/", verb, True, "api", group, "v1", namespace, name, sub)


NODE = user("system:node:n", "system:nodes")
ACCOUNT = user(
    "system:serviceaccount:kube-system:s", "system:serviceaccounts", "system:serviceaccounts:kube-system"
)


@pytest.mark.parametrize(
    ("who", "info", "schema", "level"),
    [
        (user("admin", "system:masters"), path("/version"), "exempt", "exempt"),
        (user("alice"), path("/healthz"), "probes", "exempt"),
        (user("alice"), path("/version"), "global-default", "global-default"),
        (NODE, path("/version"), "system-nodes", "system"),
        (NODE, resource("update", "nodes/status"), "system-node-high", "node-high"),
        (ACCOUNT, resource(namespace="x"), "kube-system-service-accounts", "workload-high"),
        (
            user("system:serviceaccount:a:s", "system:serviceaccounts"),
            resource(),
            "service-accounts",
            "workload-low",
        ),
        (
            user("system:kube-scheduler"),
            resource("get", "leases", "kube-system", "coordination.k8s.io"),
            "system-leader-election",
            "leader-election",
        ),
        (user("system:kube-scheduler"), resource(), "kube-scheduler", "workload-high"),
        (User("x"), path("/x"), "catch-all", "catch-all"),
    ],
)
def test_the_built_in_schemas_know_everybody(
    classifier: Any, who: Any, info: Any, schema: str, level: str
) -> None:
    for _ in range(2):
        flow = classifier.flow(who, info)
        assert flow.uids == (f"f:{schema}", f"p:{level}")
        assert (flow.schema, flow.level.name) == (schema, level)


def schema(
    name: str, precedence: Any, method: str = "ByNamespace", level: str = "system", **rule: Any
) -> dict[str, Any]:
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods"], "namespaces": ["a"], **rule}]
    subjects = [{"kind": "User", "user": {"name": "jane"}}]
    spec = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "distinguisherMethod": {"type": method},
        "rules": [{"subjects": subjects, "resourceRules": rules}],
    }
    return {"metadata": {"name": name, "uid": name}, "spec": spec}


def named(flow: Any) -> tuple[str, str, str]:
    return flow.schema, flow.level.name, flow.distinguisher


def test_a_new_schema_counts_at_once_and_by_precedence(live: Any, classifier: Any) -> None:
    jane = user("jane")
    assert classifier.flow(jane, resource(namespace="a")).schema == "global-default"
    live.put("flowschemas", schema("b", 50))
    assert named(classifier.flow(jane, resource(namespace="a"))) == ("b", "system", "a")
    live.put("flowschemas", schema("a", 50, method="ByUser"))
    assert named(classifier.flow(jane, resource(namespace="a"))) == ("a", "system", "jane")
    for other in (resource(namespace="b"), resource(), resource(name="pods/log", namespace="a")):
        assert classifier.flow(jane, other).schema == "global-default"
    live.put("flowschemas", {**schema("a", 50, method="ByUser"), "status": {"conditions": []}})
    live.delete("flowschemas", "a")
    assert classifier.flow(jane, resource(namespace="a")).schema == "b"


def test_cluster_scope_is_asked_for(live: Any, classifier: Any) -> None:
    live.put("flowschemas", schema("s", 50, clusterScope=True))
    assert classifier.flow(user("jane"), resource()).schema == "s"


def test_a_schema_without_its_level_is_not_there(live: Any, classifier: Any) -> None:
    live.put("flowschemas", schema("s", 50, level="mine"))
    assert classifier.flow(user("jane"), resource(namespace="a")).schema == "global-default"
    live.put("prioritylevelconfigurations", {"metadata": {"name": "mine", "uid": "m"}, "spec": REJECT})
    assert classifier.flow(user("jane"), resource(namespace="a")).uids == ("s", "m")
    live.delete("prioritylevelconfigurations", "mine")
    assert classifier.flow(user("jane"), resource(namespace="a")).schema == "global-default"


def test_what_must_exist_is_in_force_without_objects(live: Any) -> None:
    classifier = Classifier(live, Levels(live, 600))
    for who, name in (
        (user("jane"), "catch-all"),
        (user("admin", "system:masters"), "exempt"),
        (User("x"), "catch-all"),
    ):
        flow = classifier.flow(who, path("/"))
        assert (flow.schema, flow.level.name, flow.uids) == (name, name, None)


def test_flows_have_hands_of_their_own(classifier: Any) -> None:
    hands = {classifier.flow(user(name), path("/version")).hand for name in ("alice", "bob", "carol")}
    assert len(hands) == 3 and all(len(hand) == 6 and max(hand) < 128 for hand in hands)
    assert classifier.flow(user("admin", "system:masters"), path("/")).hand == ()


def test_queues_that_change_have_other_hands(live: Any, classifier: Any) -> None:
    assert len(classifier.flow(user("alice"), path("/version")).hand) == 6
    queuing = {"queues": 4, "handSize": 2, "queueLengthLimit": 5}
    limited = {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Queue", "queuing": queuing}}
    level = {
        "metadata": {"name": "global-default", "uid": "g"},
        "spec": {"type": "Limited", "limited": limited},
    }
    live.put("prioritylevelconfigurations", level)
    flow = classifier.flow(user("alice"), path("/version"))
    assert len(flow.hand) == 2 and max(flow.hand) < 4 and flow.level.queues == 4


def test_the_counts_of_a_schema_that_is_gone_are_dropped(live: Any, classifier: Any) -> None:
    jane = user("jane")
    live.put("flowschemas", schema("s", 50, level="system"))
    ticket = classifier.flow(jane, resource(namespace="a")).enter(jane, resource(namespace="a"))
    series = classifier._levels.find("system").series
    live.delete("flowschemas", "s")
    classifier.flow(jane, path("/version"))
    assert "s" in classifier._levels.find("system").series  # a request of it is still served
    ticket.release()
    live.put("flowschemas", schema("t", 50))
    classifier.flow(jane, path("/version"))
    assert "s" not in classifier._levels.find("system").series and "s" in series
