"""Shows empty maps and lists of a refused object as the client sent them.

The server drops them when it reads a body, so a rule that quotes one quotes null. Upstream keeps them until
the object is written.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from pilothouse import errors
from pilothouse.process.patterns import pattern

NULL = " value: null: "
MOST = 64 << 10
"""Bytes of a body that is read again."""
FEW = 16
"""Causes with a null whose places are looked for, each in every operation of a JSON patch."""
_STEP = pattern(r"[^.\[\]]+")


def as_sent(err: errors.Invalid, body: bytes) -> errors.Invalid:
    """The error with `{}` and `[]` in place of the nulls that the body has in their form.

    body: an object in JSON, or a merge patch, a strategic merge patch or a JSON patch.
    """
    details = err.details or {}
    if len(body) > MOST or not any(NULL in cause.get("message", "") for cause in details.get("causes") or ()):
        return err
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        return err
    causes, message, nulls = [], err.message, 0
    for cause in details["causes"]:
        field, text = cause.get("field", ""), cause.get("message", "")
        is_null = NULL in text
        nulls += is_null
        shown = _form(sent, _STEP.findall(field)) if is_null and nulls <= FEW else ""
        if shown:
            told = text.replace(NULL, f" value: {shown}: ", 1)
            message = message.replace(f"{field}: {text}", f"{field}: {told}", 1)
            cause = {**cause, "message": told}
        causes.append(cause)
    return errors.Invalid(message, details={**details, "causes": causes}, headers=err.headers)


def _form(sent: Any, steps: list[str]) -> str:
    """`{}` or `[]` where one of the documents has an empty map or list at a place, else ""."""
    for document, rest in _documents(sent, steps):
        for step in rest:
            if isinstance(document, dict):
                document = document.get(step)
            elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
                document = document[int(step)]
            else:
                document = None
        if isinstance(document, dict) and all(value is None for value in document.values()):
            return "{}"
        if document == []:
            return "[]"
    return ""


def _documents(sent: Any, steps: list[str]) -> Iterator[tuple[Any, list[str]]]:
    """The documents in which a place may be, with the rest of the way there: the body, or the values of the
    operations of a JSON patch, the last one first."""
    if not isinstance(sent, list):
        yield sent, steps
        return
    for operation in reversed(sent):
        path = operation.get("path") if isinstance(operation, dict) else None
        if isinstance(path, str):
            above = path.split("/")[1:]
            if steps[: len(above)] == above:
                yield operation.get("value"), steps[len(above) :]
