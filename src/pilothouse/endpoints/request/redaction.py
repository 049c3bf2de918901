"""Errors about patches of Secrets without the values that other kinds' errors show.

Upstream repeats the patch, or the whole patched object, in such an error. That puts the content of a Secret
into the audit log at every level, and into what clients log.
"""

import re

from pilothouse import errors
from pilothouse.process.patterns import pattern

REDACTED = "<secret contents redacted>"
"""The text in place of the values, in upstream's words for them."""

_SHOWING = (errors.Invalid, errors.BadRequest, errors.Unknown)
"""The errors that may show values; conflicts name fields and managers only."""

_BEFORE_VALUES = pattern(r"(, got |is missing in |unknown patch type: )(&{)?.*", re.DOTALL)
_VALUE = pattern(r'Invalid value: "[^"\\]*(?:\\.[^"\\]*)*"(?:\.\.\. \(\d+ characters left out\))?: ')
"""A value that is quoted, perhaps in part, before the fault that is told of it."""


def redacted(err: errors.StatusError) -> errors.StatusError:
    """The error without values: the same status, reason, field and cause."""
    if not isinstance(err, _SHOWING):
        return err
    causes = (err.details or {}).get("causes")
    if causes:
        return errors.invalid("", "", "", [{**one, "message": _cause(one["message"])} for one in causes])
    text = _BEFORE_VALUES.sub(_without_values, err.message)
    return type(err)(text, details=err.details, headers=err.headers)


def _without_values(found: re.Match[str]) -> str:
    """The text before a value, and REDACTED; a pointer of Go's stays one."""
    return found[1] + (f"&{{{REDACTED}}}" if found[2] else REDACTED)


def _cause(text: str) -> str:
    """A cause without its value, which is quoted: a JSON object or a map of Go stays one, so that readers see
    what was refused. What is behind it says why, and has no values."""
    value = text.removeprefix('Invalid value: "')
    found = _VALUE.match(text)
    why = text[found.end() :] if found else ""
    form = "{%s}" if value.startswith("{") else "map[%s]" if value.startswith("map[") else "%s"
    return f'Invalid value: "{form % REDACTED}": {why}'
