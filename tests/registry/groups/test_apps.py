"""Hooks of apps: template generation, scale, fields of disabled features."""

import pytest

from pilothouse.api.convert.kinds import TEMPLATE_GENERATION
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.identity import User
from pilothouse.registry.groups import apps
from pilothouse.registry.strategy import WriteContext

RECORDS = {r.plural: r for r in apps.RESOURCES}


def context(plural: str) -> WriteContext:
    return WriteContext(
        User("admin"), "create", RECORDS[plural], namespace="default", now="2026-01-01T00:00:00Z"
    )


def test_scale_shows_replicas_and_the_selector_as_text() -> None:
    workload: Object = {
        "metadata": {"name": "w", "namespace": "n", "uid": "u", "labels": {"a": "b"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}}},
        "status": {"replicas": 2},
    }
    scale = apps.scale_of(workload)
    assert scale["metadata"] == {"name": "w", "namespace": "n", "uid": "u"}
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": "a=1,b=2"}
    apps.set_scale(workload, {"spec": {"replicas": 5}})
    assert workload["spec"]["replicas"] == 5


@pytest.mark.parametrize("plural", ["deployments", "replicasets", "statefulsets"])
def test_scale_is_a_subresource(plural: str) -> None:
    scale = RECORDS[plural].subresources["scale"]
    assert (scale.group, scale.kind) == ("autoscaling", "Scale") and scale.read is apps.scale_of


def test_template_generation_counts_changes_of_the_template() -> None:
    strategy = apps.DAEMON_SET
    assert strategy.prepare_create is not None and strategy.prepare_update is not None
    old: Object = {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"a": 1}}}}
    strategy.prepare_create(context("daemonsets"), old)
    assert old["metadata"]["annotations"][TEMPLATE_GENERATION] == "1"
    new: Object = {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"a": 2}}}}
    strategy.prepare_update(context("daemonsets"), new, old)
    assert new["metadata"]["annotations"][TEMPLATE_GENERATION] == "2"


def test_max_unavailable_of_stateful_sets_is_behind_a_feature() -> None:
    rolling = {"partition": 1, "maxUnavailable": 2}
    new: Object = {"metadata": {}, "spec": {"updateStrategy": {"rollingUpdate": dict(rolling)}}}
    assert apps.STATEFUL_SET.prepare_create is not None
    apps.STATEFUL_SET.prepare_create(context("statefulsets"), new)
    assert new["spec"]["updateStrategy"]["rollingUpdate"] == {"partition": 1}


def test_long_names_warn() -> None:
    assert apps.DEPLOYMENT.warnings is not None
    obj: Object = {"metadata": {"name": "a" * 64}, "spec": {"template": {"spec": {"containers": []}}}}
    assert apps.DEPLOYMENT.warnings(context("deployments"), obj, None) == [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
        "a DNS label is recommended: [must be no more than 63 characters]"
    ]


def test_selectors_never_change() -> None:
    errs = Errors()
    old: Object = {"metadata": {}, "spec": {"selector": {"matchLabels": {"a": "b"}}}}
    new: Object = {"metadata": {}, "spec": {"selector": {"matchLabels": {"a": "c"}}}}
    assert apps.DAEMON_SET.validate_update is not None
    apps.DAEMON_SET.validate_update(context("daemonsets"), new, old, errs)
    assert errs.causes[0]["message"].endswith("field is immutable")
