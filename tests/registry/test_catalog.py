"""The resource catalog: order, settings, changes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pilothouse.registry import catalog
from pilothouse.registry.catalog import Catalog, RuntimeConfigError, default_catalog, version_key

PLAIN = Path(__file__).parents[1] / "data" / "discovery_plain.json"


def test_kube_versions_sort_by_stage_and_number() -> None:
    ordered = ["zoo", "foo1", "v1alpha1", "v11alpha2", "v3beta1", "v10beta3", "v1", "v2", "v10"]
    assert sorted(ordered, key=version_key) == ordered


def test_groups_and_versions_come_in_order_of_priority() -> None:
    catalog = default_catalog()
    assert catalog.groups()[:3] == ["apiregistration.k8s.io", "apps", "events.k8s.io"]
    assert catalog.groups()[-1] == "flowcontrol.apiserver.k8s.io"
    assert catalog.versions("autoscaling") == ["v2", "v1"]
    assert [r.plural for r in catalog.resources("batch", "v1")] == ["cronjobs", "jobs"]


def test_lookups() -> None:
    catalog = default_catalog()
    deployments = catalog.get("apps", "v1", "deployments")
    assert deployments is not None and deployments is catalog.by_kind("apps", "v1", "Deployment")
    assert catalog.by_group_resource("deployments.apps") is deployments
    assert catalog.get("apps", "v1", "nothing") is None and catalog.get("no", "v1", "pods") is None


def test_events_of_both_groups_are_one() -> None:
    catalog = default_catalog()
    events, core = catalog.get("events.k8s.io", "v1", "events"), catalog.get("", "v1", "events")
    assert events is not None and core is not None and events.storage is core
    assert events.key("a", "b") == core.key("a", "b")


def test_storage_keys_leave_the_group_out() -> None:
    catalog = default_catalog()
    assert catalog.get("networking.k8s.io", "v1", "ingresses").key("a", "b") == "/registry/ingress/a/b"  # type: ignore[union-attr]
    crds = catalog.get("apiextensions.k8s.io", "v1", "customresourcedefinitions")
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
    catalog = default_catalog(settings)
    assert catalog.get(gone[0], "v1", gone[1]) is None
    assert catalog.get(kept[0], "v1", kept[1]) is not None


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
        default_catalog({key: value})


def test_resources_come_and_go() -> None:
    catalog, seen = default_catalog(), []
    catalog.changed.append(lambda group, version: seen.append((group, version)))
    jobs = catalog.get("batch", "v1", "jobs")
    assert jobs is not None
    widgets = replace(jobs, group="example.com", plural="widgets", kind="Widget")
    catalog.add(widgets)
    assert catalog.groups()[-1] == "example.com" and catalog.priority("example.com", "v1") == (1000, 100)
    catalog.set_priority("example.com", "v1", 19000, 5)
    assert catalog.groups()[1] == "example.com"
    assert catalog.remove("example.com", "v1", "widgets") is widgets
    assert catalog.remove("example.com", "v1", "widgets") is None
    assert "example.com" not in catalog.groups() and catalog.by_kind("example.com", "v1", "Widget") is None
    assert seen == [("example.com", "v1")] * 3


def test_every_file_of_the_list_holds_one_group_and_names_its_records_once() -> None:
    records = catalog.built_in()
    named = [(r.group, r.version, r.plural) for r in records]
    assert len(set(named)) == len(named)
    assert all(r.type_of is not None and r.singular == r.kind.lower() for r in records if r.group)
    assert len(Catalog(records).all()) == len(records)


def test_groups_are_those_that_a_server_lists() -> None:
    recorded = json.loads(PLAIN.read_text())
    groups = recorded.get("/apis", {}).get("groups", [])
    assert default_catalog().groups() == [g["name"] for g in groups]
