"""Bindings, evictions and scales."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.groups.core import resources as core
from pilothouse.registry.groups.core.subresources import (
    apply_binding,
    check_binding,
    evict,
    scale_of,
    set_scale,
)
from pilothouse.registry.strategy import WriteContext

NOW = "2026-12-01T00:00:00Z"

NOW = "2026-01-01T00:00:00Z"
PODS = next(r for r in core.RESOURCES if r.plural == "pods")


def budgets(*found: Object) -> Any:
    return Budgets(*found)


class Budgets:
    """Readers that know budgets only."""

    def __init__(self, *budgets: Object) -> None:
        self._budgets = budgets

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        return None

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        return self._budgets if resource == "poddisruptionbudgets.policy" else ()

    def revision(self, resource: str) -> int:
        return 0

    def subscribe(self, resource: str, callback: Callable[[str, Object | None, Object | None], None]) -> None:
        pass


def context() -> WriteContext:
    return WriteContext(User("admin"), "create", PODS, namespace="default", name="p", now=NOW)


def pod(**spec: object) -> Object:
    metadata = {
        "name": "p",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {"app": "a"},
    }
    ready = [{"type": "Ready", "status": "True"}]
    return {"metadata": metadata, "spec": dict(spec), "status": {"phase": "Running", "conditions": ready}}


def binding(**metadata: object) -> Object:
    return {"metadata": {"name": "p", **metadata}, "target": {"kind": "Node", "name": "n1"}}


def budget(**status: object) -> Object:
    spec = {"selector": {"matchLabels": {"app": "a"}}}
    return {
        "metadata": {"name": "b", "generation": 1},
        "spec": spec,
        "status": {"observedGeneration": 1, **status},
    }


def test_binding_gives_node_and_condition() -> None:
    bound = pod()
    apply_binding(context(), bound, binding(annotations={"k": "v"}))
    assert bound["spec"]["nodeName"] == "n1"
    assert bound["metadata"]["annotations"] == {"k": "v"}
    scheduled = [c for c in bound["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert [(c["status"], c["lastTransitionTime"]) for c in scheduled] == [("True", NOW)]


@pytest.mark.parametrize(
    ("spec", "asked", "why"),
    [
        ({"nodeName": "n0"}, {}, 'pod p is already assigned to node "n0"'),
        ({"schedulingGates": [{"name": "g"}]}, {}, "pod p has non-empty .spec.schedulingGates"),
        ({}, {"uid": "x"}, "Precondition failed: UID in precondition: x, UID in object meta: u"),
    ],
)
def test_binding_refused(spec: Object, asked: Object, why: str) -> None:
    with pytest.raises(errors.Conflict) as caught:
        apply_binding(context(), pod(**spec), binding(**asked))
    assert why in str(caught.value)


def test_binding_without_node() -> None:
    with pytest.raises(errors.Unknown) as caught:
        check_binding({"metadata": {}, "target": {}})
    assert "target.name: Required value" in str(caught.value)


def test_eviction_is_charged_to_the_budget() -> None:
    charged = evict(budgets(budget(disruptionsAllowed=2)), "default", pod(), {}, NOW)
    assert charged is not None
    assert charged["status"]["disruptionsAllowed"] == 1
    assert charged["status"]["disruptedPods"] == {"p": NOW}
    assert "conditions" not in charged["status"]


def test_last_eviction_says_so() -> None:
    charged = evict(budgets(budget(disruptionsAllowed=1)), "default", pod(), {}, NOW)
    assert charged is not None
    assert [c["reason"] for c in charged["status"]["conditions"]] == ["InsufficientPods"]


def test_eviction_refused() -> None:
    with pytest.raises(errors.TooManyRequests) as caught:
        evict(budgets(budget(desiredHealthy=3, currentHealthy=3)), "default", pod(), {}, NOW)
    causes = (caught.value.details or {})["causes"]
    assert causes[0]["message"] == "The disruption budget b needs 3 healthy pods and has 3 currently"


def test_stale_budget_asks_for_patience() -> None:
    with pytest.raises(errors.TooManyRequests) as caught:
        evict(budgets(budget(observedGeneration=0)), "default", pod(), {}, NOW)
    assert (caught.value.details or {})["retryAfterSeconds"] == 10


def test_two_budgets() -> None:
    with pytest.raises(errors.Unknown, match="more than one PodDisruptionBudget"):
        evict(budgets(budget(), budget()), "default", pod(), {}, NOW)


def test_pending_pod_needs_no_budget() -> None:
    pending = pod()
    options: Object = {}
    pending["status"]["phase"] = "Pending"
    assert evict(budgets(budget()), "default", pending, options, NOW) is None
    assert options == {"preconditions": {"resourceVersion": "7"}}


def test_scale() -> None:
    controller: Object = {
        "metadata": {"name": "r"},
        "spec": {"replicas": 2, "selector": {"b": "2", "a": "1"}},
    }
    scale = scale_of(controller)
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "a=1,b=2"}
    set_scale(controller, {"spec": {}})
    assert controller["spec"]["replicas"] == 0
