"""Keeps what is known of the latest requests of a server, in few bytes, so that each can be explained later.

No body is kept, no credential, and no header but the user agent. Of requests about Secrets no text is kept
that a plugin, a rule or a decoder may have made out of the object.
"""

import heapq
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import orjson

from pilothouse.api.json import compact
from pilothouse.api.values._requestinfo import parse, unescape_path
from pilothouse.api.values.identity import AuthorizationAttributes, RequestInfo, User
from pilothouse.authn.authenticator import BY_NOBODY, Recognition
from pilothouse.authz.authorizer import Decision
from pilothouse.endpoints.journal._journal import Ring
from pilothouse.endpoints.request.attributes import runs_long
from pilothouse.endpoints.request.context import Context, Refusal
from pilothouse.registry.timeline import AdmissionStep, cut

BYTES_EACH = 1024
"""Bytes that the journal may take, for each request that it is to keep."""
SLOW = 0.5
"""Seconds from which on a request is called slow, as in the audit log."""
FEWEST = 100
"""Requests of each kind below that are kept at least; otherwise a tenth of the latest ones."""
UNJUDGED, REFUSED, FAILED, LATE = 1, 2, 3, 4
"""Requests that are kept when they are no longer among the latest, in rings of their own: those of nobody who
is known and those that came too often (401, anonymous 403, 429), of which anybody can make as many as they
like; other refusals; errors of the server (5xx); slow ones."""
ORDINARY = (404, 409, 410)
"""Refusals that clients expect in their work."""
_FIXED = 300
"""Bytes of an entry beside its texts: the record, and the heads of its detail and its decision."""
_LONGEST_USER = 4096
"""Characters of a user, as JSON. Some are in hundreds of groups: the last ones are left out."""
_LONGEST_NAME = 512
"""Characters of a name or a group of such a user."""
_LONGEST_TOLD = 4096
"""Bytes of a head that are kept as they are;
of a longer one each text is cut to a quarter of that many characters."""
_USERS = 256
"""Users whose JSON is remembered."""


class Kept(NamedTuple):
    """One request that has ended, as it is kept.

    size: bytes, as the journal counts them. told: audit ID, verb, path, query, address, user agent and, in
    the journal of logical clusters, the cluster, each on a line of its own. user, caller: JSON of the
    effective and of the authenticated user. flow: flow schema, priority level, seats, and the seconds of
    waiting for them. started, recognised, decided, answered, ended: by time.perf_counter(), 0 where a stage
    was not reached. acting: as in Context. error: what cut the answer short. detail: JSON, see `_detail`.
    """

    size: int
    told: str
    user: bytes
    caller: bytes
    recognition: Recognition | None
    decision: Decision | None
    flow: tuple[str, str, int, float] | None
    code: int
    started: float
    recognised: float
    decided: float
    answered: float
    ended: float
    sent: int
    acting: tuple[str, float] | None
    error: str
    detail: bytes


def carries_anything(info: RequestInfo) -> bool:
    """Whether the query of a request may carry anything, as that of what is proxied or run in a pod."""
    return bool(info.subresource) or not info.is_resource


class Adding(Protocol):
    """A receiver of the requests that have ended."""

    def add(self, request: tuple[Any, ...]) -> None:
        """Keep a request, in the order of Kept (_journal.Ring)."""


class JournalEntry:
    """One request that has ended, as others look at it: what is kept, and what follows from it."""

    __slots__ = ("agent", "audit_id", "info", "kept", "peer", "query")

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.audit_id, verb, path, self.query, self.peer, self.agent, *_ = self.kept.told.split("\n")
        self.info = _info(verb, path)

    @property
    def recognition(self) -> Recognition:
        """The authenticator that knew the user, and the answers of the others."""
        return self.kept.recognition or BY_NOBODY

    @property
    def seconds(self) -> float:
        """How long the request took."""
        return self.kept.ended - self.kept.started

    def unpacked(self) -> "Detail":
        """The details of the request, decoded."""
        if not self.kept.detail:
            return Detail()
        told, *timeline = json.loads(self.kept.detail)
        refusal = None
        if told is not None:
            reason, message, causes, missing = told
            if missing is not None:
                missing = AuthorizationAttributes(User(missing[0]), *missing[1:])
            refusal = Refusal(reason, message, tuple(map(tuple, causes)), missing)
        if not timeline:
            return Detail(refusal)
        steps, marks, revision, stored = timeline
        return Detail(
            refusal,
            tuple(AdmissionStep(*step) for step in steps),
            tuple((name, end) for name, end in marks),
            revision,
            stored,
        )


class Detail(NamedTuple):
    """The details that most requests do not have.
    marks: stages, and when they ended, by time.perf_counter()."""

    refusal: Refusal | None = None
    steps: tuple[AdmissionStep, ...] = ()
    marks: tuple[tuple[str, float], ...] = ()
    revision: int = 0
    stored: float = 0.0


class Journal:
    """The last `most` requests that have ended, or as many of them as fit into `limit` bytes.

    Beside them are the last ones that were refused, have failed or were slow, so that many others do not push
    them out. server: how this server is called, "" until that is known.
    """

    def __init__(self, most: int, limit: int = 0) -> None:
        self.server = ""
        few = max(most // 10, FEWEST)
        others = tuple(Ring(few, few * BYTES_EACH, _LONGEST_TOLD, _shortened) for _ in range(LATE))
        ring = Ring(
            most,
            limit or most * BYTES_EACH,
            _LONGEST_TOLD,
            _shortened,
            slow=SLOW,
            outlives=_outlives,
            others=others,
        )
        self.ring: Adding = ring
        self.rings = (ring, *others)
        self._users: dict[int, tuple[User, bytes]] = {}

    def __len__(self) -> int:
        return sum(len(ring) for ring in self.rings)

    @property
    def size(self) -> int:
        """The size of the kept requests, in bytes."""
        return sum(ring.size for ring in self.rings)

    def add(self, ctx: Context, now: float, sent: int, error: BaseException | None) -> None:
        """Keep a request that ends now. PERF: called for every request."""
        request, info, user = ctx.request, ctx.info, ctx.user
        known = self._users.get(id(user))
        who = caller = known[1] if known is not None and known[0] is user else self._describe(user)
        if ctx.caller is not user:
            caller = self._describe(ctx.caller)
        query = request.query
        if query and carries_anything(info):
            query = ""
        agent = request.headers.get("user-agent", "")
        told = [ctx.audit_id, info.verb, request.path, query, request.peer[0], agent]
        detail = b"" if ctx.timeline is None and ctx.refusal is None else _detail(ctx)
        weight = _FIXED + len(who) + len(detail)
        recognition, decision = request.recognition, ctx.decision
        if decision is not None:
            weight += len(decision.reason)
        if recognition is not None and recognition.said:
            weight += sum([len(text) for _, text in recognition.said])
        record = (  # in the order of Kept
            weight,
            told,
            who,
            caller,
            recognition,
            decision,
            ctx.flow,
            ctx.status,
            ctx.started,
            ctx.recognised,
            ctx.decided,
            ctx.answered,
            now,
            sent,
            ctx.acting,
            "" if error is None else type(error).__name__,
            detail,
        )
        self.ring.add(record)

    def basis(self, user: User, recognition: Recognition | None, decision: Decision) -> tuple[bytes, int]:
        """The user as JSON, and the size of the record, for requests that have no detail."""
        known = self._users.get(id(user))
        who = known[1] if known is not None and known[0] is user else self._describe(user)
        said = recognition.said if recognition is not None else ()
        return who, _FIXED + len(who) + len(decision.reason) + sum(len(text) for _, text in said)

    def _describe(self, user: User) -> bytes:
        """A user as JSON. That of many requests is made once, and shared by them."""
        groups = list(user.groups)
        told: dict[str, Any] = {"username": user.name[:_LONGEST_NAME]}
        if user.uid:
            told["uid"] = user.uid[:_LONGEST_NAME]
        told["groups"], told["extra"] = groups, user.extra
        text = json.dumps({name: value for name, value in told.items() if value})
        if len(text) > _LONGEST_USER:
            told["groups"] = [group[:_LONGEST_NAME] for group in groups[:4]]
            told["groups"].append(f"... {len(groups) - 4} more" if len(groups) > 4 else "...")
            del told["extra"]
            return json.dumps(told).encode()
        made = text.encode()
        if max(len(user.name), len(user.uid)) > _LONGEST_NAME:
            return made
        if len(self._users) >= _USERS:
            self._users.clear()
        self._users[id(user)] = user, made
        return made

    def entries(self) -> Iterator[JournalEntry]:
        """All that is kept, the newest first. Requests that end meanwhile push out what has not come yet."""
        rings = [self._newest(ring) for ring in self.rings]
        return map(JournalEntry, heapq.merge(*rings, key=lambda kept: kept.ended, reverse=True))

    def reaches(self, time: float) -> bool:
        """Whether all requests that have ended since a time (by time.perf_counter()) are still kept."""
        latest = self.rings[0]
        oldest = latest.get(latest.first)
        return not latest.first or (oldest is not None and Kept._make(oldest).ended < time)

    def _newest(self, ring: Ring) -> Iterator[Kept]:
        """The records of a ring, the newest first."""
        for number in range(ring.end - 1, ring.first - 1, -1):
            found = ring.get(number)
            if found is None:  # those that are older are gone as well
                return
            yield Kept._make(found)


def _outlives(request: tuple[Any, ...]) -> int:
    """The ring that keeps a request when it is no longer among the latest; 0 for none."""
    _, (_, verb, path, *_), _, _, recognition, _, _, code, *_ = request
    if code >= 500:
        return FAILED
    if code in (401, 429) or (code == 403 and (recognition or BY_NOBODY).by == BY_NOBODY.by):
        return UNJUDGED
    if code >= 400 and code not in ORDINARY:
        return REFUSED
    late: float = request[12] - request[8]
    return LATE if late >= SLOW and not runs_long(_info(verb, path)) else 0


def _info(verb: str, path: str) -> RequestInfo:
    """The request info of a verb and a path."""
    try:
        info = parse("GET", unescape_path(path), {})
    except ValueError:
        return RequestInfo(path, verb)
    info.verb = verb
    return info


def _shortened(texts: list[str]) -> list[str]:
    """Texts that are too long together, or that UTF-8 cannot tell, as they are kept."""
    return [cut(text.encode(errors="backslashreplace").decode(), _LONGEST_TOLD // 4) for text in texts]


def _silent(step: tuple[Any, ...]) -> tuple[Any, ...]:
    """A step without its text."""
    return (*step[:6], "", *step[7:])


def _detail(ctx: Context) -> bytes:
    """The refusal and the timeline of a request, as JSON."""
    refusal, timeline, info = ctx.refusal, ctx.timeline, ctx.info
    secret = info.resource == "secrets" and not info.group
    missing = None
    if refusal is not None and refusal.missing is not None:
        a = refusal.missing
        texts = (
            a.user.name,
            a.verb,
            a.path,
            a.group,
            a.version,
            a.resource,
            a.subresource,
            a.namespace,
            a.name,
        )
        who, verb, path, *rest = [cut(text, _LONGEST_NAME) for text in texts]
        missing = who, verb, path, a.is_resource, *rest
    elif refusal is not None and secret and ctx.decided and not refusal.valueless:
        causes = tuple((field, reason, "") for field, reason, _ in refusal.causes)
        refusal = Refusal(refusal.reason, "", causes, None)
    told: list[Any] = [refusal and (refusal.reason, refusal.message, refusal.causes, missing)]
    if timeline is not None:
        steps = timeline.steps
        if secret:
            told_anyway = refusal.message if refusal is not None else ""
            steps = [step if step[6:7] and step[6] in told_anyway else _silent(step) for step in steps]
        told += (steps, timeline.marks, timeline.revision, timeline.stored)
    try:
        return compact(orjson.dumps(told))
    except orjson.JSONEncodeError:  # half a surrogate pair, out of a path
        return json.dumps(told).encode()
