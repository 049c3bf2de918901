"""Levels and versions of the pod security standards,
and the policy that a namespace's labels ask for (KEP-2579)."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pilothouse.api.values.fields import Errors, Object, key
from pilothouse.process.patterns import pattern

PREFIX = "pod-security.kubernetes.io/"
"""The beginning of the names of labels and audit annotations."""

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
"""From the loosest to the strictest."""

MODES = ("enforce", "audit", "warn")
LABELS = tuple(PREFIX + mode + suffix for mode in MODES for suffix in ("", "-version"))
_ASKED = frozenset(LABELS)

LATEST = 1 << 62
"""The minor version that `latest` stands for: newer than any other."""

_VERSION = pattern(r"v1\.(0|[1-9][0-9]*)", re.ASCII)


class LevelVersion(NamedTuple):
    """A level, and the minor version of Kubernetes whose checks make it up."""

    level: str
    version: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{version_text(self.version)}"


FREE = LevelVersion(PRIVILEGED)


class PodSecurityLevels(NamedTuple):
    """The levels by which pods are refused, noted in the audit log, and warned of."""

    enforce: LevelVersion = FREE
    audit: LevelVersion = FREE
    warn: LevelVersion = FREE

    @property
    def free(self) -> bool:
        """Whether everything is allowed in all modes."""
        return self.enforce.level == self.audit.level == self.warn.level == PRIVILEGED

    def equivalent(self, other: "PodSecurityLevels") -> bool:
        """Whether two policies have the same effect: the version of the level `privileged` has none."""
        pairs = zip(self, other, strict=True)
        return all(a == b or a.level == b.level == PRIVILEGED for a, b in pairs)


def version_text(version: int) -> str:
    """`latest` or `v1.36`."""
    return "latest" if version == LATEST else f"v1.{version}"


def level_problem(level: str) -> str:
    """The fault of a level, "" when there is none."""
    return "" if level in LEVELS else f"must be one of {', '.join(LEVELS)}"


def parse_version(text: str) -> int | None:
    """The minor version, None when the text is no version."""
    if text == "latest":
        return LATEST
    found = _VERSION.fullmatch(text)
    if found is None or len(found[1]) > 18:  # more digits than an integer of 64 bits has
        return None
    return int(found[1])


VERSION_PROBLEM = 'must be "latest" or "v1.x"'


def stricter(a: str, b: str) -> bool:
    """Whether level `a` allows less than level `b`."""
    return LEVELS.index(a) > LEVELS.index(b)


def namespace_policy(
    labels: Mapping[str, str] | None, defaults: PodSecurityLevels
) -> tuple[PodSecurityLevels, Sequence[Mapping[str, str]]]:
    """The policy of a namespace, and the causes of labels that are wrong (upstream's PolicyToEvaluate).

    A label that is missing takes its default. One that cannot be read stands for `restricted` where it
    enforces, for `privileged` elsewhere, and for the version `latest`.
    """
    if not labels or _ASKED.isdisjoint(labels):  # PERF: nearly always
        return defaults, ()
    errs = Errors()
    found = [_mode(mode, labels, default, errs) for mode, default in zip(MODES, defaults, strict=True)]
    enforce, audit, warn = found
    asked = labels.get(PREFIX + "enforce")
    if PREFIX + "warn" not in labels and asked in LEVELS and stricter(enforce.level, warn.level):
        version = warn.version if PREFIX + "warn-version" in labels else enforce.version
        warn = LevelVersion(enforce.level, version)
    return PodSecurityLevels(enforce, audit, warn), errs.causes


def _mode(mode: str, labels: Mapping[str, str], default: LevelVersion, errs: Errors) -> LevelVersion:
    level, version = default
    text = labels.get(PREFIX + mode)
    if text is not None:
        level = text
        if problem := level_problem(text):
            level = RESTRICTED if mode == "enforce" else PRIVILEGED
            errs.invalid(key("metadata.labels", PREFIX + mode), text, problem)
    text = labels.get(f"{PREFIX}{mode}-version")
    if text is not None:
        parsed = parse_version(text)
        if parsed is None:
            errs.invalid(key("metadata.labels", f"{PREFIX}{mode}-version"), text, VERSION_PROBLEM)
            parsed = LATEST
        version = parsed
    return LevelVersion(level, version)


def labels_of(namespace: Object) -> Mapping[str, str] | None:
    """The labels of a namespace."""
    labels: Mapping[str, str] | None = namespace["metadata"].get("labels")
    return labels
