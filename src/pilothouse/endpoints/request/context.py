"""The context of one request, which its stages share, with callbacks for its end."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pilothouse.api.values.identity import ANONYMOUS, AuthorizationAttributes, RequestInfo, User
from pilothouse.api.values.warnings import Warnings
from pilothouse.audit.record import Record
from pilothouse.authz.authorizer import Decision
from pilothouse.endpoints.request.params import Query
from pilothouse.endpoints.request.permitted import Permitted
from pilothouse.errors import StatusError
from pilothouse.flowcontrol._seats import Ticket
from pilothouse.logs import Logger
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.process.frozen import frozen
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.timeline import Timeline, cut
from pilothouse.server.request import Request

log = Logger(__name__)

MOST_CAUSES = 16
"""Causes of an error that are kept."""


class Refusal(NamedTuple):
    """Why a request was answered with an error: the members of its Status, cut.

    causes: field, reason and message of each. missing: what authorization has refused, when that is why.
    valueless: as in StatusError.
    """

    reason: str
    message: str
    causes: tuple[tuple[str, str, str], ...]
    missing: AuthorizationAttributes | None
    valueless: bool = False

    @classmethod
    def of(cls, err: StatusError) -> "Refusal":
        """The part of an error that is kept; not the error itself, which holds on to the whole request."""
        causes = (err.details or {}).get("causes") or ()
        told = [
            (_text(one, "field"), _text(one, "reason"), _text(one, "message"))
            for one in list(causes)[:MOST_CAUSES]
            if isinstance(one, dict)
        ]
        return cls(err.reason, cut(err.message), tuple(told), err.missing, err.valueless)


def _text(cause: Mapping[str, Any], name: str) -> str:
    return cut(str(cause.get(name) or ""))


@frozen
class RequestOutcome:
    """How a request has ended.

    status: the code of the answer; 504 when the client left before there was one,
    as upstream's time-out filter records.
    sent: bytes of the body that were handed to the transport.
    error: what cut the answer short, None when it is whole.
    """

    status: int
    sent: int
    error: BaseException | None


class Context:
    """One request on its way through the pipeline.

    user: the effective one (after impersonation). caller: the authenticated one. priority: the (flow schema
    uid, priority level uid) pair of the answer's headers. flow: its seats, and how long it has waited for
    them; None where it needs none. charge: has it wait for so many bytes of memory; None where nothing counts
    them. warnings: texts of Warning headers, None without any. resource and subresource are set once the
    request is routed to one. media: the negotiated answer form. handler: what carries the request out, where
    it is a verb on an object or a collection.
    work: where the request's long steps run.
    admission: what plugins judge of a write, None for other requests.
    audit: what is recorded of it, None when nothing is.
    permitted: the namespaces that a list or a watch of all is answered with, None where all are.
    behind: the cache can not be made as new as the store, so a read that may not be stale reads the store.
    started: when the request came, by time.perf_counter().
    status: the code of its answer, 504 until there is one.
    deadline: when its time is up, by the clock of the event loop;
    None until it waits, and where no deadline ends it.
    expired: its deadline has passed. ended: the last stage has run.

    What the journal keeps beside that: recognised, decided and answered are when these stages ended, by
    time.perf_counter(), 0 when they have not. decision: of authorization. acting: which verb of constrained
    impersonation allowed it, and the seconds that took. refusal: why the answer is an error. timeline: what a
    write has done, or a read whose steps are of interest.
    spans: of the request, None unless it is sampled.
    """

    __slots__ = (
        "_finishers",
        "acting",
        "admission",
        "answered",
        "audit",
        "audit_id",
        "behind",
        "caller",
        "charge",
        "deadline",
        "decided",
        "decision",
        "ended",
        "expired",
        "flow",
        "handler",
        "info",
        "media",
        "permitted",
        "priority",
        "query",
        "recognised",
        "refusal",
        "request",
        "resource",
        "spans",
        "started",
        "status",
        "subresource",
        "timeline",
        "user",
        "warnings",
        "work",
    )

    def __init__(self, request: Request, info: RequestInfo, query: Query, audit_id: str) -> None:
        self.request = request
        self.info = info
        self.query = query
        self.audit_id = audit_id
        self.audit: Record | None = None
        self.user: User = ANONYMOUS
        self.caller: User = ANONYMOUS
        self.priority: tuple[str, str] | None = None
        self.flow: Ticket | None = None
        self.charge: Callable[[Context, int], Awaitable[None]] | None = None
        self.warnings: Warnings | None = None
        self.resource: Resource | None = None
        self.subresource: Subresource | None = None
        self.media: Any = None
        self.handler: Any = None
        self.permitted: Permitted | None = None
        self.behind = False
        self.work: Work | Inline = INLINE_WORK
        self.admission: AdmissionAttributes | None = None
        self.started = time.perf_counter()
        self.status = 504
        self.deadline: float | None = None
        self.expired = self.ended = False
        self.recognised = self.decided = self.answered = 0.0
        self.decision: Decision | None = None
        self.acting: tuple[str, float] | None = None
        self.refusal: Refusal | None = None
        self.timeline: Timeline | None = None
        self.spans: Any = None
        self._finishers: list[Callable[[RequestOutcome], None]] | None = None

    def warn(self, text: str) -> None:
        """Add a Warning header, once."""
        if self.warnings is None:
            self.warnings = Warnings()
        self.warnings.add(text)

    def on_end(self, finisher: Callable[[RequestOutcome], None]) -> None:
        """Have `finisher` called when the request has ended, in whatever way;
        what was added last is called first.

        It is called once, on the event loop, and must not wait: after the last byte of the answer was handed
        to the transport, or when the client or the server gave the request up.
        """
        if self._finishers is None:
            self._finishers = []
        self._finishers.append(finisher)

    def end(self, status: int, sent: int, error: BaseException | None) -> None:
        """Call the finishers. One that fails is logged and keeps no other from its turn."""
        finishers, self._finishers = self._finishers, None
        if finishers is None:
            return
        outcome = RequestOutcome(status, sent, error)
        for finisher in reversed(finishers):
            try:
                finisher(outcome)
            except Exception:
                log.exception("A callback at the end of a request failed", auditID=self.audit_id)
