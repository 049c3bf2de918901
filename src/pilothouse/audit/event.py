"""Audit events (audit.k8s.io/v1 Event): their members in upstream's order, encoded once for all back ends.

The parts that all events of a request share are encoded when the first one is made; a user, an address and an agent
are encoded once for all requests (`Parts`).
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from pilothouse.api import json
from pilothouse.api.fields import Object, quote
from pilothouse.api.identity import User
from pilothouse.audit.sources import source_ips, user_agent
from pilothouse.caches import Budget, Cache
from pilothouse.server.request import Request

HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""What an event begins with in a file. In an EventList its items have neither kind nor version."""

LARGE = 64 * 1024
"""Bytes of the objects of an event from which on it is encoded off the loop."""

TRUNCATED = "audit.k8s.io/truncated"

_ALIKE = 256
"""Characters of the headers that are looked up; longer ones are encoded each time."""


class Event:
    """One stage of one request, not changed any more. The objects are JSON, in one piece or in several."""

    __slots__ = (
        "_after",
        "_before",
        "_line",
        "annotations",
        "fields",
        "level",
        "objects",
        "omit_managed_fields",
        "request_object",
        "response_object",
    )

    def __init__(
        self,
        level: int,
        before: bytes,
        after: bytes,
        annotations: Mapping[str, str],
        request_object: bytes = b"",
        response_object: "Iterable[bytes] | None" = None,
        size: int = 0,
        *,
        omit_managed_fields: bool = False,
        fields: "Fields | None" = None,
    ) -> None:
        """`before` and `after` are the members around the objects, which have `size` bytes together. `fields` are those
        of the legacy form, where a back end writes it."""
        self.fields = fields
        self.level = level
        self._before = before
        self._after = after
        self.annotations = annotations
        self.request_object = request_object
        self.response_object = response_object
        self.objects = size
        self.omit_managed_fields = omit_managed_fields
        self._line: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes that the event takes, at least."""
        return (
            len(self._line) if self._line is not None else len(self._before) + len(self._after) + self.objects
        )

    @property
    def line(self) -> bytes:
        """The event as a line of JSON. It takes long for large objects."""
        line = self._line
        if line is None:
            line = self._line = self._encode()
            self.request_object, self.response_object = b"", None  # after _line: see _encode()
        return line

    @property
    def item(self) -> bytes:
        """The event as an item of an EventList."""
        return b"{" + self.line[len(HEAD) : -1]

    def without_objects(self) -> "Event":
        """The event without what was sent, and with an annotation that says so (plugin/pkg/audit/truncate)."""
        annotations = {**self.annotations, TRUNCATED: "true"}
        after = self._after.partition(b',"annotations":')[0].removesuffix(b"}\n") + annotated(annotations)
        return Event(self.level, self._before, after, annotations, fields=self.fields)

    def _encode(self) -> bytes:
        if not self.objects:
            return self._before + self._after
        out = [self._before]
        request, parts = self.request_object, self.response_object
        if self._line is not None:  # another thread has been faster, and may have dropped the objects
            return self._line
        if request:
            out += [b',"requestObject":', request]
        if parts is not None:
            response = b"".join(parts)
            if self.omit_managed_fields:
                response = without_managed_fields(response)
            out += [b',"responseObject":', escaped(compact(response))]
        out.append(self._after)
        return b"".join(out)


class Fields(NamedTuple):
    """What the legacy form shows of an event."""

    received: int
    """Nanoseconds since the epoch."""
    audit_id: str
    stage: str
    ip: str
    verb: str
    user: User | None
    impersonated: User | None
    agent: str
    namespace: str
    uri: str
    status: int | None

    def text(self) -> bytes:
        """One line of text (pkg/audit/format.go)."""
        q = quote
        user, other = self.user, self.impersonated
        named = user is not None and user.name
        username = user.name if user is not None and named else "<none>"
        groups = _listed(user.groups) if user is not None and named and user.groups else "<none>"
        acting, as_groups = ("<self>", "<lookup>")
        if other is not None:
            acting = other.name
            as_groups = _listed(other.groups) if other.groups else as_groups
        response = "<deferred>" if self.status is None else str(self.status)
        return (
            f"{nanoseconds(self.received)} AUDIT: id={q(self.audit_id)} stage={q(self.stage)} "
            f"ip={q(self.ip or '<unknown>')} method={q(self.verb)} user={q(username)} groups={q(groups)} "
            f"as={q(acting)} asgroups={q(as_groups)} user-agent={q(self.agent)} "
            f'namespace={q(self.namespace or "<none>")} uri={q(self.uri)} response="{response}"\n'
        ).encode()


def _listed(groups: Iterable[str]) -> str:
    return ",".join(quote(group) for group in groups)


class Parts:
    """Encodes what many requests have in common, and remembers it."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._known: Cache[tuple[object, ...], tuple[User, bytes, bytes]] = Cache(
            "audit_callers", self._budget, share=1 / 32
        )
        self._decisions: Cache[tuple[bool, str], bytes] = Cache("audit_decisions", self._budget, share=1 / 64)
        self._second = -1
        self._second_text = ""

    def caller(self, request: Request, user: User) -> tuple[bytes, bytes]:
        """The members `user`, and `sourceIPs` with `userAgent`."""
        headers = request.headers
        agent, forwarded = headers.get("user-agent", ""), headers.get("x-forwarded-for", "")
        key = user.name, user.uid, request.peer[0], agent, forwarded, headers.get("x-real-ip", "")
        found = self._known[key]
        if found is not None and (found[0] is user or found[0] == user):
            return found[1], found[2]
        shown, source = member("user", user_info(user)), self.source(request)
        if len(agent) <= _ALIKE and len(forwarded) <= _ALIKE:
            self._known.put(key, (user, shown, source))
        return shown, source

    def decided(self, allowed: bool, reason: str) -> bytes:
        """The end of an event that has no other annotations than those of authorization."""
        found = self._decisions[allowed, reason]
        if found is None:
            found = annotated(decision(allowed, reason))
            self._decisions.put((allowed, reason), found)
        return found

    @staticmethod
    def source(request: Request) -> bytes:
        """The members `sourceIPs` and `userAgent`."""
        addresses = source_ips(request.headers, request.peer[0])
        out = member("sourceIPs", addresses) if addresses else b""
        agent = user_agent(request.headers.get("user-agent", ""))
        return out + member("userAgent", agent) if agent else out

    def micros(self, at: int) -> str:
        """A time, given in nanoseconds since the epoch, as a MicroTime."""
        second, rest = divmod(at, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{rest // 1000:06d}Z"


DECISION, REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"


def decision(allowed: bool, reason: str) -> dict[str, str]:
    """The annotations of authorization."""
    return {DECISION: "allow" if allowed else "forbid", REASON: reason}


def nanoseconds(at: int) -> str:
    """A time in nanoseconds since the epoch in Go's RFC3339Nano, in UTC."""
    second, rest = divmod(at, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def user_info(user: User | None) -> Object:
    """A user as authentication.k8s.io/v1 UserInfo."""
    out: Object = {}
    if user is None:
        return out
    if user.name:
        out["username"] = user.name
    if user.uid:
        out["uid"] = user.uid
    if user.groups:
        out["groups"] = list(user.groups)
    if user.extra:
        out["extra"] = {key: list(user.extra[key]) for key in sorted(user.extra)}
    return out


def member(name: str, value: Any) -> bytes:
    """A member of an object behind others."""
    return b',"%b":%b' % (name.encode(), text(value))


def text(value: Any) -> bytes:
    """A value as Go's encoder writes it."""
    return escaped(json.dump(value))


def escaped(data: bytes) -> bytes:
    """JSON in which nothing looks like markup, as that of Go's encoder."""
    if b"&" in data:
        data = data.replace(b"&", b"\\u0026")
    if b"<" in data:
        data = data.replace(b"<", b"\\u003c")
    if b">" in data:
        data = data.replace(b">", b"\\u003e")
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return data


def compact(data: bytes) -> bytes:
    """JSON on one line, of which all is kept but the white space between its parts; ValueError for what is no JSON."""
    if data.endswith(b"\n"):
        data = data[:-1]
    if b"\n" not in data and b"\r" not in data and b"\t" not in data:
        return data
    return json.dump(json.parse(data))


def without_managed_fields(data: bytes) -> bytes:
    """An object, a list or a table without `metadata.managedFields`."""
    if b'"managedFields"' not in data:
        return data
    value = json.parse(data)
    drop_managed_fields(value)
    return json.dump(value)


def drop_managed_fields(value: Any) -> None:
    """Delete `metadata.managedFields` of an object, of the items of a list and of the objects of a table."""
    if not isinstance(value, dict):
        return
    rows = [row.get("object") for row in value.get("rows") or () if isinstance(row, dict)]
    items = value.get("items")
    for one in (value, *rows, *(items if isinstance(items, list) else ())):
        if isinstance(one, dict) and isinstance(one.get("metadata"), dict):
            one["metadata"].pop("managedFields", None)


def annotated(annotations: Mapping[str, str]) -> bytes:
    """The end of an event: its annotations in the order of their names."""
    if not annotations:
        return b"}\n"
    data = orjson.dumps(dict(annotations), option=orjson.OPT_SORT_KEYS)
    return b',"annotations":' + escaped(data) + b"}\n"
