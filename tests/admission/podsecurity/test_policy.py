"""A namespace's labels ask for levels and versions."""

from typing import Any

import pytest

from pilothouse.admission.podsecurity.policy import (
    BASELINE,
    LATEST,
    PREFIX,
    PRIVILEGED,
    RESTRICTED,
    LevelVersion,
    PodSecurityLevels,
    namespace_policy,
    parse_version,
    stricter,
)

FREE, BASE = LevelVersion(PRIVILEGED), LevelVersion(BASELINE)
STRICT, OLD = LevelVersion(RESTRICTED), LevelVersion(RESTRICTED, 22)


def labels(**members: Any) -> dict[Any, Any]:
    return {PREFIX + name.replace("_", "-"): value for name, value in members.items()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, PodSecurityLevels()),
        ({"enforce": "privileged"}, PodSecurityLevels()),
        ({"enforce": "baseline"}, PodSecurityLevels(BASE, FREE, BASE)),
        ({"enforce": "restricted", "enforce_version": "v1.22"}, PodSecurityLevels(OLD, FREE, OLD)),
        ({"enforce": "baseline", "warn": "restricted"}, PodSecurityLevels(BASE, FREE, STRICT)),
        ({"enforce": "restricted", "warn": "privileged"}, PodSecurityLevels(STRICT, FREE, FREE)),
        (
            {"enforce": "restricted", "warn_version": "v1.7"},
            PodSecurityLevels(STRICT, FREE, LevelVersion(RESTRICTED, 7)),
        ),
        ({"audit": "restricted", "audit_version": "v1.22"}, PodSecurityLevels(FREE, OLD, FREE)),
        ({"enforce_version": "v1.3"}, PodSecurityLevels(LevelVersion(PRIVILEGED, 3), FREE, FREE)),
    ],
)
def test_labels(given: dict[str, Any], expected: Any) -> None:
    policy, problems = namespace_policy(
        labels(**given) | {"kubernetes.io/metadata.name": "n"}, PodSecurityLevels()
    )
    assert (policy, list(problems)) == (expected, [])


def test_defaults_stand_where_there_are_no_labels() -> None:
    defaults = PodSecurityLevels(BASE, STRICT, STRICT)
    assert namespace_policy(None, defaults)[0] == defaults
    assert namespace_policy({"a": "b"}, defaults)[0] == defaults
    assert namespace_policy(labels(enforce="restricted"), defaults)[0] == PodSecurityLevels(
        STRICT, STRICT, STRICT
    )
    assert namespace_policy(labels(enforce="privileged"), defaults)[0] == PodSecurityLevels(
        FREE, STRICT, STRICT
    )


def test_labels_that_cannot_be_read() -> None:
    given = labels(enforce="x", enforce_version="1.2", audit="", audit_version="v2.0", warn="Baseline")
    policy, problems = namespace_policy(given, PodSecurityLevels())
    assert policy == PodSecurityLevels(STRICT, FREE, FREE)
    levels = "must be one of privileged, baseline, restricted"
    versions = 'must be "latest" or "v1.x"'
    at = "metadata.labels[pod-security.kubernetes.io/"
    assert [(cause["field"], cause["message"]) for cause in problems] == [
        (f"{at}enforce]", f'Invalid value: "x": {levels}'),
        (f"{at}enforce-version]", f'Invalid value: "1.2": {versions}'),
        (f"{at}audit]", f'Invalid value: "": {levels}'),
        (f"{at}audit-version]", f'Invalid value: "v2.0": {versions}'),
        (f"{at}warn]", f'Invalid value: "Baseline": {levels}'),
    ]
    assert (
        namespace_policy(labels(enforce="x"), PodSecurityLevels())[0].warn == FREE
    )  # a wrong level has no consequence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", LATEST),
        ("v1.0", 0),
        ("v1.36", 36),
        ("v1.999", 999),
        ("v1.01", None),
        ("v1.", None),
        ("V1.1", None),
        ("v1.1\n", None),
        ("v1.-1", None),
        ("v1.1.0", None),
        ("v1." + "9" * 40, None),
        ("", None),
    ],
)
def test_versions(text: str, expected: Any) -> None:
    assert parse_version(text) == expected


def test_comparisons() -> None:
    assert (
        stricter(RESTRICTED, BASELINE) and stricter(BASELINE, PRIVILEGED) and not stricter(BASELINE, BASELINE)
    )
    assert (
        PodSecurityLevels(LevelVersion(PRIVILEGED, 3)).equivalent(PodSecurityLevels())
        and PodSecurityLevels(LevelVersion(PRIVILEGED, 3)).free
    )
    assert not PodSecurityLevels(BASE).equivalent(PodSecurityLevels(LevelVersion(BASELINE, 3)))
    assert str(OLD) == "restricted:v1.22" and str(STRICT) == "restricted:latest"
