"""Ends open requests whose users may no longer make them: watches, logs that are followed, exec, proxies.

kube-apiserver judges a request when it begins, and never again. Here each open one is led once more through
authentication, impersonation and authorization, as if it came now (`OpenRequestJudge`).
Two options have that done:

- --end-revoked-requests: every open request, every few seconds (`POLL`). It ends when it would be refused.
- --list-permitted-namespaces: watches that show some namespaces only.
They are held at once when roles or bindings change,
  and end when their namespaces are others now, so that their clients list again.

Equal requests of one credential are judged once. An authorizer or a webhook that cannot answer ends nothing.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter

import orjson

from pilothouse import errors
from pilothouse.api.values.identity import ANONYMOUS, AuthorizationAttributes, User
from pilothouse.authn.authenticator import Authenticator, Undecided
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authz.authorizer import UnionAuthorizer, forbidden
from pilothouse.endpoints.request.context import Context, RequestOutcome
from pilothouse.endpoints.request.metrics import StandingMetrics
from pilothouse.endpoints.request.permitted import Finder, Namespaces
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.server.request import Response, Stream
from pilothouse.server.upgrade import Duplex
from pilothouse.storage._watchers import PermittedWatcher, Watcher

log = Logger(__name__)

POLL = 2.0
"""Seconds between two looks at all open requests."""
TURN = 0.001
"""Seconds after which other requests have their turn."""
WORKERS = 4
"""Requests about which webhooks are asked at the same time."""

CONNECTS = frozenset(("attach", "exec", "portforward"))
NAMESPACES_CHANGED = "the namespaces in which you may watch have changed: list again"


class Revoked(ConnectionAbortedError):
    """The error that cuts an answer short when its user may no longer have it."""


class _Open:
    """One open request: what it takes to end it."""

    __slots__ = ("ctx", "ended", "peer", "refusal", "watcher")

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.peer: Stream | Duplex | None = None
        self.watcher: Watcher | None = None
        self.refusal: errors.StatusError | None = None
        self.ended = False

    def begin(self, go: Callable[[Stream], None] | Callable[[Duplex], None], peer: Stream | Duplex) -> None:
        """Let the handler write to its peer, or take a connection over."""
        self.peer = peer
        go(peer)  # type: ignore[arg-type]
        if self.refusal is not None and not self.ended:
            self.end(self.refusal)

    def end(self, refusal: errors.StatusError) -> None:
        """End a watch with an ERROR event that tells why; cut anything else, as there is no place for it."""
        self.refusal = refusal
        self.ended = self.peer is not None  # else it ends as soon as it begins
        if self.watcher is not None:
            self.watcher.fail(orjson.dumps(refusal.status()))
        elif isinstance(self.peer, Duplex):
            self.peer.abort()
        elif self.peer is not None:
            self.peer.abort(Revoked("the user may not make this request any more"))


class _Alike:
    """Open requests on which there is one verdict."""

    __slots__ = ("attributes", "namespaces", "requests")

    def __init__(self, attributes: AuthorizationAttributes, namespaces: Namespaces | None) -> None:
        self.attributes = attributes
        self.namespaces = namespaces
        self.requests: dict[_Open, None] = {}

    def watchers(self) -> Iterator[PermittedWatcher]:
        """The watches, which can be held."""
        for one in self.requests:
            if isinstance(one.watcher, PermittedWatcher):
                yield one.watcher


class OpenRequestJudge:
    """Judges an open request as if it came now. `finder`: None where no request is answered in part."""

    def __init__(
        self,
        authenticator: Authenticator,
        impersonation: Impersonation,
        authorizer: UnionAuthorizer,
        finder: Finder | None,
    ) -> None:
        self.authorizer = authorizer
        self.finder = finder
        self._authenticator = authenticator
        self._impersonation = impersonation

    async def user(self, ctx: Context, attributes: AuthorizationAttributes) -> User:
        """The user for whom the request is made now;
        Unauthorized, Forbidden, or Undecided where nobody can say."""
        request = ctx.request
        user = await self._authenticator.authenticate(request)
        assert user is not None
        if (user.name, user.uid) != (ctx.caller.name, ctx.caller.uid):
            raise errors.Unauthorized("Unauthorized")
        if self._impersonation.wanted(request):
            user, _ = await self._impersonation.effective(request, replace(attributes, user=user))
        return user

    async def refusal(self, attributes: AuthorizationAttributes) -> errors.StatusError | None:
        """The 403 for a request that is not allowed now; None also where an authorizer cannot say."""
        asked = [attributes]
        if attributes.subresource in CONNECTS and attributes.verb != "create":
            asked.append(replace(attributes, verb="create"))  # as endpoints/streams/pod_streams.py does
        for one in asked:
            decision = await self.authorizer.authorize(one)
            if not decision.allowed:
                return None if decision.error else forbidden(one, decision.reason)
        return None

    async def changed(
        self, attributes: AuthorizationAttributes, namespaces: Namespaces
    ) -> errors.StatusError | None:
        """The 410 for a watch of some namespaces that would now be one of others, or of all; 403 for none."""
        assert self.finder is not None
        decision = await self.authorizer.authorize(attributes)
        if decision.allowed:
            return errors.Expired(NAMESPACES_CHANGED)
        if decision.error:
            return None
        try:
            found = await self.finder.permitted(attributes)
        except errors.InternalError:
            return None
        if found is None:
            return forbidden(attributes, decision.reason)
        return None if found.namespaces is namespaces else errors.Expired(NAMESPACES_CHANGED)


class Standing(BackgroundTask):
    """The open requests of one server, which are judged again every `poll` seconds. `all`: also those
    that show all namespaces."""

    def __init__(
        self, judge: OpenRequestJudge, metrics: StandingMetrics, *, all: bool, poll: float = POLL
    ) -> None:
        self._judge = judge
        self._metrics = metrics
        self._all = all
        self._poll = poll
        self._open: dict[Context, _Open] = {}
        self._alike: dict[tuple[object, ...], _Alike] = {}
        self._partial: dict[_Alike, None] = {}
        self._woken = asyncio.Event()
        self._held = False  # whether each watch in self._partial is held
        judge.authorizer.listeners.append(self._hold)

    # Requests come and go

    def enter(self, ctx: Context, attributes: AuthorizationAttributes, response: Response) -> None:
        """Follow a request from its answer on, if an option says so."""
        permitted = ctx.permitted
        if not self._all and permitted is None:
            return
        one = self._open[ctx] = _Open(ctx)
        namespaces = permitted.namespaces if permitted is not None else None
        key = _key(ctx, attributes, namespaces)
        alike = self._alike.get(key)
        if alike is None:
            alike = self._alike[key] = _Alike(attributes, namespaces)
            if namespaces is not None:
                self._partial[alike] = None
        alike.requests[one] = None
        ctx.on_end(partial(self._left, key, one))
        if response.start is not None:
            response.start = partial(one.begin, response.start)
        if response.upgrade is not None:
            response.upgrade = partial(one.begin, response.upgrade)

    def watches(self, ctx: Context, watcher: Watcher) -> None:
        """The events of a request come from this watcher."""
        one = self._open.get(ctx)
        if one is not None:
            one.watcher = watcher
            self._held = False

    def outdated(self, ctx: Context) -> errors.StatusError | None:
        """Why a watch must not begin: its user's rights have gone meanwhile,
        or may have changed since its namespaces were chosen. None when it may."""
        one, permitted = self._open.get(ctx), ctx.permitted
        refusal = one.refusal if one is not None else None
        if refusal is None and permitted is not None and permitted.epoch != self._judge.authorizer.epoch:
            refusal = errors.Expired(NAMESPACES_CHANGED)
        if one is not None:
            one.ended = refusal is not None
        return refusal

    def _left(self, key: tuple[object, ...], one: _Open, outcome: RequestOutcome) -> None:
        self._open.pop(one.ctx, None)
        alike = self._alike[key]
        alike.requests.pop(one, None)
        if not alike.requests:
            del self._alike[key]
            self._partial.pop(alike, None)

    # Judging them

    def _hold(self) -> None:
        """Have the watches of some namespaces wait
        until it is known whether their users still may see them."""
        if not self._partial:
            return
        if not self._held:
            for alike in self._partial:
                for watcher in alike.watchers():
                    watcher.hold()
            self._held = True
        self._woken.set()

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        due = now() + self._poll
        while True:
            if now() < due:
                try:
                    async with asyncio.timeout_at(due):
                        await self._woken.wait()
                except TimeoutError:
                    pass
            self._woken.clear()
            every = now() >= due
            if every:
                due = now() + self._poll
            began = now()
            await self.look(every=every)
            # However often rights change, half of the time is for requests.
            await asyncio.sleep(min(now() - began, self._poll))

    async def look(self, *, every: bool = True) -> None:
        """Judge open requests, all or those that show some namespaces; end those that would be refused."""
        queue = iter(list(self._alike.values() if every else self._partial))
        await asyncio.gather(*(self._work(queue) for _ in range(WORKERS)))

    async def _work(self, queue: Iterator[_Alike]) -> None:
        began = perf_counter()
        for alike in queue:
            try:
                await self._settle(alike)
            except Exception:
                log.exception("An open request could not be judged")
            if perf_counter() - began > TURN:
                await asyncio.sleep(0)
                began = perf_counter()

    async def _settle(self, alike: _Alike) -> None:
        """Let requests go on, or end them."""
        if not alike.requests:
            return
        epoch = self._judge.authorizer.epoch
        refusal = await self._refusal(alike)
        if refusal is not None:
            await self._end(alike, refusal)
        elif epoch == self._judge.authorizer.epoch:
            for watcher in list(alike.watchers()):
                self._held = False
                watcher.release()

    async def _refusal(self, alike: _Alike) -> errors.StatusError | None:
        """Why requests end, None when they do not."""
        attributes = alike.attributes
        if self._all:
            try:
                user = await self._judge.user(next(iter(alike.requests)).ctx, attributes)
            except Undecided:
                return None
            except (errors.Unauthorized, errors.Forbidden) as err:
                return err
            if user != attributes.user:
                attributes = replace(attributes, user=user)
        if alike.namespaces is not None:
            return await self._judge.changed(attributes, alike.namespaces)
        return await self._judge.refusal(attributes)

    async def _end(self, alike: _Alike, refusal: errors.StatusError) -> None:
        requests, a = list(alike.requests), alike.attributes
        reason = _REASONS.get(refusal.code, "namespaces")
        log.info(
            "Open requests end, as they would be refused now",
            reason=reason,
            user=a.user.name,
            verb=a.verb,
            group=a.group,
            resource=a.resource,
            subresource=a.subresource,
            namespace=a.namespace,
            requests=len(requests),
        )
        began = perf_counter()
        for one in requests:
            if one.refusal is None and not one.ended and one.ctx in self._open:
                self._metrics.ended.inc(reason)
                one.end(refusal)
            if perf_counter() - began > TURN:
                await asyncio.sleep(0)
                began = perf_counter()


_REASONS = {401: "credentials", 403: "rights"}


def _key(
    ctx: Context, attributes: AuthorizationAttributes, namespaces: Namespaces | None
) -> tuple[object, ...]:
    """The facts on which the verdict on a request depends."""
    a, headers, chain = attributes, ctx.request.headers, ctx.request.peer_certificates
    return (
        ctx.caller,
        ctx.user,
        headers.get("authorization"),
        headers.get("sec-websocket-protocol"),
        chain[0] if chain else None,
        a.path if not a.is_resource or ctx.caller is ANONYMOUS else None,
        a.verb,
        a.group,
        a.version,
        a.resource,
        a.subresource,
        a.namespace,
        a.name,
        a.field_selector,
        a.label_selector,
        namespaces,
    )
