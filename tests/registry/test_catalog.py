"""The resource table: order, settings, changes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pilothouse.registry import catalog
from pilothouse.registry.catalog import RuntimeConfigError, Table, default_table, version_key

PLAIN = Path(__file__).parents[1] / "data" / "discovery_plain.json"


def test_kube_versions_sort_by_stage_and_number() -> None:
    ordered = ["zoo", "foo1", "v1alpha1", "v11alpha2", "v3beta1", "v10beta3", "v1", "v2", "v10"]
    assert sorted(ordered, key=version_key) == ordered


def test_groups_and_versions_come_in_order_of_priority() -> None:
    table = default_table()
    assert table.groups()[:3] == ["apiregistration.k8s.io", "apps", "events.k8s.io"]
    assert table.groups()[-1] == "flowcontrol.apiserver.k8s.io"
    assert table.versions("autoscaling") == ["v2", "v1"]
    assert [r.plural for r in table.resources("batch", "v1")] == ["cronjobs", "jobs"]


def test_lookups() -> None:
    table = default_table()
    deployments = table.get("apps", "v1", "deployments")
    assert deployments is not None and deployments is table.by_kind("apps", "v1", "Deployment")
    assert table.by_group_resource("deployments.apps") is deployments
    assert table.get("apps", "v1", "nothing") is None and table.get("no", "v1", "pods") is None


def test_events_of_both_groups_are_one() -> None:
    table = default_table()
    events, core = table.get("events.k8s.io", "v1", "events"), table.get("", "v1", "events")
    assert events is not None and core is not None and events.storage is core
    assert events.key("a", "b") == core.key("a", "b")


def test_storage_keys_leave_the_group_out() -> None:
    table = default_table()
    assert table.get("networking.k8s.io", "v1", "ingresses").key("a", "b") == "/registry/ingress/a/b"  # type: ignore[union-attr]
    crds = table.get("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    assert (
        crds is not None and crds.key("", "x") == "/registry/apiextensions.k8s.io/customresourcedefinitions/x"
    )


@pytest.mark.parametrize(
    ("settings", "gone", "kept"),
    [
        ({"batch/v1": "false"}, ("batch", "jobs"), ("apps", "deployments")),
        ({"batch/v1/jobs": "false"}, ("batch", "jobs"), ("batch", "cronjobs")),
        ({"api/all": "false", "apps/v1": "true"}, ("batch", "jobs"), ("apps", "deployments")),
        ({"api/ga": "false", "apps/v1/deployments": ""}, ("apps", "daemonsets"), ("apps", "deployments")),
    ],
)
def test_runtime_config(settings: dict[str, str], gone: tuple[str, str], kept: tuple[str, str]) -> None:
    table = default_table(settings)
    assert table.get(gone[0], "v1", gone[1]) is None
    assert table.get(kept[0], "v1", kept[1]) is not None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("api/all", "maybe", "invalid value api/all=maybe"),
        ("apps", "true", "runtime-config invalid key apps"),
        ("apps/v9", "true", "group version apps/v9 that has not been registered"),
        ("nope/v1", "true", "unknown api groups nope"),
        ("apps/v1", "x", 'invalid value of apps/v1: x, err: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_runtime_config_mistakes(key: str, value: str, message: str) -> None:
    with pytest.raises(RuntimeConfigError, match=message.replace("(", r"\(")):
        default_table({key: value})


def test_resources_come_and_go() -> None:
    table, seen = default_table(), []
    table.changed.append(lambda group, version: seen.append((group, version)))
    jobs = table.get("batch", "v1", "jobs")
    assert jobs is not None
    widgets = replace(jobs, group="example.com", plural="widgets", kind="Widget")
    table.add(widgets)
    assert table.groups()[-1] == "example.com" and table.priority("example.com", "v1") == (1000, 100)
    table.set_priority("example.com", "v1", 19000, 5)
    assert table.groups()[1] == "example.com"
    assert table.remove("example.com", "v1", "widgets") is widgets
    assert table.remove("example.com", "v1", "widgets") is None
    assert "example.com" not in table.groups() and table.by_kind("example.com", "v1", "Widget") is None
    assert seen == [("example.com", "v1")] * 3


def test_every_file_of_the_list_holds_one_group_and_names_its_records_once() -> None:
    records = catalog.built_in()
    named = [(r.group, r.version, r.plural) for r in records]
    assert len(set(named)) == len(named)
    assert all(r.type_of is not None and r.singular == r.kind.lower() for r in records if r.group)
    assert len(Table(records).all()) == len(records)


def test_groups_are_those_that_a_server_lists() -> None:
    recorded = json.loads(PLAIN.read_text())
    groups = recorded.get("/apis", {}).get("groups", [])
    assert default_table().groups() == [g["name"] for g in groups]
