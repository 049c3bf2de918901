from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.registry.printers import core as tables_core
from pilothouse.registry.printers import tables
from pilothouse.registry.printers.common import (
    Columns,
    go_float,
    human_duration,
    selector_string,
    selector_text,
    since,
)
from pilothouse.registry.resource import Resource

NOW = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
MADE = "2026-01-01T00:00:00Z"


def resource(group: str, plural: str, kind: str = "Thing", columns: Columns | None = None) -> Resource:
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        singular="",
        namespaced=True,
        verbs=("get",),
        columns=columns,
    )


def cells(group: str, plural: str, obj: dict[str, Any]) -> list[Any]:
    obj = {"metadata": {"name": "a", "creationTimestamp": MADE}, **obj}
    return tables.table_for(resource(group, plural), [obj], now=NOW)["rows"][0]["cells"]


@pytest.mark.parametrize("key", sorted(tables.PRINTERS))
def test_an_empty_object_fills_every_column(key: Any) -> None:
    shape = resource(*key).table_columns()
    extra = 1 if key == ("networking.k8s.io", "ipaddresses") else 0
    assert len(shape.cells({"metadata": {"name": "a"}}, NOW)) == len(shape.definitions) + extra


def test_every_kind_with_columns_has_a_printer() -> None:
    assert {tuple(key.split("/")) for key in tables._data()["columns"]} == set(tables.PRINTERS)


def test_columns_are_complete() -> None:
    name = resource("", "pods").table_columns().definitions[0]
    assert name["format"] == "name"
    assert name["description"].startswith("Name must be unique within a namespace.")


def test_kinds_without_their_own_columns_show_the_creation_time() -> None:
    table = tables.table_for(
        resource("", "limitranges"), [{"metadata": {"name": "l", "creationTimestamp": MADE}}]
    )
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Created At"]
    assert table["rows"][0]["cells"] == ["l", MADE]


def container(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": 0, "ready": False, **state}


RUNNING = {"running": {"startedAt": MADE}}
COMPLETED = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("status", "ready", "reason"),
    [
        ({"phase": "Pending"}, "0/2", "Pending"),
        ({"phase": "Failed", "reason": "Evicted"}, "0/2", "Evicted"),
        (
            {"containerStatuses": [container("a", state={"waiting": {"reason": "ErrImagePull"}})]},
            "0/2",
            "ErrImagePull",
        ),
        ({"containerStatuses": [container("a", state={"terminated": {"exitCode": 3}})]}, "0/2", "ExitCode:3"),
        (
            {"containerStatuses": [container("a", state={"terminated": {"exitCode": 137, "signal": 9}})]},
            "0/2",
            "Signal:9",
        ),
        (
            {
                "containerStatuses": [
                    container("a", state=COMPLETED),
                    container("b", state=RUNNING) | {"ready": True},
                ]
            },
            "1/2",
            "NotReady",
        ),
        (
            {
                "containerStatuses": [
                    container("a", state=COMPLETED),
                    container("b", state={"terminated": {"exitCode": 2, "reason": "Error"}}),
                ]
            },
            "0/2",
            "Error",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
            "0/2",
            "SchedulingGated",
        ),
    ],
)
def test_pod_state(status: dict[str, Any], ready: str, reason: str) -> None:
    pod = {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": status}
    assert cells("", "pods", pod)[1:3] == [ready, reason]


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ([container("i", state={})], "Init:0/1"),
        ([container("i", state={"waiting": {"reason": "PodInitializing"}})], "Init:0/1"),
        ([container("i", state={"waiting": {"reason": "CrashLoopBackOff"}})], "Init:CrashLoopBackOff"),
        ([container("i", state={"terminated": {"exitCode": 1, "reason": "Error"}})], "Init:Error"),
        ([container("i", state={"terminated": {"exitCode": 5}})], "Init:ExitCode:5"),
        ([container("i", state=COMPLETED)], "Pending"),
    ],
)
def test_pod_initializing(init: list[Any], reason: str) -> None:
    spec = {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]}
    pod = {"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": init}}
    assert cells("", "pods", pod)[1:3] == ["0/1", reason]


def test_sidecars_count_as_containers() -> None:
    spec = {"containers": [{"name": "a"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]}
    sidecar = container("s", state=RUNNING) | {"started": True, "ready": True, "restartCount": 2}
    main = container("a", state=RUNNING) | {"ready": True}
    status = {"phase": "Running", "initContainerStatuses": [sidecar], "containerStatuses": [main]}
    assert cells("", "pods", {"spec": spec, "status": status})[1:4] == ["2/2", "Running", "2"]


def test_last_restart_is_told() -> None:
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T23:00:00Z"}}
    main = container("a", state=RUNNING) | {"restartCount": 3, "lastState": ended}
    pod = {"spec": {"containers": [{"name": "a"}]}, "status": {"containerStatuses": [main]}}
    assert cells("", "pods", pod)[3] == "3 (60m ago)"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"phase": "Running"}, "Terminating"),
        ({"reason": "NodeLost"}, "Unknown"),
        ({"phase": "Failed"}, "Failed"),
    ],
)
def test_pod_being_deleted(status: dict[str, Any], reason: str) -> None:
    pod = {"metadata": {"name": "a", "deletionTimestamp": MADE}, "status": status}
    assert cells("", "pods", pod)[2] == reason


def test_finished_pods_have_a_row_condition() -> None:
    pods = [{"metadata": {"name": p}, "status": {"phase": p}} for p in ("Running", "Succeeded", "Failed")]
    rows = tables.table_for(resource("", "pods"), pods)["rows"]
    assert [row.get("conditions", [{}])[0].get("reason") for row in rows] == [None, "Succeeded", "Failed"]


@pytest.mark.parametrize(
    ("spec", "status", "wanted"),
    [
        ({"type": "ClusterIP", "externalIPs": ["192.0.2.9"]}, {}, "192.0.2.9"),
        ({"type": "LoadBalancer"}, {}, "<pending>"),
        (
            {"type": "LoadBalancer"},
            {"loadBalancer": {"ingress": [{"hostname": "b"}, {"ip": "1"}, {"ip": "1"}]}},
            "1,b",
        ),
        ({"type": "ExternalName", "externalName": "x.example.com"}, {}, "x.example.com"),
        ({}, {}, "<unknown>"),
    ],
)
def test_service_external_ip(spec: dict[str, Any], status: dict[str, Any], wanted: str) -> None:
    assert cells("", "services", {"spec": spec, "status": status})[3] == wanted


def test_service_ports() -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]
    assert cells("", "services", {"spec": {"ports": ports}})[4] == "80/TCP,53:30053/UDP"


def test_endpoints_are_cut_short() -> None:
    addresses = [{"ip": f"192.0.2.{n}"} for n in (1, 2)]
    subset = {"addresses": addresses, "ports": [{"port": 80}, {"port": 81}]}
    assert (
        cells("", "endpoints", {"subsets": [subset]})[1]
        == "192.0.2.1:80,192.0.2.2:80,192.0.2.1:81 + 1 more..."
    )


def test_node_roles_and_status() -> None:
    labels = {
        "node-role.kubernetes.io/infra": "",
        "kubernetes.io/role": "edge",
        "node-role.kubernetes.io/": "",
    }
    node = {
        "metadata": {"name": "n", "labels": labels},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "False"}],
            "nodeInfo": {"kernelVersion": "6.6.1", "architecture": "arm64"},
        },
    }
    row = cells("", "nodes", node)
    assert row[1:3] == ["NotReady,SchedulingDisabled", "edge,infra"]
    assert row[8] == "6.6.1 (arm64)"


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [({"completions": 3}, "1/3"), ({"parallelism": 2}, "1/1 of 2"), ({"parallelism": 1}, "1/1"), ({}, "1/1")],
)
def test_job_completions(spec: dict[str, Any], wanted: str) -> None:
    assert cells("batch", "jobs", {"spec": spec, "status": {"succeeded": 1}})[2] == wanted


def test_job_duration() -> None:
    status = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:40Z"}
    assert cells("batch", "jobs", {"status": status})[3] == "100s"


def test_autoscaler_targets() -> None:
    def metric(kind: str, member: Any, **rest: Any) -> dict[str, Any]:
        return {"type": kind, member: rest}

    metrics = [
        metric("Resource", "resource", name="cpu", target={"averageUtilization": 80}),
        metric("Pods", "pods", target={"averageValue": "10"}),
        metric("External", "external", target={"value": "3"}),
    ]
    status = {"currentMetrics": [metric("Resource", "resource", current={"averageUtilization": 35})]}
    row = cells("autoscaling", "horizontalpodautoscalers", {"spec": {"metrics": metrics}, "status": status})
    assert row[2] == "cpu: 35%/80%, <unknown>/10 + 1 more..."


def test_flow_schemas_come_by_precedence() -> None:
    def schema(name: str, precedence: Any) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}}

    kind = resource("flowcontrol.apiserver.k8s.io", "flowschemas")
    rows = tables.table_for(kind, [schema("a", 2), schema("c", 1), schema("b", 1)])["rows"]
    assert [row["cells"][0] for row in rows] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ({"name": "x"}, "*/x"),
        ({"name": "x", "namespace": "y"}, "y/x"),
        (
            {"selector": {"matchLabels": {"a": "b"}}},
            "&LabelSelector{MatchLabels:map[string]string{a: b,},"
            "MatchExpressions:[]LabelSelectorRequirement{},}",
        ),
    ],
)
def test_policy_binding_parameters(reference: dict[str, Any], wanted: str) -> None:
    kind = "validatingadmissionpolicybindings"
    assert cells("admissionregistration.k8s.io", kind, {"spec": {"paramRef": reference}})[2] == wanted


def test_rows_carry_what_was_asked_for() -> None:
    kind = resource("", "configmaps", "ConfigMap")
    obj = {"metadata": {"name": "a"}, "data": {"k": "v"}}

    def row_object(include: Any, version: str = "v1") -> Any:
        return tables.table_for(kind, [obj], include=include, version=version)["rows"][0]["object"]

    assert row_object("None") is None
    assert row_object("Object") == {"kind": "ConfigMap", "apiVersion": "v1", **obj}
    assert row_object("Metadata", "v1beta1") == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1beta1",
        "metadata": {"name": "a"},
    }


def test_the_bookmark_that_ends_initial_events_keeps_its_metadata() -> None:
    bookmark = {"metadata": {"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "5"}}
    table = tables.table_for(resource("", "secrets"), [bookmark], include="None", no_headers=True)
    assert table["columnDefinitions"] is None
    assert table["rows"][0]["object"]["metadata"]["resourceVersion"] == "5"
    assert table["rows"][0]["cells"] == ["", "", 0, "<unknown>"]


@pytest.mark.parametrize(
    ("columns", "forms"),
    [(tables.scale_columns, ("", "string")), (tables.custom_scale_columns, ("name", "date"))],
)
def test_a_scale_has_columns_of_its_own(columns: Any, forms: Any) -> None:
    scale = {"kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 3}, "status": {"replicas": 2}}
    table = tables.table_for(resource("apps", "deployments", "Scale", columns()), [scale])
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert (table["columnDefinitions"][0]["format"], table["columnDefinitions"][3]["type"]) == forms
    assert table["rows"][0]["cells"][:3] == ["d", 3, 2]


def test_list_metadata_is_kept() -> None:
    metadata = {"resourceVersion": "7", "continue": "x", "remainingItemCount": 3}
    table = tables.table_for(resource("", "pods"), [], metadata=metadata)
    assert (table["metadata"], table["rows"]) == (metadata, [])


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("string", "a", "a"),
        ("string", 5, "5"),
        ("string", {"b": 1, "a": "<"}, '{"a":"\\u003c","b":1}'),
        ("string", True, "true"),
        ("string", 0.5, "0.5"),
        ("integer", 3, 3),
        ("integer", 3.7, 3),
        ("integer", "3", None),
        ("integer", True, None),
        ("number", 0.5, 0.5),
        ("boolean", False, False),
        ("boolean", "true", None),
        ("date", MADE, "24h"),
        ("date", "soon", "<invalid>"),
        ("date", "2026-01-01", "<invalid>"),
        ("date", 3, None),
    ],
)
def test_custom_cells(kind: str, value: Any, wanted: Any) -> None:
    assert tables.custom_cell(kind, value, NOW) == wanted


def test_custom_columns_are_filled_by_their_paths() -> None:
    shape = tables.custom_columns(
        [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "how big"},
            {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
            {"name": "Tags", "type": "string", "jsonPath": ".spec.tags", "priority": 1},
        ]
    )
    assert shape.definitions[1]["description"] == "how big"
    assert shape.definitions[3]["description"].endswith("(in JSONPath format): .spec.tags")
    assert [c["priority"] for c in shape.definitions] == [0, 0, 0, 1]
    full = {
        "metadata": {"name": "a"},
        "spec": {"size": 3, "tags": ["x", "y"]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert shape.cells(full, NOW) == ["a", 3, "True", '["x","y"]']
    assert shape.cells({"metadata": {"name": "b"}}, NOW) == ["b", None, None, None]
    assert shape.cells({"metadata": {"name": "c"}, "spec": "odd"}, NOW) == ["c", None, None, None]


def test_a_path_that_cannot_be_read_ends_the_columns() -> None:
    shape = tables.custom_columns([{"name": "Bad", "type": "string", "jsonPath": ".a["}])
    assert [c["name"] for c in shape.definitions] == ["Name"]


def test_custom_resources_without_columns_show_their_age() -> None:
    shape = tables.custom_columns(None)
    assert [(c["name"], c["type"]) for c in shape.definitions] == [("Name", "string"), ("Age", "date")]
    assert shape.cells({"metadata": {"name": "a", "creationTimestamp": MADE}}, NOW) == ["a", "24h"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (545, "9m5s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (180 * 60, "3h"),
        (7.5 * 3600, "7h30m"),
        (47 * 3600, "47h"),
        (50 * 3600, "2d2h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (8 * 365 * 86400, "8y"),
    ],
)
def test_human_duration(seconds: Any, text: str) -> None:
    assert human_duration(seconds) == text


@settings(max_examples=25 * SCALE)
@given(st.integers(0, 10**9))
def test_human_duration_never_says_more_than_there_was(seconds: Any) -> None:
    units = {"y": 365 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
    total, number = 0, ""
    for char in human_duration(seconds):
        if char.isdigit():
            number += char
        else:
            total += int(number) * units[char]
            number = ""
    assert total <= seconds
    assert seconds - total <= max(seconds * 0.125, 60)


@settings(max_examples=15 * SCALE)
@given(st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1)))
def test_since_reads_both_forms_of_time(moment: Any) -> None:
    moment = moment.replace(tzinfo=UTC)
    now = (moment + timedelta(hours=3)).timestamp()
    assert since(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), now) in ("3h", "179m")
    assert since(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), now) == "3h"
    assert since(None, now) == "<unknown>"


def test_selectors_are_sorted_by_key() -> None:
    selector = {
        "matchLabels": {"z": "1", "a": "b"},
        "matchExpressions": [
            {"key": "w", "operator": "NotIn", "values": ["2", "1"]},
            {"key": "u", "operator": "DoesNotExist"},
            {"key": "v", "operator": "Exists"},
        ],
    }
    assert selector_text(selector) == "a=b,!u,v,w notin (1,2),z=1"
    assert (selector_text(None), selector_string({})) == ("<none>", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5"), (2.0, "2"), (1e21, "1e+21"), (1e-7, "1e-07"), (1e20, "100000000000000000000")],
)
def test_go_float(value: float, text: str) -> None:
    assert go_float(value) == text


def test_printers_take_linear_time() -> None:
    def pod(n: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": "p"},
            "spec": {"readinessGates": [{"conditionType": f"g{i}"} for i in range(n)]},
            "status": {"conditions": [{"type": f"g{i}", "status": "True"} for i in range(n)]},
        }

    def endpoints(n: Any) -> dict[str, Any]:
        addresses, ports = [{"ip": f"10.0.0.{i}"} for i in range(n)], [{"port": i} for i in range(n)]
        return {"metadata": {"name": "e"}, "subsets": [{"addresses": addresses, "ports": ports}] * 2}

    def print_cells(plural: str, obj: dict[str, Any]) -> object:
        return tables_core.PRINTERS["", plural](obj, 0.0)

    for resource, make in (("pods", pod), ("endpoints", endpoints)):
        assert_linear(partial(print_cells, resource), make, 500, 40.0)
    assert tables_core.PRINTERS["", "endpoints"](endpoints(1000), 0.0)[1] == (
        "10.0.0.0:0,10.0.0.1:0,10.0.0.2:0 + 1999997 more..."
    )
    assert tables_core.PRINTERS["", "pods"](pod(3), 0.0)[-1] == "3/3"


def test_ages_are_at_most_as_long_as_go_counts() -> None:
    """Ages are right, also of times that Go writes and Python's datetime does not know."""
    now = 1_700_000_000.0
    for when in ("0001-01-01T00:00:01Z", "-0001-12-31T23:00:00Z", "1000-01-01T00:00:00.000000Z"):
        assert since(when, now) == "292y"
    assert since("10000-01-01T00:59:59Z", now) == "<invalid>"


def test_long_paths_of_columns_are_not_remembered() -> None:
    """Clients write them: a body of 3 MB holds long ones, and 512 are remembered."""
    before = tables._remembered_finder.cache_info().currsize
    long = ".spec." + "a" * tables.REMEMBERED_LENGTH
    find = tables._finder(long)
    assert find is not None and find({"spec": {"a" * tables.REMEMBERED_LENGTH: "x"}}) == ["x"]
    assert tables._finder("{" * (tables.REMEMBERED_LENGTH + 1)) is None
    assert tables._remembered_finder.cache_info().currsize == before
    assert tables._finder(".spec.short") is tables._finder(".spec.short")
