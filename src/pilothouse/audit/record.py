"""What is recorded of one request: gathered while it is served, and made into an event at each of its stages.

Upstream's AuditContext (apiserver pkg/audit/context.go and request.go).
"""

import time
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Protocol

from pilothouse.api import json
from pilothouse.api.duration import show_duration
from pilothouse.api.fields import Object
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.api.yaml import reader as yaml
from pilothouse.audit import event
from pilothouse.audit.event import HEAD, TRUNCATED, Event, Fields, Parts
from pilothouse.audit.policy import (
    COMPLETE,
    LEVELS,
    PANIC,
    RECEIVED,
    REQUEST,
    REQUEST_RESPONSE,
    STARTED,
    Verdict,
)
from pilothouse.audit.sources import source_ips, user_agent
from pilothouse.logs import Logger
from pilothouse.server.request import Request, Response

log = Logger(__name__)

DEPRECATED = "k8s.io/deprecated"
LATENCY = "apiserver.latency.k8s.io/"

SLOW = 500_000_000
"""Nanoseconds of a request from which on its events say what took how long."""

LARGEST = 8 << 20
"""Bytes of the objects of one event. Larger ones are left out, with upstream's annotation of truncated events."""

_STATUS_MEMBERS = ("status", "message", "reason", "details")
_HEADS = tuple(HEAD + b'"level":"%b","auditID":' % level.encode() for level in LEVELS)
_CODES = {code: b',"responseStatus":{"metadata":{},"code":%d}' % code for code in range(100, 600)}


class Sink(Protocol):
    """Where the events of a request go: the Auditor."""

    parts: Parts
    legacy: bool
    """Whether events need the members of the legacy form."""

    def count(self, level: int) -> None:
        """Count a request in the metric of levels."""

    def store(self, record: "Record", event: Event) -> bool | Awaitable[bool]:
        """Take the event of a request's beginning; False when the request must not go on."""

    def send(self, events: tuple[Event, ...]) -> None:
        """Take later events, without waiting."""


class Record:
    """The record of one request. `held` is an event that is written together with the next one."""

    __slots__ = (
        "_annotations",
        "_answered",
        "_at",
        "_attributes",
        "_body",
        "_constraint",
        "_decision",
        "_described",
        "_head",
        "_object",
        "_panic",
        "_ref",
        "_request",
        "_request_object",
        "_shared",
        "_shown",
        "_sink",
        "_status",
        "_text",
        "_truncated",
        "audit_id",
        "authentication",
        "authorization",
        "code",
        "early",
        "held",
        "impersonated",
        "impersonation",
        "request_wanted",
        "response_wanted",
        "user",
        "verdict",
    )

    def __init__(
        self,
        sink: Sink,
        verdict: Verdict,
        request: Request,
        user: User | None,
        attributes: AuthorizationAttributes,
        audit_id: str,
        received: int,
    ) -> None:
        """`user` is the authenticated one; `received` is when the request came, in nanoseconds since the epoch."""
        self._sink = sink
        self.verdict = verdict
        self._request = request
        self.user = user
        self._attributes = attributes
        self.audit_id = audit_id
        self._at = received
        level = verdict.level
        self.request_wanted = level >= REQUEST
        self.response_wanted = level >= REQUEST_RESPONSE
        self._head = _HEADS[level] + event.text(audit_id) + b',"stage":"'
        self._described: bytes | None = None
        self._text = sink.parts.micros(received)
        self.impersonated: User | None = None
        self._constraint = ""
        self._decision: tuple[bool, str] | None = None
        self._annotations: dict[str, str] | None = None
        self._shared: list[dict[str, str]] | None = None
        self._ref: Object | None = None
        self._request_object = b""
        self._status: Object | None = None
        self._body: Iterable[bytes] | None = None
        self._object: Any = None
        self._shown = False
        self._truncated = False
        self._panic = ""
        self._answered = 0
        self.code: int | None = None
        self.authentication = self.impersonation = self.authorization = 0.0
        """Seconds that these stages took; shown of slow requests."""
        self.early = False
        """Nobody was authenticated: the only event is that of the answer."""
        self.held: Event | None = None

    # What the stages of a request tell

    def annotate(self, key: str, value: str) -> None:
        """Add an annotation. One that is there stays, and another value is logged."""
        if self._annotations is None:
            self._annotations = {}
        if self._annotations.setdefault(key, value) != value:
            log.warning("An audit annotation was set twice", auditID=self.audit_id[:64], key=key)

    def share(self, annotations: dict[str, str]) -> None:
        """Take over, at the end, the annotations that others will have written there."""
        if self._shared is None:
            self._shared = []
        self._shared.append(annotations)

    def acts_as(self, user: User, constraint: str) -> None:
        """The request is made on behalf of `user`; `constraint` is the verb of constrained impersonation that allowed it."""
        self.impersonated, self._constraint = user, constraint
        self._described = None

    def authorized(self, allowed: bool, reason: str) -> None:
        """Authorization has decided."""
        self._decision = allowed, reason

    def request_object(self, obj: Object, *, named: bool = True) -> None:
        """The object that was sent, decoded and not changed by anybody since; `named`: its metadata name the target."""
        if named:
            self._name_target(obj.get("metadata") or {})
        if not self.request_wanted:
            return
        if self.verdict.omit_managed_fields and isinstance(obj.get("metadata"), dict):
            metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
            obj = {**obj, "metadata": metadata}
        self._keep_request(json.dump(obj))

    def _name_target(self, metadata: Object) -> None:
        """Fill in what the path does not say of the object (LogRequestObject)."""
        ref = self._reference()
        for member in ("namespace", "name", "uid", "resourceVersion"):
            if not ref.get(member) and isinstance(metadata.get(member), str) and metadata[member]:
                ref[member] = metadata[member]

    def request_patch(self, body: bytes, *, yaml_form: bool) -> None:
        """The patch that was sent. What is no JSON is refused anyway, and left out here."""
        if not self.request_wanted:
            return
        try:
            if yaml_form and not body.startswith(b"{"):
                body = json.dump(yaml.parse(body).value)
            else:
                json.parse(body)
            self._keep_request(event.compact(body))
        except (yaml.YAMLError, json.DecodeError, json.ScanError, UnicodeDecodeError):
            return

    def _keep_request(self, data: bytes) -> None:
        if len(data) > LARGEST:
            self._truncated = True
            return
        self._request_object = event.escaped(data)

    def shows_body(self) -> None:
        """The answer's body is the object that it shows, in JSON."""
        self._shown = True

    def shows(self, obj: Any) -> None:
        """The value that the answer shows, in whatever form it is sent."""
        self._shown, self._object, self._body = True, obj, None
        if isinstance(obj, dict) and obj.get("kind") == "Status" and obj.get("apiVersion") == "v1":
            self._status = {name: obj[name] for name in _STATUS_MEMBERS if name in obj}

    def shows_parts(self, parts: Iterable[bytes]) -> None:
        """The answer's JSON in parts, which may be made when the event is written."""
        self._shown, self._body = True, parts

    def panicked(self, what: str) -> None:
        """A bug has ended the request."""
        self._panic = what

    def answered(self, response: Response) -> None:
        """The head of the answer goes out."""
        self.code = response.status
        self._answered = time.time_ns()
        body, obj, self._object = response.body, self._object, None
        if not (self._shown and self.response_wanted):
            return
        if response.start is None and body and response.content_type.startswith("application/json"):
            self._body = [body] if isinstance(body, bytes) else body
        elif obj is not None and self._body is None:
            self._body = _Dumped(obj, len(body) if isinstance(body, bytes) else 0)

    # The stages

    def received(self) -> bool | Awaitable[bool]:
        """The request has come: whether it may go on."""
        if RECEIVED in self.verdict.omitted:
            return True
        return self._sink.store(self, self._event(RECEIVED, self._text))

    def refused(self) -> None:
        """The request was refused by its head, before its body had come: this is its beginning as well."""
        if not self.early:
            self._sink.count(self.verdict.level)
            if RECEIVED not in self.verdict.omitted:
                self.held = self._event(RECEIVED, self._text)

    def flush(self) -> None:
        """Write what is held: the request begins to wait."""
        held, self.held = self.held, None
        if held is not None:
            self._sink.send((held,))

    def started(self) -> None:
        """The head of a long-running answer goes out."""
        self._emit(STARTED, time.time_ns())

    def complete(self, deprecated: str | None = None) -> None:
        """The request has ended; `deprecated` is the release that removes its API version, "" where none is known."""
        now = time.time_ns()
        if self._panic:
            self.code = 500
            message = f"APIServer panic'd: {self._panic}"
            self._status = {"status": "Failure", "message": message, "reason": "InternalError"}
            self._emit(PANIC, now)
            return
        if self.code is None:
            self.code = 200
            self._status = {"status": "Success", "message": "Connection closed early"}
        if deprecated is not None:
            self.annotate(DEPRECATED, "true")
            if deprecated:
                self.annotate("k8s.io/removed-release", deprecated)
        if now - self._at > SLOW and self._attributes.verb != "watch":
            self._tell_latencies(now)
        self._emit(COMPLETE, now)

    def _tell_latencies(self, now: int) -> None:
        stages = {
            "authentication": int(self.authentication * 1e9),
            "impersonation": int(self.impersonation * 1e9),
            "authorization": int(self.authorization * 1e9),
            "response-write": now - self._answered if self._answered else 0,
            "total": now - self._at,
        }
        for stage, took in stages.items():
            if took > 0:
                self.annotate(LATENCY + stage, show_duration(took))

    def _emit(self, stage: str, at: int) -> None:
        if stage in self.verdict.omitted:
            self.flush()
            return
        made = self._event(stage, self._sink.parts.micros(at))
        held, self.held = self.held, None
        self._sink.send((made,) if held is None else (held, made))

    # Encoding

    def _event(self, stage: str, at: str) -> Event:
        annotations = self._collected()
        if annotations is None:
            end = b"}\n" if self._decision is None else self._sink.parts.decided(*self._decision)
            annotations = {}
        else:
            end = event.annotated(annotations)
        before = b"".join(
            (
                self._head,
                stage.encode(),
                self._described or self._describe(),
                self._target(),
                self._response_status(),
            )
        )
        after = f',"requestReceivedTimestamp":"{self._text}","stageTimestamp":"{at}"'.encode() + end
        fields = self._fields(stage) if self._sink.legacy else None
        if stage == RECEIVED or not (self._request_object or self._body is not None):
            return Event(self.verdict.level, before, after, annotations, fields=fields)
        return self._with_objects(before, after, annotations, fields)

    def _with_objects(
        self, before: bytes, after: bytes, annotations: dict[str, str], fields: Fields | None
    ) -> Event:
        body, size = self._body, len(self._request_object)
        if body is not None:
            size += _size(body)
        made = Event(
            self.verdict.level,
            before,
            after,
            annotations or self._all(),
            self._request_object,
            body,
            size,
            omit_managed_fields=self.verdict.omit_managed_fields,
            fields=fields,
        )
        return made.without_objects() if size > LARGEST else made

    def _collected(self) -> dict[str, str] | None:
        """The annotations, None when there are none but the decision of authorization."""
        if self._annotations is None and self._shared is None and not self._truncated:
            return None
        found = self._all()
        return found if len(found) > (0 if self._decision is None else 2) else None

    def _all(self) -> dict[str, str]:
        found = dict(self._annotations or {})
        for shared in self._shared or ():
            for key, value in shared.items():
                found.setdefault(key, value)
        if self._decision is not None:
            found.update(event.decision(*self._decision))
        if self._truncated:
            found[TRUNCATED] = "true"
        return found

    def _describe(self) -> bytes:
        """The members from the stage to the agent, which stay as they are until the request is made for another user."""
        request, parts = self._request, self._sink.parts
        if self.user is None:
            shown, source = b',"user":{}', parts.source(request)
        else:
            shown, source = parts.caller(request, self.user)
        uri = b'","requestURI":' + event.text(request.target) + event.member("verb", self._attributes.verb)
        if self.impersonated is not None:
            shown += event.member("impersonatedUser", event.user_info(self.impersonated))
            if self._constraint:
                shown += event.member("authenticationMetadata", {"impersonationConstraint": self._constraint})
        self._described = found = uri + shown + source
        return found

    def _reference(self) -> Object:
        """The target of the request, as far as it is known."""
        if self._ref is None:
            a = self._attributes
            self._ref = {
                "resource": a.resource,
                "namespace": a.namespace,
                "name": a.name,
                "uid": "",
                "apiGroup": a.group,
                "apiVersion": a.version,
                "resourceVersion": "",
                "subresource": a.subresource,
            }
        return self._ref

    def _target(self) -> bytes:
        a = self._attributes
        if not a.is_resource:
            return b""
        return event.member("objectRef", {name: value for name, value in self._reference().items() if value})

    def _response_status(self) -> bytes:
        code = self.code
        if code is None:
            return b""
        if self._status is None:
            return _CODES.get(code) or event.member("responseStatus", {"metadata": {}, "code": code})
        return event.member("responseStatus", {"metadata": {}, **self._status, "code": code})

    def _fields(self, stage: str) -> Fields:
        request, a = self._request, self._attributes
        return Fields(
            self._at,
            self.audit_id,
            stage,
            next(iter(source_ips(request.headers, request.peer[0])), ""),
            a.verb,
            self.user,
            self.impersonated,
            user_agent(request.headers.get("user-agent", "")),
            a.namespace if a.is_resource else "",
            request.target,
            self.code,
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
