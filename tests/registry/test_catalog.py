"""The resource catalog: order, runtime configuration, changes."""

import json
from dataclasses import replace
from pathlib import Path

from pilothouse.registry import catalog
from pilothouse.registry.catalog import Catalog, default_catalog

PLAIN = Path(__file__).parents[1] / "data" / "discovery_plain.json"


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
    assert catalog.get("networking.k8s.io", "v1", "ingresses").key("a", "b") == "/registry/ingress/a/b"
    crds = catalog.get("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    assert (
        crds is not None and crds.key("", "x") == "/registry/apiextensions.k8s.io/customresourcedefinitions/x"
    )


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


def test_what_was_found_is_forgotten_when_its_group_changes() -> None:
    shared = default_catalog()
    jobs = shared.by_group_resource("jobs.batch")
    assert jobs is not None and shared.by_group_resource("widgets.batch") is None
    other = shared.copy()
    other.add(replace(jobs, plural="widgets", kind="Widget"))
    newer = replace(jobs, version="v2")
    other.add(newer)
    other.set_priority("batch", "v2", 17400, 20)
    found = other.by_group_resource("widgets.batch")
    assert found is not None and found.kind == "Widget" and other.by_group_resource("jobs.batch") is newer
    assert (
        shared.by_group_resource("widgets.batch") is None and shared.by_group_resource("jobs.batch") is jobs
    )
    other.remove("batch", "v1", "widgets")
    assert other.by_group_resource("widgets.batch") is None


def test_what_one_catalog_has_found_in_a_group_of_its_own_no_other_finds() -> None:
    shared = default_catalog()
    jobs = shared.by_group_resource("jobs.batch")
    assert jobs is not None
    one, other = shared.copy(), shared.copy()
    one.add(replace(jobs, group="example.com", plural="widgets", kind="Widget"))
    assert one.by_group_resource("widgets.example.com") is not None
    assert other.by_group_resource("widgets.example.com") is None
    assert shared.copy().by_group_resource("widgets.example.com") is None


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


def test_servers_share_records_that_never_change() -> None:
    one, two = default_catalog(), default_catalog({"autoscaling/v1": "false"})
    pods, scalers = one.get("", "v1", "pods"), two.get("autoscaling", "v2", "horizontalpodautoscalers")
    assert pods is not None and pods is two.get("", "v1", "pods")
    assert scalers is not None and scalers.version_of("autoscaling/v1") is not None
    assert scalers.version_of("autoscaling/v3") is None
