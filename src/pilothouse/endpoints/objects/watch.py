"""A watch: chooses its events, their form, its first revision and its time limit (handlers WatchServer)."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial as bound
from time import perf_counter
from typing import Protocol, runtime_checkable

import orjson

from pilothouse import errors
from pilothouse.api import json
from pilothouse.api.types import depth
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.answers.left_out import LeftOut
from pilothouse.endpoints.answers.response import include_object, needed, partial
from pilothouse.endpoints.objects import past, websocket_watch
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.objects.selection import Selection, selection
from pilothouse.endpoints.objects.watch_conversion import (
    ConvertedSink,
    EventEncoder,
    SelectedObjects,
    StoredEvents,
)
from pilothouse.endpoints.request import negotiation, refusals
from pilothouse.endpoints.request.context import Context, Refusal
from pilothouse.endpoints.request.deadlines import Deadline, Deadlines
from pilothouse.endpoints.request.metrics import WatchMetrics
from pilothouse.endpoints.request.params import Query, cached_version, list_params
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.conversion import Conversion
from pilothouse.registry.printers import tables
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import too_large
from pilothouse.server.request import Response, Stream
from pilothouse.server.websocket import is_websocket
from pilothouse.storage import interface
from pilothouse.storage._entry import Entry
from pilothouse.storage._watchers import Watcher
from pilothouse.storage.watchcache import Listing

NO_QUERY: Query = {}
INITIAL_END = {"k8s.io/initial-events-end": "true"}


class FrameEncoder(Protocol):
    """Frames of one form. Watchers whose encoders have the same key share each frame."""

    @property
    def key(self) -> object:
        """A key that is equal for two encoders of the same frames."""

    def encode(self, type: str, value: bytes, entry: Entry | None) -> bytes:
        """One event as it goes over the wire; nothing for an object that cannot be shown."""

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """A BOOKMARK event."""


@runtime_checkable
class Converting(EventEncoder, Protocol):
    """An encoder of another form than the stored one."""

    conversion: Conversion | None
    """How the objects that it shows come from what is stored; None where it shows that."""


class Transformed:
    """Encodes events in another version, as PartialObjectMetadata or as a Table, whose first event has
    the columns."""

    def __init__(
        self,
        resource: Resource,
        media: negotiation.Media,
        include: str,
        left_out: LeftOut,
        time: Callable[[], float],
    ) -> None:
        self._left_out = left_out
        self._time = time
        self.resource = resource
        self.media = media
        self.include = include
        self.conversion = needed(resource, media, include)
        self.headers_due = media.transform == negotiation.TABLE
        self.key: object = self if self.headers_due else (resource.api_version, resource.kind, media, include)

    def encode(self, type: str, value: bytes, entry: Entry | None) -> bytes:
        if type == "ERROR":
            return json.dump({"type": type, "object": orjson.loads(value)}) + b"\n"
        try:
            obj = depth.outlined(value)
            if self.conversion is not None and type != "BOOKMARK":
                obj = self.conversion.present(obj)
            return self.event(type, obj)
        except Exception as error:
            self._left_out.record(self.resource, value, error)
            return b""

    def event(self, type: str, obj: Object) -> bytes:
        """The event of an object in the version that is shown."""
        media = self.media
        if media.transform == negotiation.TABLE:
            obj = self._table(obj)
        elif media.transform:
            obj = partial(obj, f"{media.group}/{media.version}")
        return json.dump({"type": type, "object": obj}) + b"\n"

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        return self.encode("BOOKMARK", orjson.dumps(obj), None)

    def _table(self, obj: Object) -> Object:
        revision = obj["metadata"].get("resourceVersion", "")
        table = tables.table_for(
            self.resource,
            [obj],
            include=self.include,
            version=self.media.version,
            metadata={"resourceVersion": revision},
            no_headers=not self.headers_due,
            now=self._time(),
        )
        self.headers_due = False
        return table


def encoder_of(verbs: Verbs, ctx: Context, resource: Resource) -> FrameEncoder:
    """The encoder of what was negotiated."""
    media: negotiation.Media = ctx.media
    if media.format == "json" and not media.transform and resource.conversion is None:
        return verbs.responder.event_encoder(resource)
    if media.format == "protobuf":
        from pilothouse.endpoints.objects.watch_protobuf import ProtobufEncoder

        return ProtobufEncoder(resource, media, verbs.responder.left_out)
    include = include_object(ctx)
    responder = verbs.responder
    return Transformed(resource, media, include, responder.left_out, responder.time)


async def start(verbs: Verbs, ctx: Context, query: Selection) -> Response:
    """The streaming answer; what is wrong with the request's resourceVersion is told inside the stream."""
    params, resource = query.params, query.resource
    query.cache()
    revision = cached_version(params.resource_version)
    if verbs.history is not None:
        await past.check_list(verbs, ctx, query)
    encoder = encoder_of(verbs, ctx, resource)
    seconds = max(params.timeout, 0) if params.timeout else verbs.watch_timeout * (1 + random.random())
    selected = (
        None if query.late is None else SelectedObjects(query.chooses, await _already_seen(query, revision))
    )

    def begin(stream: Stream) -> None:
        session = _Session(query, encoder, stream, revision, verbs.watch_metrics, selected)
        session.sent = bound(_sent, ctx, verbs.watch_metrics, query)
        session.work = lambda: Work(verbs.offload, ctx.user.name)
        session.told = bound(_told, ctx)
        ctx.query, ctx.request.query = NO_QUERY, ""  # as long as it runs, a watch keeps only what it needs
        standing = verbs.standing
        if standing is not None:
            if (outdated := standing.outdated(ctx)) is not None:
                session.fail(outdated)
                return
            session.follow = bound(standing.watches, ctx)
        session.begin(seconds, verbs.watch_ends)

    if is_websocket(ctx.request):
        return websocket_watch.watch(ctx, begin)
    return Response(200, content_type=ctx.media.content_type, start=begin)


def _sent(ctx: Context, metrics: WatchMetrics, query: Selection) -> None:
    """The client has been sent what its watch begins with:
    the watch costs no more than its events from now on."""
    if ctx.flow is not None:
        ctx.flow.release()
    if query.params.send_initial:
        metrics.listed(perf_counter() - ctx.started, ctx.info)


def _told(ctx: Context, err: errors.StatusError) -> None:
    """The client is told by an ERROR event why its watch ends: the journal keeps it."""
    ctx.refusal = Refusal.of(err)


def _wants_state(query: Selection, revision: int) -> bool:
    """Whether a watch begins with the objects that are there."""
    initial = query.params.send_initial
    return initial if initial is not None else revision == 0


async def _already_seen(query: Selection, revision: int) -> Listing:
    """The objects that the client of a watch knows:
    those that its fields selected at the revision that it goes on from.

    Nothing for one that is sent what is there, and for a revision that is too old to be watched from.
    """
    nothing = Listing([], revision, more=False, remaining=0)
    if _wants_state(query, revision) or revision > query.store.cacher.revision:
        return nothing
    try:
        return await replace(query, at=revision).read()
    except (errors.Expired, errors.Timeout):
        return nothing


async def handle_deprecated(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """The /watch/ paths: a watch of a collection, or of the one object that the path names."""
    if ctx.request.method != "GET" or "watch" not in resource.verbs:
        raise refusals.method_not_allowed()
    if resource.conventions.routed:
        negotiation.pass_router(ctx, resource)
    negotiation.negotiation_for(ctx, resource)
    params = list_params(ctx.query)
    if not params.watch:
        params.watch = params.by_path = True
    name = ctx.info.name
    if name:
        term = f"metadata.name={name}"
        if params.field_selector:
            asked = selectors.parse("", params.field_selector).field_equalities.get("metadata.name")
            if asked != name:
                raise errors.BadRequest("fieldSelector metadata.name doesn't match requested name")
        else:
            params.field_selector = term
        if not ctx.query:
            ctx.query = {"fieldSelector": [term]}
    return await start(verbs, ctx, selection(verbs, ctx, resource, params))


def _nothing() -> None:
    return None


def _unnoticed(err: errors.StatusError) -> None:
    return None


class _Running(Deadline):
    """The state of a watch while it runs."""

    __slots__ = ("watcher",)

    def __init__(self, stream: Stream, watcher: Watcher) -> None:
        super().__init__(stream)
        self.watcher = watcher

    def end(self) -> None:
        """The stream has ended."""
        self.cancel()
        self.watcher.stop()


class _Session:
    """The beginning of a watch."""

    def __init__(
        self,
        query: Selection,
        encoder: FrameEncoder,
        stream: Stream,
        revision: int,
        metrics: WatchMetrics,
        selected: SelectedObjects | None = None,
    ) -> None:
        self.selected = selected
        self.sent: Callable[[], None] = _nothing
        """Called when the client has been sent what it begins with,
        and its watch costs no more than its events."""
        self.work: Callable[[], Work | Inline] = lambda: INLINE_WORK
        self.follow: Callable[[Watcher], None] | None = None
        self.told: Callable[[errors.StatusError], None] = _unnoticed
        self.metrics = metrics
        self.query = query
        self.encoder = encoder
        self.stream = stream
        self.revision = revision

    def begin(self, seconds: float, ends: Deadlines) -> None:
        """Subscribe, send what is there when that was asked for, and set the time limit."""
        query = self.query
        params = query.params
        try:
            cache = query.cache()
        except errors.InternalError as err:
            self.fail(err)
            return
        newest = query.store.cacher.revision
        wants_state = _wants_state(query, self.revision)
        wanted = self.revision or (query.store.storage.revision if query.behind else 0)
        if params.send_initial and wanted > newest:
            self.fail(too_large(wanted, newest))
            return
        since = None if wants_state or self.revision == 0 else self.revision
        if self.selected is not None and not wants_state:
            since = self.revision or self.selected.revision
        name = query.selector.field_equalities.get("metadata.name", "")
        resource = query.resource
        sizes = self.metrics.event_sizes.series(resource.group, resource.plural, resource.version)
        encoder, sink = self.encoder, self.stream
        conversion = None
        if isinstance(encoder, Converting):
            conversion = resource.conversion if self.selected is not None else encoder.conversion
        if conversion is not None and conversion.converter is not None:
            assert isinstance(encoder, Converting)
            sink = ConvertedSink(sink, conversion, encoder, self.selected, self.work)
            encoder = StoredEvents(query.resource.kind, query.resource.api_version)
        try:
            watcher = cache.watch(
                query.prefix,
                name,
                query.selector,
                since,
                encoder,
                sink,
                bookmarks=params.bookmarks,
                sizes=sizes,
                namespaces=query.among.names if query.among is not None else None,
            )
        except interface.Compacted as err:
            self.fail(errors.Expired(f"too old resource version: {self.revision} ({err.compacted})"))
            return
        if self.follow is not None:
            self.follow(watcher)
        running = _Running(self.stream, watcher)
        ends.add(running, seconds)
        self.stream.on_close(running.end)
        if not wants_state:
            self.sent()
            return
        listing = query.now(cache)
        watcher.initial(listing.entries, self.sent)
        if params.send_initial and params.bookmarks:
            watcher.bookmark(listing.revision, INITIAL_END)

    def fail(self, err: errors.StatusError) -> None:
        """Tell what is wrong inside the stream, and end it."""
        self.told(err)
        self.stream.write(self.encoder.encode("ERROR", orjson.dumps(err.status()), None))
        self.stream.close()
