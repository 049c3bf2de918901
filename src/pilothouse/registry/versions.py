"""API versions: their stage and their order of preference
(apimachinery version.CompareKubeAwareVersionStrings)."""

from pilothouse.process.patterns import pattern

_VERSION = pattern(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")
_STAGES = {"alpha": 0, "beta": 1, "ga": 2}


def stage_of(version: str) -> str:
    """`alpha`, `beta` or `ga`; "" for a name that does not follow Kubernetes' pattern."""
    match = _VERSION.fullmatch(version)
    return (match.group(2) or "ga") if match is not None else ""


def version_key(version: str) -> tuple[int, int, int, str]:
    """Sort key, lowest preference first: v1alpha1 < v1beta1 < v1 < v2. Other names rank lower, z lowest."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0, "".join(chr(0x10FFFF - ord(c)) for c in version) + chr(0x10FFFF))
    major, stage, minor = match.groups()
    return (_STAGES[stage or "ga"], int(major), int(minor or 0), "")
