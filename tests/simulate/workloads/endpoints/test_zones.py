"""The share of endpoints that zones have."""

from collections import Counter
from typing import Any

import pytest

from pilothouse.simulate.workloads.endpoints import zones
from pilothouse.simulate.workloads.endpoints.slice_writer import EndpointGroup, SlicePlan
from pilothouse.simulate.workloads.endpoints.zones import Allocation, NoHints


def node(zone: str = "", cpu: str = "4", ready: str = "True", **labels: str) -> Any:
    return {
        "metadata": {"name": "n", "labels": {**({zones.ZONE: zone} if zone else {}), **labels}},
        "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def endpoint(zone: str = "", ready: bool = True, hint: str = "") -> Any:
    made: Any = {"addresses": ["192.0.2.1"], "conditions": {"ready": ready}}
    if zone:
        made["zone"] = zone
    if hint:
        made["hints"] = {"forZones": [{"name": hint}]}
    return made


def plan(*endpoints: Any, have: list[Any] | None = None) -> SlicePlan:
    """A new slice, or one that has these endpoints and does not change."""
    group = EndpointGroup("IPv4", [])
    return SlicePlan(group, list(endpoints), None if have is None else {"endpoints": have}, have is not None)


def hints(*plans: SlicePlan) -> list[str]:
    endpoints = [one for plan in plans for one in plan.endpoints]
    named = (one.get("hints", {}).get("forZones", [{"name": ""}]) for one in endpoints)
    return [zone["name"] for [zone] in named]


@pytest.mark.parametrize(
    ("nodes", "shares"),
    [
        ([node("a"), node("b")], {"a": 0.5, "b": 0.5}),
        ([node("a", "1"), node("b", "3000m"), node("b", "4")], {"a": 0.125, "b": 0.875}),
        ([node("a"), node("b", ready="False")], {}),
        ([node("a"), node("a")], {}),
        ([node("a"), node("b"), node()], {}),
        ([node("a"), node("b"), node("c", "0")], {}),
        ([node("a"), node("b"), node(**{"node-role.kubernetes.io/control-plane": ""})], {"a": 0.5, "b": 0.5}),
        ([], {}),
    ],
)
def test_shares_follow_from_processors(nodes: list[Any], shares: dict[str, float]) -> None:
    assert zones.shares_of(nodes) == shares


@pytest.mark.parametrize(
    ("shares", "count", "expected"),
    [
        ({"a": 0.5, "b": 0.5}, 2, {"a": Allocation(1, 1, 1.0), "b": Allocation(1, 1, 1.0)}),
        ({"a": 0.5, "b": 0.5}, 6, {"a": Allocation(3, 3, 3.0), "b": Allocation(3, 3, 3.0)}),
        ({"a": 0.25, "b": 0.75}, 8, {"a": Allocation(2, 3, 2.0), "b": Allocation(5, 6, 6.0)}),
        ({"a": 0.1, "b": 0.9}, 4, {"a": Allocation(1, 1, 1.0), "b": Allocation(3, 3, 3.6)}),
    ],
)
def test_a_zone_has_at_least_five_sixths_of_its_share(
    shares: dict[str, float], count: int, expected: dict[str, Allocation]
) -> None:
    found = zones.allocations_of(shares, count)
    assert {zone: one[:2] for zone, one in found.items()} == {zone: one[:2] for zone, one in expected.items()}
    assert {zone: one.wanted for zone, one in found.items()} == pytest.approx(
        {zone: one.wanted for zone, one in expected.items()}
    )


@pytest.mark.parametrize(
    ("shares", "count", "why"),
    [
        ({}, 4, "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"),
        ({"a": 0.5, "b": 0.5}, 1, "Insufficient number of endpoints (1 endpoints, 2 zones)"),
        (
            {"a": 0.45, "b": 0.45, "c": 0.1},
            3,
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
            " (3 endpoints, 3 zones)",
        ),
    ],
)
def test_there_may_be_no_hints(shares: dict[str, float], count: int, why: str) -> None:
    with pytest.raises(NoHints) as raised:
        zones.allocations_of(shares, count)
    assert str(raised.value) == why


@pytest.mark.parametrize(
    ("wanted", "found", "giving", "receiving"),
    [
        ([1.2, 1.1, 1.0], {"a": 1, "b": 1, "c": 1}, {}, {}),
        ([5.1, 5.1, 5.8], {"a": 16}, {"a": 10}, {"b": 5, "c": 5}),
        ([5.0, 5.6, 5.4], {"a": 16}, {"a": 11}, {"b": 6, "c": 5}),
        ([5.0, 5.6, 5.4], {"b": 8, "c": 8}, {"b": 2, "c": 3}, {"a": 5}),
        ([5.0, 5.0, 5.0], {"a": 6, "b": 6, "c": 6}, {}, {}),
    ],
)
def test_zones_give_what_others_need(
    wanted: list[float], found: dict[str, int], giving: dict[str, int], receiving: dict[str, int]
) -> None:
    """The cases of upstream's Test_getGivingAndReceivingZones."""
    allocations = {zone: Allocation(0, 0, number) for zone, number in zip("abc", wanted, strict=True)}
    assert zones._moves(allocations, Counter(found)) == (giving, receiving)


def test_endpoints_are_for_their_own_zone_and_for_one_that_has_too_few() -> None:
    new = plan(*[endpoint("a") for _ in range(3)], endpoint("a", ready=False), endpoint("b"))
    assert zones.assign([new], {"a": 0.5, "b": 0.5}) == {"a": 2, "b": 2}
    assert sorted(hints(new)) == ["", "a", "a", "b", "b"]
    assert hints(new)[3:] == ["", "b"]


def test_a_slice_that_does_not_change_keeps_its_hints() -> None:
    kept = [endpoint("a", hint="b"), endpoint("a", hint="a")]
    old, new = plan(endpoint("a"), endpoint("a"), have=kept), plan(endpoint("a"), endpoint("b"))
    assert zones.assign([old, new], {"a": 0.5, "b": 0.5}) == {"a": 2, "b": 2}
    assert hints(old) == ["b", "a"]
    assert hints(new) == ["a", "b"]


@pytest.mark.parametrize("hint", ["", "c"])
def test_hints_that_do_not_fit_are_set_anew(hint: str) -> None:
    old = plan(endpoint("a"), endpoint("b"), have=[endpoint("a", hint=hint), endpoint("b", hint="b")])
    assert zones.assign([old], {"a": 0.5, "b": 0.5}) == {"a": 1, "b": 1}
    assert hints(old) == ["a", "b"]


def test_a_slice_may_not_keep_more_than_a_zone_can_have() -> None:
    kept = [endpoint("a", hint="a"), endpoint("a", hint="a")]
    old, new = plan(endpoint("a"), endpoint("a"), have=kept), plan(endpoint("a"), endpoint("b"))
    zones.assign([plan(endpoint("a"), endpoint("a"), have=kept), old, new], {"a": 0.5, "b": 0.5})
    assert Counter(hints(old, new)) == {"a": 1, "b": 3}


def test_an_endpoint_without_a_zone_is_for_all() -> None:
    with pytest.raises(NoHints, match="One or more endpoints do not have a zone specified"):
        zones.assign([plan(endpoint("a"), endpoint())], {"a": 0.5, "b": 0.5})


@pytest.mark.parametrize(
    ("found", "shares", "overloaded"),
    [
        ({"a": 3, "b": 3}, {"a": 0.5, "b": 0.5}, False),
        ({"a": 3, "b": 3}, {"a": 0.6, "b": 0.4}, False),
        ({"a": 3, "b": 3}, {"a": 0.75, "b": 0.25}, True),
        ({"a": 3, "b": 3}, {"a": 0.4, "b": 0.4, "c": 0.2}, True),
        ({"a": 3, "b": 3}, {}, True),
    ],
)
def test_a_zone_with_too_few_endpoints_is_overloaded(
    found: dict[str, int], shares: dict[str, float], overloaded: bool
) -> None:
    assert zones.is_overloaded(found, shares) == overloaded


@pytest.mark.parametrize(
    ("annotations", "automatic"),
    [
        ({zones.MODE: "Auto"}, True),
        ({zones.MODE: "auto"}, True),
        ({zones.OLD_MODE: "Auto"}, True),
        ({zones.MODE: "Auto", zones.OLD_MODE: "Disabled"}, False),
        ({zones.MODE: "Other"}, False),
        (None, False),
    ],
)
def test_the_annotation_asks_for_hints(annotations: Any, automatic: bool) -> None:
    assert zones.is_automatic({"metadata": {"annotations": annotations}}) == automatic
