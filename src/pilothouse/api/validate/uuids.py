"""UUIDs as kinds of resource.k8s.io want them: what a parser accepts, and of that the normalised form."""

import re

from pilothouse.api.values import names
from pilothouse.gotext import quote

_SIZE = 36
_PLAIN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{32}")
_URN = "urn:uuid:"
_BAD = "invalid UUID format"
_NORMAL = (
    "uid must be in RFC 4122 normalized form,"
    " `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
)


def normal_uuid(text: str) -> list[str]:
    """A UUID in lower case, with hyphens."""
    why = _unreadable(text)
    if why:
        return [f"error validating uid: {why}"]
    return [] if len(text) == _SIZE and text == text.lower() else [_NORMAL]


def _unreadable(text: str) -> str:
    """Why the text is no UUID in any of the four forms that are known."""
    size = names.size(text)
    if size == _SIZE:
        return "" if _PLAIN.fullmatch(text) else _BAD
    if size == _SIZE + len(_URN):
        if text[: len(_URN)].lower() != _URN:
            return f"invalid urn prefix: {quote(text[: len(_URN)])}"
        return "" if _PLAIN.fullmatch(text, len(_URN)) else _BAD
    if size == _SIZE + 2:
        if text[0] != "{" or text[-1] != "}":
            return "invalid bracketed UUID format"
        return "" if _PLAIN.fullmatch(text[1:-1]) else _BAD
    if size == 32:
        return "" if _HEXADECIMAL.fullmatch(text) else _BAD
    return f"invalid UUID length: {size}"
