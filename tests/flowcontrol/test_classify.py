"""Matching requests against flow schemas."""

from typing import Any

import pytest

from pilothouse.api.identity import RequestInfo, User
from pilothouse.controllers import bootstrap
from pilothouse.flowcontrol.classify import Classifier, Flow

GROUP = "flowcontrol.apiserver.k8s.io"


class Live:
    """Objects whose every change is told."""

    def __init__(self) -> None:
        self.callbacks: dict[Any, Any] = {}
        self.objects: dict[Any, Any] = {}

    def subscribe(self, resource: Any, callback: Any) -> None:
        self.callbacks[resource] = callback

    def put(self, plural: str, obj: Any) -> None:
        key = (plural, obj["metadata"]["name"])
        self.callbacks[f"{plural}.{GROUP}"]("k", obj, self.objects.get(key))
        self.objects[key] = obj

    def delete(self, plural: str, name: str) -> None:
        self.callbacks[f"{plural}.{GROUP}"]("k", None, self.objects.pop((plural, name)))


@pytest.fixture
def live() -> Any:
    return Live()


@pytest.fixture
def classifier(live: Any) -> Any:
    classifier = Classifier(live)
    settings = bootstrap.Settings(
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
        assert classifier.classify(who, info) == (f"f:{schema}", f"p:{level}")
    flow = classifier.flow(who, info)
    assert (flow.schema, flow.level) == (schema, level)


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


def test_a_new_schema_counts_at_once_and_by_precedence(live: Any, classifier: Any) -> None:
    jane = user("jane")
    assert classifier.flow(jane, resource(namespace="a")).schema == "global-default"
    live.put("flowschemas", schema("b", 50))
    assert classifier.flow(jane, resource(namespace="a")) == Flow("b", "system", "a")
    live.put("flowschemas", schema("a", 50, method="ByUser"))
    assert classifier.flow(jane, resource(namespace="a")) == Flow("a", "system", "jane")
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
    live.put("prioritylevelconfigurations", {"metadata": {"name": "mine", "uid": "m"}})
    assert classifier.classify(user("jane"), resource(namespace="a")) == ("s", "m")
    live.delete("prioritylevelconfigurations", "mine")
    assert classifier.flow(user("jane"), resource(namespace="a")).schema == "global-default"


def test_an_empty_cluster_has_no_schemas(live: Any) -> None:
    assert Classifier(live).classify(user("jane"), path("/")) is None
