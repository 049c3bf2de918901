"""Tolerations that a namespace gives, and those that it allows."""

import json
from typing import Any

import pytest
from harness import Rig, pod

from pilothouse import errors
from pilothouse.admission.podtolerations import (
    ALLOWED,
    DEFAULTS,
    MEMORY_PRESSURE,
    VERSIONS,
    PodTolerationRestriction,
    covers,
    merged,
)
from pilothouse.api.configfile import ConfigurationError

A = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}
ANY_A = {"key": "a", "operator": "Exists"}
ALL = {"operator": "Exists"}
SOON = {"key": "n", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
LATE = {**SOON, "tolerationSeconds": 50}
EVER = {"key": "n", "operator": "Exists", "effect": "NoExecute"}
REFUSED = (
    "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace"
    " whitelist"
)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (A, A, True),
        (ANY_A, A, True),
        (A, ANY_A, False),
        (ALL, A, True),
        (ALL, EVER, True),
        (LATE, SOON, True),
        (SOON, LATE, False),
        (SOON, EVER, False),
        (EVER, SOON, True),
        ({**A, "effect": ""}, A, True),
        ({**A, "operator": ""}, A, True),
        ({**A, "value": "c"}, A, False),
        ({**A, "key": "c"}, A, False),
        ({**A, "effect": "NoExecute"}, A, False),
    ],
)
def test_what_covers_what(wide: Any, narrow: Any, expected: bool) -> None:
    assert covers(wide, narrow) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [A], [A]),
        ([A], [A], [A]),
        ([A], [ANY_A], [ANY_A]),
        ([ANY_A], [A], [ANY_A]),
        ([SOON, A], [LATE], [A, LATE]),
        ([A], [ALL], [ALL]),
    ],
)
def test_merging(first: list[Any], second: list[Any], expected: list[Any]) -> None:
    assert merged(first, second) == expected


async def annotate(rig: Rig, **lists: Any) -> None:
    named = {"defaults": DEFAULTS, "allowed": ALLOWED}
    annotations = {named[n]: v if isinstance(v, str) else json.dumps(v) for n, v in lists.items()}
    await rig.ok(
        "PUT", "/api/v1/namespaces/default", {"metadata": {"name": "default", "annotations": annotations}}
    )


def tolerated(rig: Rig, own: Any = (), section: Any = None, old: Any = None, **spec: Any) -> Any:
    """The pod's tolerations after the plugin; the message of a refusal."""
    obj = pod("p", spec={"tolerations": list(own), **spec})
    try:
        PodTolerationRestriction(section).mutate(rig.attributes(obj, old))
    except errors.StatusError as err:
        return err.message
    return obj["spec"]["tolerations"]


CONFIG = {"apiVersion": VERSIONS[0], "kind": "Configuration", "default": [A], "whitelist": [A, SOON]}


@pytest.mark.parametrize(
    ("annotations", "own", "section", "expected"),
    [
        ({}, [A], None, [A]),
        ({"defaults": [A]}, [], None, [A]),
        ({"defaults": [A]}, [SOON], None, [SOON, A]),
        ({"allowed": [A]}, [A], None, [A]),
        ({"allowed": [A]}, [SOON], None, REFUSED),
        ({"allowed": ""}, [SOON], None, [SOON]),
        ({"defaults": [A], "allowed": [SOON]}, [], None, REFUSED),
        ({}, [], CONFIG, [A]),
        ({"defaults": ""}, [], CONFIG, []),
        ({"defaults": [SOON]}, [], CONFIG, [SOON]),
        ({}, [LATE], CONFIG, REFUSED),
        ({"allowed": ""}, [LATE], CONFIG, [LATE, A]),
        ({"defaults": "null"}, [A], None, [A]),
    ],
)
async def test_pods(
    rig: Rig, annotations: dict[str, Any], own: list[Any], section: Any, expected: Any
) -> None:
    await annotate(rig, **annotations)
    assert tolerated(rig, own, section) == expected


async def test_updates_get_no_defaults(rig: Rig) -> None:
    assert tolerated(rig, [SOON], CONFIG, old=pod("p")) == [SOON]


async def test_who_reserves_memory_may_stay_under_pressure(rig: Rig) -> None:
    limits = {"containers": [{"name": "c", "resources": {"requests": {"memory": "1"}}}]}
    assert tolerated(rig, **limits) == [MEMORY_PRESSURE]


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
async def test_annotations_that_are_none(rig: Rig, text: str) -> None:
    await annotate(rig, defaults=text)
    assert "annotation" in tolerated(rig) or "json: cannot unmarshal" in tolerated(rig)


async def test_a_namespace_that_is_missing(rig: Rig) -> None:
    with pytest.raises(errors.NotFound):
        PodTolerationRestriction().mutate(rig.attributes(pod("p"), namespace="none"))


def test_configuration() -> None:
    for section in ({"kind": "Configuration"}, {**CONFIG, "default": {"key": "a"}}, {**CONFIG, "x": 1}):
        with pytest.raises(ConfigurationError):
            PodTolerationRestriction(section)
