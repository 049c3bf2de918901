"""Which checks make up a level of a version, and what they say of a pod (pod-security-admission/policy)."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from pilothouse.admission.podsecurity import baseline, restricted
from pilothouse.admission.podsecurity.checks import Check, CheckPod, Pod, Violation
from pilothouse.admission.podsecurity.policy import PRIVILEGED, RESTRICTED, LevelVersion

NEWEST = max(since for check in (*baseline.CHECKS, *restricted.CHECKS) for since, _ in check.versions)
"""The last minor version in which a check has changed; later ones, and `latest`, are the same."""


def evaluate(level: LevelVersion, pod: Pod) -> list[Violation]:
    """Why a level forbids a pod; nothing when it allows it."""
    if level.level == PRIVILEGED:
        return []
    return [
        found
        for check in checks(level.level, min(level.version, NEWEST))
        if (found := check(pod)) is not None
    ]


@cache
def checks(level: str, version: int) -> Sequence[CheckPod]:
    """The checks of a level and version, baseline ones first; a check that is overridden is left out."""
    added = [check for check in restricted.CHECKS if level == RESTRICTED and check.versions[0][0] <= version]
    overridden = {name for check in added for name in check.overrides}
    kept = [check for check in baseline.CHECKS if check.id not in overridden]
    return tuple(_forms((*kept, *added), version))


def _forms(of: Iterable[Check], version: int) -> Iterator[CheckPod]:
    """The newest form of each check that is not newer than the version."""
    for check in of:
        forms = [form for since, form in check.versions if since <= version]
        if forms:
            yield forms[-1]


def told(violations: Iterable[Violation]) -> str:
    """Reasons and details of all violations, as a client sees them."""
    return ", ".join(map(str, violations))
