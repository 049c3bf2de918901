"""Audit events (audit.k8s.io/v1 Event): their members in upstream's order, encoded once for all back ends.

What stands around the objects is encoded by `_audit`.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from pilothouse.api import json
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.audit._audit import Event
from pilothouse.audit.sources import source_ips, user_agent
from pilothouse.gotext import quote
from pilothouse.process.patterns import pattern
from pilothouse.server.request import Request

HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""The beginning of an event in a file. In an EventList its items have neither kind nor version."""

LARGE = 64 * 1024
"""Bytes of the objects of an event from which on it is encoded off the loop."""

TRUNCATED = "audit.k8s.io/truncated"


class ObjectEvent(Event):
    """An event that shows objects. Its line is made when it is asked for, which takes long for large ones.

    around: the members in front of the objects, and the times behind them.
    response: the parts of the response object.
    objects: the bytes of both objects.
    """

    __slots__ = ("_before", "_made", "_objects", "_omit", "_request", "_response", "_times")

    def __init__(
        self,
        level: int,
        around: tuple[bytes, bytes],
        end: bytes,
        request: bytes,
        response: Iterable[bytes] | None,
        objects: int,
        *,
        omit_managed_fields: bool = False,
        fields: "Fields | None" = None,
    ) -> None:
        super().__init__(level, b"", end, fields)
        self._before, self._times = around
        self._request, self._response = request, response
        self._objects = objects
        self._omit = omit_managed_fields
        self._made: bytes | None = None

    @property
    def objects(self) -> int:
        return self._objects

    @property
    def size(self) -> int:
        if self._made is not None:
            return len(self._made)
        return len(self._before) + len(self._times) + len(self.end) + self._objects

    @property
    def line(self) -> bytes:
        made = self._made
        if made is None:
            made = self._made = self._encode()
            self._request, self._response = b"", None  # after _made: see _encode()
        return made

    def bare(self) -> bytes:
        """The members but the objects and the annotations."""
        return self._before + self._times

    def _encode(self) -> bytes:
        out = [self._before]
        request, parts = self._request, self._response
        if self._made is not None:  # another thread has been faster, and may have dropped the objects
            return self._made
        if request:
            out += [b',"requestObject":', request]
        if parts is not None:
            response = b"".join(parts)
            if self._omit:
                response = without_managed_fields(response)
            response = response.removesuffix(b"\n")
            if b"\n" in response:  # only what was made for people has lines
                response = compact(response)
            out += [b',"responseObject":', escaped(response)]
        out += [self._times, self.end]
        return b"".join(out)


def without_objects(event: Event) -> Event:
    """An event without what was sent, and with an annotation that says so (plugin/pkg/audit/truncate)."""
    members = event.bare() if isinstance(event, ObjectEvent) else event.line[: -len(event.end)]
    name = b',"annotations":'
    annotations = orjson.loads(event.end[len(name) : -2]) if event.end.startswith(name) else {}
    end = annotated({**annotations, TRUNCATED: "true"})
    return Event(event.level, members + end, end, event.fields)


def item(event: Event) -> bytes:
    """An event as an item of an EventList."""
    return b"{" + event.line[len(HEAD) : -1]


class Fields(NamedTuple):
    """The fields of an event in the legacy form."""

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


def source(request: Request) -> bytes:
    """The members `sourceIPs` and `userAgent`."""
    addresses = source_ips(request.headers, request.peer[0])
    out = member("sourceIPs", addresses) if addresses else b""
    agent = user_agent(request.headers.get("user-agent", ""))
    return out + member("userAgent", agent) if agent else out


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


_TEXT_OR_SPACE = pattern(rb'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+')


def compact(data: bytes) -> bytes:
    """JSON without the white space between its parts; all else stays as it was written."""
    return _TEXT_OR_SPACE.sub(rb"\1", data)


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
