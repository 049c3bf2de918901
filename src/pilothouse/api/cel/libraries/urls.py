"""URLs (Kubernetes' pkg/cel/library/urls.go), split as Go's net/url does it."""

import re
from collections.abc import Callable
from urllib.parse import quote as percent_encode
from urllib.parse import unquote, unquote_plus

from pilothouse.api.cel import estimates
from pilothouse.api.cel._cel import EvaluationError, Opaque
from pilothouse.api.cel.functions import Functions, Overload, member, walk
from pilothouse.api.cel.host import quote, request_uri
from pilothouse.api.cel.types import BOOL, STRING, list_of, map_of, struct

URL = struct("kubernetes.URL", {})
_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*):")
_PATH = re.compile(r"(?:[A-Za-z0-9\-_.~$&+,/:;=@!'()*\[\]]|%[0-9A-Fa-f]{2})*")
_SAFE = "$&+,/:;=@"
_PAIR = re.compile("%(?![0-9A-Fa-f]{2})")


class Url(Opaque):
    """A URL that was read."""

    type_name = "kubernetes.URL"
    __slots__ = ("host", "path", "query", "scheme", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        rest, _, _ = text.partition("#")
        match = _SCHEME.match(rest)
        self.scheme = match[1].lower() if match else ""
        rest = rest[match.end() :] if match else rest
        rest, _, self.query = rest.partition("?")
        self.host, self.path = "", rest
        if not rest.startswith("/"):
            self.path = ""
        elif rest.startswith("//") and (match or not rest.startswith("///")):
            authority, slash, path = rest[2:].partition("/")
            self.host = unquote(authority.rpartition("@")[2])
            self.path = slash + path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def hostname(self) -> str:
        host = self.host
        if host.startswith("["):
            return host[1:].partition("]")[0]
        return host.rpartition(":")[0] if ":" in host else host

    def port(self) -> str:
        _, colon, port = self.host.rpartition("]")[2].rpartition(":")
        return port if colon else ""

    def escaped_path(self) -> str:
        if _PATH.fullmatch(self.path):
            return self.path
        return percent_encode(unquote(self.path), safe=_SAFE)

    def pairs(self) -> dict[str, list[str]]:
        """The query; parts that are none are left out."""
        out: dict[str, list[str]] = {}
        for part in self.query.split("&"):
            if not part or ";" in part or _PAIR.search(part):
                continue
            name, _, value = part.partition("=")
            out.setdefault(unquote_plus(name), []).append(unquote_plus(value))
        return out


def _url(text: str) -> Url:
    if not request_uri(text):
        why = "empty url" if not text else "invalid URI for request"
        raise EvaluationError(f"URL parse error during conversion from string: parse {quote(text)}: {why}")
    return Url(text)


def _part(name: str, function: Callable[[Url], str]) -> tuple[Overload, ...]:
    return (member(f"url_get_{name}", (URL,), STRING, function),)


FUNCTIONS: Functions = {
    "url": (Overload("string_to_url", (STRING,), URL, _url, cost=walk, estimate=estimates.copied),),
    "isURL": (Overload("is_url_string", (STRING,), BOOL, request_uri),),
    "getScheme": _part("scheme", lambda url: url.scheme),
    "getHost": _part("host", lambda url: url.host),
    "getHostname": _part("hostname", Url.hostname),
    "getPort": _part("port", Url.port),
    "getEscapedPath": _part("escaped_path", Url.escaped_path),
    "getQuery": (member("url_get_query", (URL,), map_of(STRING, list_of(STRING)), Url.pairs),),
}
