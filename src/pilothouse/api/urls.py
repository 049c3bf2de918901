"""URLs that users write, parsed as Go's net/url does."""

import re
from urllib.parse import SplitResult, urlsplit

from pilothouse.gotext import quote
from pilothouse.process.patterns import pattern

_CONTROL = pattern("[\x00-\x1f\x7f]")
_ESCAPE = pattern("%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_NOT_IN_HOST = pattern(r'[ <>"\\^`{|}]')
_IP_LITERAL = pattern(r"^\[[^]]*\]")
_PORT = pattern(":[0-9]*", re.ASCII)


def parsed(url: str) -> SplitResult:
    """The parts of a URL; ValueError, in the words of url.Parse, for one that Go does not parse.

    Python's urlsplit strips control characters, and takes more than Go does.
    """
    if why := _fault(url):
        raise ValueError(f"parse {quote(url)}: {why}")
    return urlsplit(url)


def _fault(url: str) -> str:
    if _CONTROL.search(url):
        return "net/url: invalid control character in URL"
    if url.startswith(":"):
        return "missing protocol scheme"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "missing ']' in host"
    for text in (parts.netloc, parts.path, parts.fragment):
        if wrong := _ESCAPE.search(text):
            return f"invalid URL escape {quote(wrong[0])}"
    host = parts.netloc.rpartition("@")[2]
    if wrong := _NOT_IN_HOST.search(host):
        return f"invalid character {quote(wrong[0])} in host name"
    port = _IP_LITERAL.sub("", host)
    colon = port.find(":")
    if colon >= 0 and not _PORT.fullmatch(port[colon:]):
        return f"invalid port {quote(port[port.rfind(':') :])} after host"
    return ""
