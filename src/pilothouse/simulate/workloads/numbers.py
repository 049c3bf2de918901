"""Numbers of specs that may be percentages, and bounds of rolling updates (apimachinery intstr)."""

from typing import Any

from pilothouse.api.values.fields import Object


def number_in(text: str) -> int:
    """The number in an annotation, 0 when it is none: users can write there what they like."""
    try:
        return int(text)
    except ValueError:
        return 0


def scaled(value: Any, total: int, *, up: bool) -> int:
    """A number, or the share of `total` that a text such as `25%` stands for, rounded up or down."""
    if isinstance(value, str):
        share = int(value.removesuffix("%") or 0) * total
        return -(-share // 100) if up else share // 100
    return int(value or 0)


def rolling_bounds(rolling: Object, total: int) -> tuple[int, int]:
    """How many pods of a workload may be above its number, and how many may be missing.

    One may be missing when both are 0: else nothing could move (ResolveFenceposts).
    """
    surge = scaled(rolling.get("maxSurge"), total, up=True)
    missing = scaled(rolling.get("maxUnavailable"), total, up=False)
    return surge, 1 if surge == missing == 0 else missing


def counted(**numbers: int) -> dict[str, int]:
    """The numbers of a status that are not 0: a 0 is not written."""
    return {name: number for name, number in numbers.items() if number}
