"""Sets of completion indexes, and their texts such as `0-2,5` in a job's status."""

from collections.abc import Iterable

from pilothouse.simulate.workloads.pods import IndexedPod

INDEX = "batch.kubernetes.io/job-completion-index"


def parse(text: str) -> set[int]:
    """The indexes that a text lists."""
    out: set[int] = set()
    for part in filter(None, (text or "").split(",")):
        low, _, high = part.partition("-")
        out.update(range(int(low), int(high or low) + 1))
    return out


def show(indexes: Iterable[int]) -> str:
    """The text of a set; two neighbours are listed, more of them are a range."""
    ordered = sorted(indexes)
    parts, at = [], 0
    while at < len(ordered):
        end = at
        while end + 1 < len(ordered) and ordered[end + 1] == ordered[end] + 1:
            end += 1
        first, last = str(ordered[at]), str(ordered[end])
        parts.append(first if at == end else f"{first},{last}" if end == at + 1 else f"{first}-{last}")
        at = end + 1
    return ",".join(parts)


def index_of(pod: IndexedPod, completions: int) -> int | None:
    """The completion index of a pod; None without one, or with one beyond the job's."""
    text = pod.labels.get(INDEX, "")
    return int(text) if text.isdecimal() and int(text) < completions else None
