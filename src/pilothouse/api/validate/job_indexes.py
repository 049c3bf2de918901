"""Parses compressed lists of indexes, such as `0-2,5`, in the status of indexed jobs."""

from pilothouse.gotext import quote


def parse_indexes(text: str, completions: int) -> int:
    """The number of indexes in a list; raises ValueError if it is malformed or out of order or range."""
    last: int | None = None
    total = 0
    for interval in text.split(",") if text else ():
        low, high = _interval(interval, completions)
        if last is not None and last >= low:
            raise ValueError(f"non-increasing order, previous: {last}, current: {low}")
        total += high - low + 1
        last = high
    return total


def overlap(completed: str, failed: str, completions: int) -> int | None:
    """The first index in both lists, None without one; malformed intervals are skipped."""
    if not completed or not failed:
        return None
    ours, theirs = _intervals(completed, completions), _intervals(failed, completions)
    i = j = 0
    while i < len(ours) and j < len(theirs):
        (low, high), (other_low, other_high) = ours[i], theirs[j]
        if low <= other_high and other_low <= high:
            return max(low, other_low)
        if low <= other_low:
            i += 1
        else:
            j += 1
    return None


def _intervals(text: str, completions: int) -> list[tuple[int, int]]:
    out = []
    for part in text.split(","):
        try:
            out.append(_interval(part, completions))
        except ValueError:
            continue
    return out


def _interval(text: str, completions: int) -> tuple[int, int]:
    ends = text.split("-")
    if len(ends) > 2:
        raise ValueError(
            f"the fragment {quote(text)} violates the requirement that an index interval can have at most "
            "two parts separated by '-'"
        )
    low = _index(ends[0], completions)
    if len(ends) == 1:
        return low, low
    high = _index(ends[1], completions)
    if low >= high:
        raise ValueError(f"non-increasing order, previous: {low}, current: {high}")
    return low, high


def _index(text: str, completions: int) -> int:
    digits = text.removeprefix("+")
    number = -1
    if digits.isascii() and digits.isdigit():
        digits = digits.lstrip("0") or "0"
        number = int(digits) if len(digits) < 20 else -1
    if not 0 <= number < 2**63:
        raise ValueError(f"cannot convert string to integer for index: {quote(text)}")
    if number >= completions:
        raise ValueError(f"too large index: {quote(text)}")
    return number
