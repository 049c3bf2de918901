"""Semantic versions (Kubernetes' pkg/cel/library/semverlib.go over blang/semver)."""

from typing import Any

from pilothouse.api.cel import estimates
from pilothouse.api.cel._cel import UINT_MAX, EvaluationError, Opaque
from pilothouse.api.cel.functions import Functions, Overload, member, succeeds, walk
from pilothouse.api.cel.host import quote
from pilothouse.api.cel.types import BOOL, INT, STRING, CelType, struct

SEMVER = struct("kubernetes.Semver", {})
_DIGITS = frozenset("0123456789")
_ALPHANUMERIC = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-")


class Version(Opaque):
    """A version; `pre` are the parts of its pre-release, numbers as integers."""

    type_name = "kubernetes.Semver"
    __slots__ = ("numbers", "pre")

    def __init__(self, numbers: tuple[int, ...], pre: tuple[int | str, ...]) -> None:
        self.numbers = numbers
        self.pre = pre

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and _compare(self, other) == 0

    def __hash__(self) -> int:
        return hash((self.numbers, self.pre))


def _compare(one: Version, other: Version) -> int:
    if one.numbers != other.numbers:
        return 1 if one.numbers > other.numbers else -1
    if not one.pre or not other.pre:
        return bool(other.pre) - bool(one.pre)
    for mine, theirs in zip(one.pre, other.pre, strict=False):
        if mine == theirs:
            continue
        if isinstance(mine, int) != isinstance(theirs, int):
            return -1 if isinstance(mine, int) else 1
        return 1 if mine > theirs else -1  # type: ignore[operator]
    return (len(one.pre) > len(other.pre)) - (len(one.pre) < len(other.pre))


def _number(text: str, what: str) -> int:
    """A part of a version; ValueError with the library's words."""
    if not set(text) <= _DIGITS:
        raise ValueError(f"Invalid character(s) found in {what} number {quote(text)}")
    if len(text) > 1 and text[0] == "0":
        raise ValueError(f"{what[0].upper()}{what[1:]} number must not contain leading zeroes {quote(text)}")
    if not text:
        raise ValueError('strconv.ParseUint: parsing "": invalid syntax')
    return _uint(text)


def _uint(text: str) -> int:
    value = int(text[:30])
    if value > UINT_MAX:
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return value


def _pre_release(text: str) -> int | str:
    if not text:
        raise ValueError("Prerelease is empty")
    if set(text) <= _DIGITS:
        if len(text) > 1 and text[0] == "0":
            raise ValueError(f"Numeric PreRelease version must not contain leading zeroes {quote(text)}")
        return _uint(text)
    if not set(text) <= _ALPHANUMERIC:
        raise ValueError(f"Invalid character(s) found in prerelease {quote(text)}")
    return text


def _parse(text: str) -> Version:
    """A version; ValueError with the library's words."""
    if not text:
        raise ValueError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise ValueError("No Major.Minor.Patch elements found")
    major, minor = _number(parts[0], "major"), _number(parts[1], "minor")
    rest, plus, build = parts[2].partition("+")
    patch, dash, pre = rest.partition("-")
    number = _number(patch, "patch")
    released = tuple(_pre_release(one) for one in pre.split(".")) if dash else ()
    for one in build.split(".") if plus else ():
        if not one:
            raise ValueError("Build meta data is empty")
        if not set(one) <= _ALPHANUMERIC:
            raise ValueError(f"Invalid character(s) found in build meta data {quote(one)}")
    return Version((major, minor, number), released)


def _normalise(text: str) -> str:
    """The text with what is missing filled in; ValueError if it cannot be."""
    parts = text.removeprefix("v").split(".", 2)
    for i, part in enumerate(parts):
        if len(part) > 1:
            part = part.lstrip("0")
            parts[i] = part if part[:1] in _DIGITS and part else "0" + part
    if len(parts) < 3:
        if "+" in parts[-1] or "-" in parts[-1]:
            raise ValueError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _semver(text: str, normalise: bool = False) -> Version:
    try:
        return _parse(_normalise(text) if normalise else text)
    except ValueError as err:
        raise EvaluationError(str(err)) from None


def _reads(ids: tuple[str, str], result: CelType, function: Any) -> tuple[Overload, ...]:
    return tuple(
        Overload(id, params, result, function, cost=walk, estimate=estimates.walked)
        for id, params in zip(ids, ((STRING,), (STRING, BOOL)), strict=True)
    )


def _tells(id: str, place: int) -> tuple[Overload, ...]:
    def tell(version: Version) -> int:
        value = version.numbers[place]
        return value - (1 << 64) if value >= 1 << 63 else value

    return (member(id, (SEMVER,), INT, tell),)


def _compares(id: str, result: CelType, function: Any) -> tuple[Overload, ...]:
    return (member(id, (SEMVER, SEMVER), result, function),)


FUNCTIONS: Functions = {
    "semver": _reads(("string_to_semver", "string_bool_to_semver"), SEMVER, _semver),
    "isSemver": _reads(("is_semver_string", "is_semver_string_bool"), BOOL, succeeds(_semver)),
    "isGreaterThan": _compares("semver_is_greater_than", BOOL, lambda one, two: _compare(one, two) > 0),
    "isLessThan": _compares("semver_is_less_than", BOOL, lambda one, two: _compare(one, two) < 0),
    "compareTo": _compares("semver_compare_to", INT, _compare),
    "major": _tells("semver_major", 0),
    "minor": _tells("semver_minor", 1),
    "patch": _tells("semver_patch", 2),
}
