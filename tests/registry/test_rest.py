"""The rules that apply before an object is written."""

from typing import Any

import pytest
from harness import ADMIN, Rig
from hypothesis import given
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.registry import rest
from pilothouse.registry.strategy import Strategy, WriteContext

CONFIG_MAP = ("", "v1", "configmaps")
NOW = "2026-01-02T03:04:05Z"


def context(rig: Rig) -> WriteContext:
    resource = rig.catalog.get(*CONFIG_MAP)
    return WriteContext(user=ADMIN, verb="create", resource=resource, namespace="default", name="a", now=NOW)


def test_dig_and_put() -> None:
    obj: dict[str, Any] = {"a": {"b": 1}}
    assert rest.dig(obj, ("a", "b")) == 1
    assert rest.dig(obj, ("a", "x")) is None and rest.dig(obj, ("a", "b", "c")) is None
    rest.put(obj, ("a", "c", "d"), 2)
    rest.put(obj, ("a", "b"), None)
    rest.put(obj, ("x", "y"), None)
    assert obj == {"a": {"c": {"d": 2}}}


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3))


@given(st.dictionaries(st.sampled_from("abc"), TREES, max_size=3), PATHS, st.none() | st.integers())
def test_what_was_put_is_dug_up(obj: Any, path: Any, value: Any) -> None:
    rest.put(obj, path, value)
    assert rest.dig(obj, path) == value


async def test_members_that_a_kind_keeps_or_resets(rig: Rig) -> None:
    resource = rig.catalog.get(*CONFIG_MAP)
    strategy = Strategy(
        reset_on_create=(("data", "secret"),), keep_on_update=(("data",),), generation_on_create=1
    )
    obj: dict[str, Any] = {
        "metadata": {"name": "a", "namespace": "default"},
        "data": {"secret": "1", "k": "v"},
    }
    rest.before_create(resource, context(rig), strategy, obj)
    assert obj["data"] == {"k": "v"} and obj["metadata"]["generation"] == 1
    made = await rig.config_map("a", data={"k": "v"})
    changed = {**made, "metadata": dict(made["metadata"]), "data": {"k": "w"}}
    rest.before_update(resource, context(rig), strategy, changed, made)
    assert changed["data"] == {"k": "v"}
    assert resource.strategy.generation_on_create == 0


async def test_a_generation_counts_changes_of_the_spec(rig: Rig) -> None:
    resource = rig.catalog.get(*CONFIG_MAP)
    strategy = Strategy(generation_fields=(("data",),))
    made = await rig.config_map("a", data={"k": "v"})
    made["metadata"]["generation"] = 4
    for data, generation in (({"k": "v"}, 4), ({"k": "w"}, 5)):
        changed = {**made, "metadata": {**made["metadata"], "generation": 99}, "data": data}
        rest.before_update(resource, context(rig), strategy, changed, made)
        assert changed["metadata"]["generation"] == generation


async def test_a_reservation_that_cannot_be_given_back_keeps_none_of_the_others(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    given_back = []
    ctx = context(rig)

    async def broken() -> None:
        raise OSError("gone")

    ctx.undo += [lambda: given_back.append(1), broken, lambda: given_back.append(2)]
    await rest.undo(ctx)
    assert given_back == [2, 1] and ctx.undo == []
    assert "was not given back" in caplog.text


async def test_the_first_reservations_can_be_kept(rig: Rig) -> None:
    given_back = []
    ctx = context(rig)
    ctx.undo += [lambda: given_back.append(1), lambda: given_back.append(2)]
    await rest.undo(ctx, 1)
    assert given_back == [2] and len(ctx.undo) == 1


ORDERS = [
    ("rbac.authorization.k8s.io", "v1", "roles", {"rules": [{}]}, 4),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", {"roleRef": {}}, 4),
    ("apps", "v1", "deployments", {"spec": {}}, 3),
    ("apps", "v1", "controllerrevisions", {"data": {}}, 4),
    ("batch", "v1", "jobs", {"spec": {}}, 4),
    ("policy", "v1", "poddisruptionbudgets", {"spec": {}}, 2),
    ("", "v1", "configmaps", {}, 4),
    ("", "v1", "limitranges", {"spec": {}}, 3),
    ("", "v1", "resourcequotas", {"spec": {}}, 3),
    ("", "v1", "events", {"involvedObject": {"namespace": "default"}}, 2),
    ("events.k8s.io", "v1", "events", {"involvedObject": {"namespace": "default"}}, 3),
    ("networking.k8s.io", "v1", "ingressclasses", {"spec": {}}, 4),
]


def updated(
    rig: Rig, key: tuple[str, str, str], metadata: dict[str, Any], rest_of: dict[str, Any]
) -> list[str]:
    """The fields of the causes for which an update is refused."""
    resource = rig.catalog.get(*key)
    namespace = "default" if resource.namespaced else ""
    base = {
        "name": "a",
        "uid": "u",
        "resourceVersion": "1",
        **({"namespace": namespace} if namespace else {}),
    }
    ctx = WriteContext(user=ADMIN, verb="update", resource=resource, namespace=namespace, name="a", now=NOW)
    new, old = {"metadata": {**base, **metadata}, **rest_of}, {"metadata": dict(base), **rest_of}
    with pytest.raises(errors.Invalid) as refused:
        rest.before_update(resource, ctx, resource.strategy, new, old)
    return [cause["field"] for cause in refused.value.details["causes"]]


@pytest.mark.parametrize(("group", "version", "plural", "members", "count"), ORDERS)
def test_metadata_is_judged_once_for_each_part_of_a_kinds_rules(
    rig: Rig, group: str, version: str, plural: str, members: dict[str, Any], count: int
) -> None:
    found = updated(rig, (group, version, plural), {"labels": {"a": "-"}}, members)
    assert found.count("metadata.labels") == count


def test_rules_for_new_jobs_come_before_those_for_changes(rig: Rig) -> None:
    found = updated(rig, ("batch", "v1", "jobs"), {"labels": {"a": "-"}}, {"spec": {}})
    first, last = found.index("spec.selector"), max(i for i, f in enumerate(found) if f == "metadata.labels")
    assert found[:3] == ["metadata.labels"] * 3 and first < last


@pytest.mark.parametrize(
    ("key", "count"),
    [
        (("apps", "v1", "deployments"), 1),
        (("", "v1", "configmaps"), 2),
        (("rbac.authorization.k8s.io", "v1", "roles"), 2),
        (("resource.k8s.io", "v1", "deviceclasses"), 2),
    ],
)
def test_names_of_finalizers_are_checked_on_updates(rig: Rig, key: tuple[str, str, str], count: int) -> None:
    found = updated(rig, key, {"finalizers": ["bad"]}, {"spec": {}})
    assert found.count("metadata.finalizers[0]") == count


@pytest.mark.parametrize(("group", "wanted"), [("", 0), ("events.k8s.io", 1)])
def test_a_new_core_events_metadata_is_judged_when_its_rules_find_nothing(
    rig: Rig, group: str, wanted: int
) -> None:
    resource = rig.catalog.get(group, "v1", "events")
    ctx = WriteContext(user=ADMIN, verb="create", resource=resource, namespace="default", name="a", now=NOW)
    for home, count in (("other", wanted), ("default", 1)):
        obj = {
            "metadata": {"name": "a", "namespace": "default", "labels": {"a": "-"}},
            "involvedObject": {"namespace": home},
        }
        with pytest.raises(errors.Invalid) as refused:
            rest.before_create(resource, ctx, resource.strategy, obj)
        fields = [cause["field"] for cause in refused.value.details["causes"]]
        assert fields.count("metadata.labels") == count


def test_a_generate_name_is_judged_by_the_kinds_own_rule_on_updates(rig: Rig) -> None:
    found = updated(rig, ("", "v1", "configmaps"), {"generateName": "Bad_"}, {})
    assert found == ["metadata.generateName"]


async def test_the_key_of_a_dry_run_has_no_prefix(rig: Rig) -> None:
    resource = rig.catalog.get(*CONFIG_MAP)
    for dry_run, shown in ((True, "Key: /configmaps/"), (False, "Key: /registry/configmaps/")):
        ctx = context(rig)
        ctx.dry_run = dry_run
        with pytest.raises(errors.Conflict) as refused:
            rest.check_uid(resource, ctx, "u1", "u2")
        assert shown in refused.value.message


def test_leases_and_runtime_classes_are_checked_by_the_shared_rules_alone(rig: Rig) -> None:
    for group, plural in (("coordination.k8s.io", "leases"), ("node.k8s.io", "runtimeclasses")):
        assert not rig.catalog.get(
            group, "v1", plural
        ).strategy.finalizer_checks  # of apimachinery's validation
    assert "metadata.finalizers[0]" in updated(rig, ("", "v1", "configmaps"), {"finalizers": ["bad"]}, {})
