"""The audit record of one request: gathered while the request is served,
and made into an event at each of its stages.

Upstream's AuditContext (apiserver pkg/audit/context.go and request.go).
"""

from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Protocol

from pilothouse.api import json
from pilothouse.api.values.duration import show_duration
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.api.yaml import text as yaml
from pilothouse.audit import event
from pilothouse.audit._audit import Draft, Event
from pilothouse.audit.event import HEAD, TRUNCATED, Fields, ObjectEvent
from pilothouse.audit.policy import COMPLETE, LEVELS, PANIC, RECEIVED
from pilothouse.audit.sources import source_ips, user_agent
from pilothouse.logs import Logger
from pilothouse.server.request import Response

log = Logger(__name__)

DEPRECATED = "k8s.io/deprecated"
LATENCY = "apiserver.latency.k8s.io/"

SLOW = 500_000_000
"""Nanoseconds of a request from which on its events say what took how long."""

LARGEST = 8 << 20
"""Bytes of the objects of one event.
Larger ones are left out, with upstream's annotation of truncated events."""

_NAMING = (
    ("namespace", "namespace"),
    ("name", "name"),
    ("uid", "uid"),
    ("resource_version", "resourceVersion"),
)
_STATUS_MEMBERS = ("status", "message", "reason", "details")
HEADS = tuple(HEAD + b'"level":"%b","auditID":' % level.encode() for level in LEVELS)
"""The beginning of an event of each level."""


class Sink(Protocol):
    """The receiver of the events of a request: the Auditor."""

    legacy: bool
    """Whether events need the members of the legacy form."""

    def count(self, level: int) -> None:
        """Count a request in the metric of levels."""

    def store(self, record: "Record", event: Event) -> bool | Awaitable[bool]:
        """Take the event of a request's beginning; False when the request must not go on."""

    def send(self, events: tuple[Event, ...]) -> None:
        """Take later events, without waiting."""

    def flush(self, made: Event | None) -> None:
        """Take the event that was held, if any, of a request that begins to wait."""


class Record(Draft):
    """The record of one request, which Draft begins: what the stages of the request tell of it.

    PERF: what most requests do not have is an attribute of the class until it is set.
    """

    _impersonated: User | None = None
    _annotations: dict[str, str] | None = None
    _late_annotations: list[dict[str, str]] | None = None
    _request_object = b""
    _status: Object | None = None
    _object: Any = None
    _body: Iterable[bytes] | None = None
    _shown = False
    _truncated = False
    _panic = ""

    queued = 0.0
    """Seconds that the request has waited for its seats."""

    # What the stages of a request tell

    def annotate(self, key: str, value: str) -> None:
        """Add an annotation. One that is there stays, and another value is logged."""
        self.special = True
        if self._annotations is None:
            self._annotations = {}
        if self._annotations.setdefault(key, value) != value:
            log.warning("An audit annotation was set twice", auditID=self.audit_id[:64], key=key)

    def share(self, annotations: dict[str, str]) -> None:
        """Take over, at the end, the annotations that others will have written there."""
        self.special = True
        if self._late_annotations is None:
            self._late_annotations = []
        self._late_annotations.append(annotations)

    def acts_as(self, user: User, constraint: str) -> None:
        """The request is made on behalf of `user`;
        `constraint` is the verb of constrained impersonation that allowed it."""
        self._impersonated = user
        self.renamed()
        self.acting = event.member("impersonatedUser", event.user_info(user))
        if constraint:
            self.acting += event.member("authenticationMetadata", {"impersonationConstraint": constraint})

    def request_object(self, obj: Object, *, named: bool = True) -> None:
        """The object that was sent, decoded and not changed by anybody since;
        `named`: its metadata name the target."""
        if named:
            self._name_target(obj.get("metadata") or {})
        if not self.request_wanted:
            return
        if self.verdict.omit_managed_fields and isinstance(obj.get("metadata"), dict):
            metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
            obj = {**obj, "metadata": metadata}
        head = {name: obj[name] for name in ("kind", "apiVersion") if name in obj}
        self._keep_request(json.dump({**head, **obj}))

    def _name_target(self, metadata: Object) -> None:
        """Fill in what the path does not say of the object (LogRequestObject)."""
        target = self.target
        if target is None:
            return
        self.renamed()
        for member, shown in _NAMING:
            value = metadata.get(shown)
            if isinstance(value, str) and not getattr(target, member):
                setattr(target, member, value)

    def request_patch(self, body: bytes, *, yaml_form: bool) -> None:
        """The patch that was sent. What is no JSON is refused anyway, and left out here.
        Takes long for a long body."""
        try:
            if yaml_form and not body.startswith(b"{"):
                body = json.dump(yaml.parse(body).value)
            else:
                json.parse(body)
            self._keep_request(event.compact(body))
        except (yaml.YAMLError, json.DecodeError, json.ScanError, UnicodeDecodeError):
            return

    def _keep_request(self, data: bytes) -> None:
        self.special = True
        if len(data) > LARGEST:
            self._truncated = True
            return
        self._request_object = event.escaped(data)

    def shows_body(self) -> None:
        """The answer's body is the object that it shows, in JSON."""
        self._shown = self.special = True

    def shows(self, obj: Any) -> None:
        """The value that the answer shows, in whatever form it is sent."""
        if self.response_wanted:
            self._shown, self._object, self._body = True, obj, None
            self.special = True
        if isinstance(obj, dict) and obj.get("kind") == "Status" and obj.get("apiVersion") == "v1":
            self.special = True
            self._status = {name: obj[name] for name in _STATUS_MEMBERS if name in obj}

    def shows_parts(self, parts: Iterable[bytes]) -> None:
        """The answer's JSON in parts, which may be made when the event is written."""
        self._shown, self._body = True, parts
        self.special = True

    def panicked(self, what: str) -> None:
        """A bug has ended the request."""
        self.special = True
        self._panic = what

    def answers(self, response: Response) -> None:
        """Like answered(), where more is known than the code."""
        if self._shown and self.response_wanted:
            self._keep_response(response)
        self.status = self._response_status()

    def _keep_response(self, response: Response) -> None:
        body, obj, self._object = response.body, self._object, None
        if response.start is None and body and response.content_type.startswith("application/json"):
            self._body = [body] if isinstance(body, bytes) else body
        elif obj is not None and self._body is None:
            self._body = _Dumped(obj, len(body) if isinstance(body, bytes) else 0)

    # The events of what is special

    def closing(self, deprecated: str | None, now: int) -> str:
        """The stage in which the request ends, `now` nanoseconds since the epoch."""
        if self._panic:
            self.code = 500
            message = f"APIServer panic'd: {self._panic}"
            self._status = {"status": "Failure", "message": message, "reason": "InternalError"}
            self.status = self._response_status()
            return PANIC
        if self.code is None:
            self.code = 200
            self._status = {"status": "Success", "message": "Connection closed early"}
            self.status = self._response_status()
        if deprecated is not None:
            self.annotate(DEPRECATED, "true")
            if deprecated:
                self.annotate("k8s.io/removed-release", deprecated)
        if now - self.received_at > SLOW and self.verb != "watch":
            self._tell_latencies(now)
        return COMPLETE

    def _tell_latencies(self, now: int) -> None:
        stages = {
            "authentication": int(self.authentication * 1e9),
            "impersonation": int(self.impersonation * 1e9),
            "apf-queue-wait": int(self.queued * 1e9),
            "authorization": int(self.authorization * 1e9),
            "response-write": now - self.answered_at if self.answered_at else 0,
            "total": now - self.received_at,
        }
        for stage, took in stages.items():
            if took > 0:
                self.annotate(LATENCY + stage, show_duration(took))

    def event(self, stage: str, at: int) -> Event:
        """An event that shows objects, annotations or the members of the legacy form."""
        end = self._annotated()
        fields = self._fields(stage) if self.sink.legacy else None
        level = self.verdict.level
        if stage == RECEIVED or (self._body is None and not self._request_object):
            return Event(level, self.whole(stage, at, end), end, fields)
        body, size = self._body, len(self._request_object)
        if body is not None:
            size += _size(body)
        made = ObjectEvent(
            level,
            self.around(stage, at),
            end,
            self._request_object,
            body,
            size,
            omit_managed_fields=self.verdict.omit_managed_fields,
            fields=fields,
        )
        return event.without_objects(made) if size > LARGEST else made

    def _annotated(self) -> bytes:
        """The annotations, and the end of the line."""
        found = dict(self._annotations or {})
        for annotations in self._late_annotations or ():
            for key, value in annotations.items():
                found.setdefault(key, value)
        if self._truncated:
            found[TRUNCATED] = "true"
        if self.decision is not None:
            if not found:
                return self.end
            found.update(event.decision(*self.decision))
        return event.annotated(found)

    def _response_status(self) -> bytes:
        code = self.code
        if code is None:
            return b""
        return event.member("responseStatus", {"metadata": {}, **(self._status or {}), "code": code})

    def _fields(self, stage: str) -> Fields:
        request = self.request
        return Fields(
            received=self.received_at,
            audit_id=self.audit_id,
            stage=stage,
            ip=next(iter(source_ips(request.headers, request.peer[0])), ""),
            verb=self.verb,
            user=self.user,
            impersonated=self._impersonated,
            agent=user_agent(request.headers.get("user-agent", "")),
            namespace=self.target.namespace if self.target is not None else "",
            uri=request.target,
            status=self.code,
        )


class _Dumped:
    """A value that is encoded when it is asked for; about `size` bytes."""

    def __init__(self, value: Any, size: int) -> None:
        self._value, self.size = value, size

    def __iter__(self) -> Iterator[bytes]:
        yield json.dump(self._value)


def _size(body: Iterable[bytes]) -> int:
    """Bytes of a body: the sum of its parts, or what it says itself."""
    return sum(map(len, body)) if isinstance(body, list) else int(getattr(body, "size", 0))
