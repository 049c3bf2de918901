"""Regular expressions (cel-go's `matches`, Kubernetes' pkg/cel/library/regex.go), on RE2."""

from typing import Any

from pilothouse.api.cel import estimates
from pilothouse.api.cel._cel import EvaluationError
from pilothouse.api.cel.functions import Functions, bounded, member, search
from pilothouse.api.cel.host import MOST_STEPS, compile_pattern
from pilothouse.api.cel.types import INT, STRING, list_of


def compiled(pattern: str, text: str = "", words: str = "") -> Any:
    """The RE2 program of a pattern for a text;
    EvaluationError if it is none, or if the search would take too long."""
    try:
        program = compile_pattern(pattern)
    except ValueError as err:
        raise EvaluationError(f"{words}{err}") from None
    bounded(len(text) * program.programsize, MOST_STEPS)
    return program


def matches(text: str, pattern: str) -> bool:
    return compiled(pattern, text).search(text) is not None


def _find(text: str, pattern: str) -> str:
    found = compiled(pattern, text, "Illegal regex: ").search(text)
    return found.group() if found is not None else ""


def _find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    """The matches, `most` of them unless that is negative;
    an empty one right behind another is none, as in Go."""
    out: list[str] = []
    if most == 0:
        return out
    last = -1
    for found in compiled(pattern, text, "Illegal regex: ").finditer(text):
        if found.start() == found.end() == last:
            continue
        last = found.end()
        out.append(found.group())
        if len(out) == most:
            break
    return out


_SEARCH: dict[str, Any] = {"cost": search, "estimate": estimates.found}
FUNCTIONS: Functions = {
    "find": (member("string_find_string", (STRING, STRING), STRING, _find, **_SEARCH),),
    "findAll": (
        member("string_find_all_string", (STRING, STRING), list_of(STRING), _find_all, **_SEARCH),
        member("string_find_all_string_int", (STRING, STRING, INT), list_of(STRING), _find_all, **_SEARCH),
    ),
}
