import copy
from typing import Any

import orjson
import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api.changes import apply as apply_module
from pilothouse.api.changes import managed
from pilothouse.api.changes._fieldset import ManagedFieldsEntry
from pilothouse.api.types.schema import Field, Type

CACHED = 70
"""See assert_linear: path elements are remembered, some thousands of them."""
TEXT = Type("string")
META = Type(
    "struct",
    "Meta",
    {name: Field(name, TEXT) for name in ("name", "namespace", "uid")}
    | {
        "labels": Field("labels", Type("map", items=TEXT)),
        "annotations": Field("annotations", Type("map", items=TEXT)),
        "managedFields": Field("managedFields", Type("any")),
    },
)
ENV = Type("struct", "Env", {"name": Field("name", TEXT), "value": Field("value", TEXT)})
SPEC = Type(
    "struct",
    "Spec",
    {
        "a": Field("a", TEXT),
        "b": Field("b", TEXT),
        "env": Field("env", Type("list", items=ENV, list_type="map", list_keys=("name",))),
        "set": Field("set", Type("list", items=TEXT, list_type="set")),
        "inner": Field("inner", ENV, pointer=True),
        "n": Field("n", Type("int32")),
    },
)
TYPE = Type(
    "struct",
    "Thing",
    {
        "apiVersion": Field("apiVersion", TEXT),
        "kind": Field("kind", TEXT),
        "metadata": Field("metadata", META, omit=False),
        "spec": Field("spec", SPEC, omit=False),
    },
)
TYPED = "failed to create typed patch object (/n; /v1, Kind=Thing): "
T1, T2, T3 = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))


def config(spec: Any = None, **metadata: Any) -> Any:
    out = {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "n", **metadata}}
    if spec is not None:
        out["spec"] = spec
    return out


def apply(
    live: Any, spec: Any, manager: str = "m1", force: bool = False, now: Any = T1, **metadata: Any
) -> Any:
    return apply_module.apply(
        live,
        config(spec, **metadata),
        type=TYPE,
        manager=manager,
        force=force,
        api_version="v1",
        kind="Thing",
        now=now,
    )


def owners(obj: Any) -> dict[Any, Any]:
    return {e["manager"]: e["fieldsV1"] for e in obj["metadata"].get("managedFields", [])}


def test_create_and_repeat() -> None:
    first = apply(None, {"a": "1"})
    assert first["spec"] == {"a": "1"}
    assert first["metadata"]["managedFields"] == [
        {
            "manager": "m1",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": T1,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:a": {}}},
        }
    ]
    assert apply(first, {"a": "1"}, now=T2) == first


def test_dropped_fields_go_unless_shared() -> None:
    first = apply(None, {"a": "1", "b": "1", "env": [{"name": "x"}, {"name": "y"}], "set": ["p", "q"]})
    shared = apply(first, {"b": "1", "env": [{"name": "y", "value": "v"}]}, manager="m2", now=T2)
    last = apply(shared, {"set": ["q"]}, now=T3)
    assert last["spec"] == {"b": "1", "env": [{"name": "y", "value": "v"}], "set": ["q"]}
    assert owners(last)["m1"] == {"f:spec": {"f:set": {'v:"q"': {}}}}


def test_fields_nobody_owns_stay() -> None:
    live = apply(None, {"a": "1", "inner": {"name": "x"}})
    live["spec"]["inner"]["value"] = "by a controller that is not tracked"
    last = apply(live, {"a": "1"}, now=T2)
    assert last["spec"]["a"] == "1"


def test_conflicts_and_force() -> None:
    live = apply(None, {"a": "1", "b": "1"})
    with pytest.raises(errors.Conflict) as caught:
        apply(live, {"a": "2"}, manager="m2")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "m1": .spec.a'
    assert caught.value.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "m1"', "field": ".spec.a"}]
    }
    forced = apply(live, {"a": "2"}, manager="m2", force=True, now=T2)
    assert forced["spec"] == {"a": "2", "b": "1"}
    assert owners(forced) == {"m1": {"f:spec": {"f:b": {}}}, "m2": {"f:spec": {"f:a": {}}}}


def test_conflicts_with_an_updater_and_several_fields() -> None:
    live = apply(None, {"a": "1"})
    new = {**copy.deepcopy(live), "spec": {"a": "1", "b": "2", "n": 3}}
    managed.update(live, new, type=TYPE, manager="u", api_version="v1", subresource="status", now=T2)
    with pytest.raises(errors.Conflict) as caught:
        apply(new, {"a": "x", "b": "x", "n": 4}, manager="m2")
    assert caught.value.message == (
        'Apply failed with 3 conflicts: conflicts with "m1":\n- .spec.a\n'
        'conflicts with "u" with subresource "status" using v1:\n- .spec.b\n- .spec.n'
    )


def test_an_untracked_object_gets_an_owner_first() -> None:
    live = config({"a": "1"}, uid="u")
    with pytest.raises(errors.Conflict, match=r'conflict with "before-first-apply" using v1: \.spec\.a'):
        apply(live, {"a": "2"})
    assert set(owners(apply(live, {"b": "2"}))) == {"before-first-apply", "m1"}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"apiVersion": "v2"}, errors.BadRequest, "invalid object type: /v2, Kind=Thing"),
        ({"apiVersion": "g/v1"}, errors.BadRequest, "invalid object type: g/v1, Kind=Thing"),
        ({"kind": None}, errors.BadRequest, "invalid object type: /v1, Kind="),
        ({"metadata": {"managedFields": []}}, errors.BadRequest, "metadata.managedFields must be nil"),
        (
            {"metadata": {"managedFields": [{"a": 1}]}},
            errors.BadRequest,
            "metadata.managedFields must be nil",
        ),
        (
            {"spec": {"n": "x"}},
            errors.Unknown,
            f"{TYPED}.spec.n: expected numeric (int or float), got string",
        ),
        (
            {"spec": {"env": [{}]}},
            errors.Unknown,
            f"{TYPED}.spec.env: element 0: associative list with keys has an element that omits all key"
            ' fields ["name"] (and doesn\'t have default values for any key fields)',
        ),
    ],
)
def test_bad_configurations(change: dict[str, Any], kind: Any, message: str) -> None:
    with pytest.raises(kind) as caught:
        apply_module.apply(
            None,
            {**config({}), **change},
            type=TYPE,
            manager="m",
            force=False,
            api_version="v1",
            kind="Thing",
            now=T1,
        )
    assert caught.value.message == message


def test_kubectl_takes_over_what_it_applied_on_the_clients_side() -> None:
    last = orjson.dumps(config({"a": "1"})).decode()
    live = config({"a": "1", "b": "1"}, uid="u", annotations={apply_module.LAST_APPLIED: last})
    entry = ManagedFieldsEntry("client", "Update", "v1", time=T1, fields={"f:spec": {"f:a": {}, "f:b": {}}})
    live["metadata"]["managedFields"] = [entry.encode()]
    done = apply(live, {"a": "2"}, manager="kubectl", now=T2)
    assert done["spec"]["a"] == "2"
    assert done["metadata"]["annotations"][apply_module.LAST_APPLIED] == (
        '{"apiVersion":"v1","kind":"Thing","metadata":{"name":"n"},"spec":{"a":"2"}}\n'
    )
    with pytest.raises(errors.Conflict, match=r"conflict with \"client\" using v1: .spec.b"):
        apply(live, {"a": "2", "b": "2"}, manager="kubectl", now=T2)
    with pytest.raises(errors.Conflict, match="Apply failed with"):
        apply(live, {"a": "2"}, manager="other", now=T2)


def test_items_are_ordered_as_applied() -> None:
    live = apply(None, {"env": [{"name": "a"}, {"name": "b"}]})
    more = apply(live, {"env": [{"name": "c"}, {"name": "a"}]}, manager="m2", now=T2)
    assert [item["name"] for item in more["spec"]["env"]] == ["c", "a", "b"]


NAMES = st.sampled_from(["x", "y", "z"])
ENVS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"value": NAMES}),
    min_size=1,
    max_size=3,
    unique_by=lambda item: item["name"],
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "a": NAMES,
        "b": NAMES,
        "env": ENVS,
        "set": st.lists(NAMES, min_size=1, max_size=3, unique=True),
        "n": st.integers(0, 2),
    },
)


def content(obj: Any) -> tuple[Any, dict[Any, Any]]:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if v not in (None, [], {})}
        return (
            sorted(map(clean, value), key=lambda one: orjson.dumps(one, option=orjson.OPT_SORT_KEYS))
            if isinstance(value, list)
            else value
        )

    return clean(obj["spec"] or {}), {k: clean(v) for k, v in owners(obj).items()}


@settings(max_examples=50 * SCALE)
@given(SPECS, SPECS)
def test_applying_twice_is_applying_once(a: Any, b: Any) -> None:
    live = apply(apply(None, a), b, manager="m2", force=True, now=T2)
    once = apply(live, a, force=True, now=T3)
    assert apply(once, a, force=True, now=T3) == once


@settings(max_examples=50 * SCALE)
@given(SPECS, SPECS)
def test_what_is_dropped_is_gone(a: Any, b: Any) -> None:
    assert content(apply(apply(None, a), b, now=T2)) == content(apply(None, b))


@settings(max_examples=50 * SCALE)
@given(SPECS, SPECS)
def test_disjoint_configurations_commute(a: Any, b: Any) -> None:
    b = {name: value for name, value in b.items() if name not in a}
    one = apply(apply(None, a), b, manager="m2")
    other = apply(apply(None, b, manager="m2"), a)
    assert content(one) == content(other)


def test_many_items_are_applied_in_linear_time() -> None:
    def make(n: Any) -> tuple[Any, dict[str, Any]]:
        env = [{"name": f"e{i}", "value": "1"} for i in range(n)]
        live = apply(None, {"env": env, "set": [f"s{i}" for i in range(n)]}, "other")
        live = apply(live, {"env": env[: n // 2]})
        return live, {"env": env[::-2], "set": [f"s{i}" for i in range(n, 0, -1)]}

    assert_linear(lambda given: apply(*given), make, 300, CACHED)


def test_many_appliers_take_linear_time() -> None:
    def make(n: Any) -> dict[str, Any]:
        entries = [
            {
                "manager": f"m{i}",
                "operation": "Apply",
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {f"f:l{i}": {}}}},
            }
            for i in range(n)
        ]
        labels = {f"l{i}": "1" for i in range(n)}
        return {**config({"a": "1"}, labels=labels, managedFields=entries)}

    assert_linear(lambda live: apply(live, {"b": "1"}, "m1"), make, 300, CACHED)


def test_a_conflict_names_so_many_fields() -> None:
    env = [{"name": "x" * 1000 + str(i), "value": "1"} for i in range(1000)]
    live = apply(None, {"env": env}, "other")
    with pytest.raises(errors.Conflict, match=r"\Q1000 conflicts".replace("\\Q", "")) as caught:
        apply(live, {"env": [{**one, "value": "2"} for one in env]})
    assert 50 < len(caught.value.details["causes"]) < 80
    assert caught.value.message.endswith(f"\n... and {1000 - len(caught.value.details['causes'])} more")
