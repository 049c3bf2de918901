"""How the journal knows that a fault has struck a request (faults/): by a mark of its timeline."""

from pilothouse.endpoints.journal.journal import Detail
from pilothouse.gotext import quote

_BEGIN = "fault "
SAID = {
    "drop": "cut its connection",
    "delay": "delayed it",
    "stale": "answered it from an older revision",
    "expire": "ended its watch with an ERROR event",
}


def mark_of(name: str, effect: str) -> str:
    """The mark of a fault: the name of the stage that ends with it."""
    return f"{_BEGIN}{name}: {effect}"


def fault_of(detail: Detail) -> tuple[str, str] | None:
    """The name of the fault and what it has done; None where none has struck."""
    if not detail.marks or not detail.marks[0][0].startswith(_BEGIN):
        return None
    name, _, effect = detail.marks[0][0][len(_BEGIN) :].partition(": ")
    return name, effect


def sentence(name: str, effect: str, code: int, reason: str) -> str:
    """One sentence: what a fault has done to a request."""
    done = SAID.get(effect) or f"answered it with {code} {reason}".rstrip()
    return f"The fault {quote(name)} {done}."
