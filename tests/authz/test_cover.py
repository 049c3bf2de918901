"""Whether rules cover other rules, compared with the product of all combinations."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.authz import cover
from pilothouse.authz.cover import TooComplex, first_uncovered, uncovered


def atoms(rule: Any) -> Iterator[Any]:
    """The atoms of a rule, one after the other, as upstream breaks rules down."""
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                atom = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                if not rule.get("resourceNames"):
                    yield atom
                for name in rule.get("resourceNames") or ():
                    yield {**atom, "resourceNames": [name]}
    for url in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"nonResourceURLs": [url], "verbs": [verb]}


def covers(own: Any, atom: Any) -> Any:
    if "*" not in own["verbs"] and atom["verbs"][0] not in own["verbs"]:
        return False
    names = own.get("resourceNames") or ()
    if "nonResourceURLs" in atom:
        return not names and any(
            url == atom["nonResourceURLs"][0]
            or (url.endswith("*") and atom["nonResourceURLs"][0].startswith(url.rstrip("*")))
            for url in own.get("nonResourceURLs") or ()
        )
    groups, resources = own.get("apiGroups") or (), own.get("resources") or ()
    if "*" not in groups and atom["apiGroups"][0] not in groups:
        return False
    if names and ("resourceNames" not in atom or atom["resourceNames"][0] not in names):
        return False
    resource = atom["resources"][0]
    below = resource.partition("/")[2]
    return "*" in resources or resource in resources or ("/" in resource and f"*/{below}" in resources)


def by_product(held: Any, wanted: Any) -> list[Any]:
    return [atom for rule in wanted for atom in atoms(rule) if not any(covers(own, atom) for own in held)]


def texts(*some: Any) -> Any:
    return st.lists(st.sampled_from(some), max_size=3)


RULES = st.lists(
    st.fixed_dictionaries(
        {"verbs": texts("get", "list", "*")},
        optional={
            "apiGroups": texts("", "apps", "*"),
            "resources": texts("pods", "pods/log", "*/log", "x/log", "x/", "*"),
            "resourceNames": texts("a", "b", "*"),
            "nonResourceURLs": texts("/a", "/a/*", "/a/b", "/a/**", "*"),
        },
    ),
    max_size=4,
)


@pytest.mark.slow
@given(RULES, RULES)
@settings(max_examples=500 * SCALE)
def test_the_product_gives_the_same(held: Any, wanted: Any) -> None:
    assert uncovered(held, wanted) == by_product(held, wanted)
    assert first_uncovered(held, wanted) == (by_product(held, wanted), True)


def wide(n: Any, **more: Any) -> dict[str, Any]:
    listed = [f"text{i}" for i in range(n)]
    return {"verbs": listed, "apiGroups": listed, "resources": listed, **more}


def one_by_one(n: Any) -> list[Any]:
    return [{"verbs": ["get"], "apiGroups": [""], "resources": [f"r{i}"]} for i in range(n)]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: ([wide(n)], [wide(n)]),
        lambda n: ([], [wide(n)]),
        lambda n: (one_by_one(n), one_by_one(n)),
        lambda n: (
            one_by_one(n),
            [{"verbs": ["get"], "apiGroups": [""], "resources": [f"r{i}" for i in range(n)]}],
        ),
        lambda n: ([wide(n, resourceNames=["a"])], [wide(n)]),
        lambda n: ([wide(n)], [wide(n, resourceNames=[f"n{i}" for i in range(n)])]),
    ],
    ids=["same", "none", "single", "many for one", "names", "any name"],
)
def test_comparing_takes_linear_time(make: Callable[..., Any]) -> None:
    assert_linear(lambda given: first_uncovered(*given), make, 300)


def test_rules_that_overlap_in_ever_new_ways_are_given_up(
    ever_new_overlaps: tuple[Any, list[dict[str, Any]]],
) -> None:
    started = time.thread_time()
    with pytest.raises(TooComplex):
        first_uncovered(*ever_new_overlaps)
    assert time.thread_time() - started < 5


def test_what_is_told_is_bounded() -> None:
    found, whole = first_uncovered([], [wide(150)])
    assert not whole
    told = sum(len(one[0]) for atom in found for one in atom.values())
    assert cover.MAX_TOLD < told < cover.MAX_TOLD + 100
