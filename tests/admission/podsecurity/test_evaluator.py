"""The checks of a level."""

import pytest

from pilothouse.admission.podsecurity import baseline, restricted
from pilothouse.admission.podsecurity.checks import Pod
from pilothouse.admission.podsecurity.evaluator import NEWEST, checks, evaluate, told
from pilothouse.admission.podsecurity.policy import BASELINE, LATEST, PRIVILEGED, RESTRICTED, LevelVersion

BAD = Pod({}, {"hostNetwork": True, "containers": [{"name": "c"}]})


@pytest.mark.parametrize(
    ("version", "of_baseline", "of_restricted"),
    [(0, 11, 12), (8, 11, 13), (19, 11, 13), (22, 11, 13), (23, 11, 14), (34, 12, 15), (35, 12, 15)],
)
def test_how_many(version: int, of_baseline: int, of_restricted: int) -> None:
    assert (len(checks(BASELINE, version)), len(checks(RESTRICTED, version))) == (of_baseline, of_restricted)


def test_checks_stand_in_the_order_of_messages() -> None:
    for table in (baseline.CHECKS, restricted.CHECKS):
        assert [check.id for check in table] == sorted(check.id for check in table)
        assert all(list(check.versions) == sorted(check.versions, key=lambda v: v[0]) for check in table)
    known = {check.id for check in baseline.CHECKS}
    assert {name for check in restricted.CHECKS for name in check.overrides} <= known


def test_levels() -> None:
    assert evaluate(LevelVersion(PRIVILEGED), BAD) == []
    assert told(evaluate(LevelVersion(BASELINE, 3), BAD)) == "host namespaces (hostNetwork=true)"
    reasons = [violation.reason for violation in evaluate(LevelVersion(RESTRICTED), BAD)]
    assert reasons[:2] == ["host namespaces", "allowPrivilegeEscalation != false"] and len(reasons) == 5


def test_versions_to_come_are_like_the_newest() -> None:
    assert NEWEST == 35
    texts = {told(evaluate(LevelVersion(RESTRICTED, version), BAD)) for version in (35, 36, 99, LATEST)}
    assert len(texts) == 1
