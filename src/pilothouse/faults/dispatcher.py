"""Dispatches requests as ever, except for those that a fault strikes."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter

import orjson

from pilothouse.endpoints.dispatch import Answer, Dispatcher
from pilothouse.endpoints.journal.struck import mark_of
from pilothouse.endpoints.objects.watch import encoder_of
from pilothouse.endpoints.request.context import Context, Refusal
from pilothouse.faults.api import PATH
from pilothouse.faults.faults import Fault, Faults
from pilothouse.faults.refusals import HEADER, refusal
from pilothouse.faults.subject import Subject
from pilothouse.faults.watches import DroppedByFaultError, FaultyWatch
from pilothouse.registry.timeline import Timeline
from pilothouse.server.request import Response, Stream
from pilothouse.waiting import in_task

ANNOTATION = "faults.pilothouse.dev/name"


class FaultyDispatcher(Dispatcher):
    """The dispatcher of a server that has faults. It does as another one does, of which it has the parts."""

    def __init__(self, inner: Dispatcher, faults: Faults) -> None:
        super().__init__(
            inner.verbs,
            inner.streams,
            inner.actions,
            catalog=inner.catalog,
            discovery=inner.discovery,
            nonresource=inner.nonresource,
            responder=inner.responder,
            aggregator=inner.aggregator,
            consistent=inner.consistent,
        )
        self._faults = faults

    def dispatch(self, ctx: Context) -> Answer:
        """The answer of the request, or that of a fault."""
        watches = ctx.info.verb == "watch"
        if not (watches or self._faults.active) or ctx.info.path.startswith(PATH):
            return super().dispatch(ctx)
        return self._dispatch(ctx, watches)

    async def _dispatch(self, ctx: Context, watches: bool) -> Response:
        subject = Subject.of(ctx)
        fault = self._faults.strike(subject)
        if fault is None:
            response = await super().dispatch(ctx)
            return self._follow(ctx, subject, response, None) if watches else response
        if ctx.audit is not None:
            ctx.audit.annotate(ANNOTATION, fault.name)
        struck, effect = perf_counter(), fault.rule.effect
        try:
            if watches and (fault.rule.ends_watches or not fault.rule.code):
                effect = _on_watches(effect)
                response = self._follow(ctx, subject, await super().dispatch(ctx), fault)
            else:
                if fault.rule.delay:
                    await in_task()
                    await asyncio.sleep(fault.rule.delay)
                    struck = perf_counter()
                response = await self._struck(ctx, subject, fault)
        finally:
            _note(ctx, fault, effect, struck)
        response.headers.append((HEADER, fault.name))
        return response

    async def _struck(self, ctx: Context, subject: Subject, fault: Fault) -> Response:
        """The answer of a request that is no watch, once its delay is over."""
        rule, info, store = fault.rule, ctx.info, self.verbs.store
        if rule.stale:
            at = max(fault.revision, store.storage.compacted, 1)
            ctx.query = {**ctx.query, "resourceVersion": [str(at)], "resourceVersionMatch": ["Exact"]}
            ctx.query.pop("limit", None)  # a list with resourceVersion=0 comes whole
        if not (rule.drop or rule.code):
            return await super().dispatch(ctx)
        if rule.carry_out:
            await super().dispatch(ctx)
        ctx.resource = ctx.resource or self.catalog.get(info.group, info.version, info.resource)
        if rule.drop:
            await in_task()  # a task ends without an answer: the server cuts the connection
            raise DroppedByFaultError
        raise refusal(fault, subject, store.cacher.revision)

    def _follow(self, ctx: Context, subject: Subject, response: Response, fault: Fault | None) -> Response:
        """Lead the events of a watch through what a fault may do to them, now or later."""
        if response.start is not None and response.status == 200:
            response.start = partial(self._begin, ctx, subject, fault, response.start)
        return response

    def _begin(
        self,
        ctx: Context,
        subject: Subject,
        fault: Fault | None,
        start: Callable[[Stream], None],
        stream: Stream,
    ) -> None:
        watch = FaultyWatch(
            stream, subject, self._faults, partial(self._error, ctx, subject), partial(_struck_late, ctx)
        )
        if fault is not None:
            watch.take(fault)
            if fault.rule.ends_watches and not fault.rule.after_events:
                return  # the client gets nothing before the end
        start(watch)

    def _error(self, ctx: Context, subject: Subject, fault: Fault) -> bytes:
        """The ERROR event that tells why a watch ends."""
        assert ctx.resource is not None
        err = refusal(fault, subject, self.verbs.store.cacher.revision)
        ctx.refusal = Refusal.of(err)
        return encoder_of(self.verbs, ctx, ctx.resource).encode("ERROR", orjson.dumps(err.status()), None)


def _on_watches(effect: str) -> str:
    """The name of an effect on a watch."""
    return "expire" if effect == "error" else effect


def _struck_late(ctx: Context, fault: Fault) -> None:
    """A fault strikes a watch that runs."""
    if ctx.audit is not None:
        ctx.audit.annotate(ANNOTATION, fault.name)
    _note(ctx, fault, _on_watches(fault.rule.effect), perf_counter())


def _note(ctx: Context, fault: Fault, effect: str, at: float) -> None:
    """Have the journal know that a fault has struck."""
    if ctx.timeline is None:
        ctx.timeline = Timeline()
    ctx.timeline.marks.insert(0, (mark_of(fault.name, effect), at))
