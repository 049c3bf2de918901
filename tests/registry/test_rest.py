"""The rules that apply before an object is written."""

from typing import Any

import pytest
from harness import ADMIN, Rig
from hypothesis import given
from hypothesis import strategies as st

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
