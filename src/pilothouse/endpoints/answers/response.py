"""Objects, lists and errors as answers, in the form that was negotiated."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from zlib import crc32

import orjson

from pilothouse import errors
from pilothouse.api import json
from pilothouse.api._json import JsonEncoder
from pilothouse.api.convert import kinds as convert
from pilothouse.api.protobuf import writer as protobuf_writer
from pilothouse.api.types import depth
from pilothouse.api.types.meta_kinds import for_answer
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import text as yaml
from pilothouse.caches import Cache, CacheBudget
from pilothouse.endpoints.answers import list_stream, readable
from pilothouse.endpoints.answers._listbody import ListBody
from pilothouse.endpoints.answers.as_sent import NULL, as_sent
from pilothouse.endpoints.answers.left_out import LeftOut
from pilothouse.endpoints.answers.list_stream import Lists, Slices, takes_gzip
from pilothouse.endpoints.request import negotiation
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.negotiation import Media
from pilothouse.endpoints.request.params import first
from pilothouse.offload import INLINE, INLINE_WORK, Inline, Offload, Work
from pilothouse.registry.conversion import Conversion
from pilothouse.registry.printers import tables
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response
from pilothouse.storage._entry import Entry, bytes_of

Entries = list[Entry]
NO_CACHE = ("Cache-Control", "no-cache, private")


class MessageCache:
    """The protobuf messages of stored objects, kept within a bound:
    informers of many clients list the same ones.

    How long they are is kept with the objects themselves, for all: a list begins with the sum.
    """

    def __init__(self, budget: CacheBudget | None = None) -> None:
        self._known: Cache[tuple[str, str], tuple[int, bytes]] = Cache(
            "protobuf", budget or CacheBudget(), share=1 / 4, largest=1 << 20
        )
        self._forms: dict[str, int] = {}  # version -> its number, the same for all who share objects

    def known(self, version: str, entry: Entry) -> bytes | None:
        """The message of an object in an API version, if it is remembered."""
        found = self._known[version, entry.key]
        return found[1] if found is not None and found[0] == entry.rev else None

    def keep(self, version: str, entry: Entry, message: bytes) -> None:
        """Remember a message."""
        self._known.put((version, entry.key), (entry.rev, message))
        entry.message_form = self._forms.setdefault(version, crc32(version.encode()))
        entry.message_size = len(message)

    def size(self, version: str, entry: Entry) -> int:
        """The bytes of an object's message in an API version, 0 if they are not known."""
        return entry.message_size if entry.message_form == self._forms.get(version) else 0


class _Items:
    """The protobuf messages of one list's items."""

    def __init__(
        self,
        entries: Sequence[Entry],
        make: Callable[[bytes], bytes | None],
        messages: MessageCache | None,
        version: str,
    ) -> None:
        """`make` gives None for an item that is left out.
        `messages` remembers them under `version`, None: nobody does."""
        self.entries = entries
        self.make = make
        self._messages = messages
        self._version = version

    def known(self, entry: Entry) -> bytes | None:
        return self._messages.known(self._version, entry) if self._messages is not None else None

    def size(self, entry: Entry) -> int:
        return self._messages.size(self._version, entry) if self._messages is not None else 0

    def keep(self, entry: Entry, message: bytes) -> None:
        if self._messages is not None:
            self._messages.keep(self._version, entry, message)

    def __iter__(self) -> Iterator[bytes]:
        """The message of each item, in order."""
        for entry in self.entries:
            message = self.known(entry)
            if message is None:
                message = self.make(entry.value)
                if message is None:
                    continue
                self.keep(entry, message)
            yield message


class Responder:
    """Makes the Response of every object, list and error."""

    def __init__(
        self,
        offload: Offload,
        budget: CacheBudget | None = None,
        left_out: LeftOut | None = None,
        time: Callable[[], float] = time.time,
    ) -> None:
        """`offload` is where long lists are made, `budget` that of the server's caches. `time` tells the Unix
        time at which objects in tables have their ages."""
        self.time = time
        budget = budget or CacheBudget()
        self.left_out = left_out or LeftOut()
        self._messages = MessageCache(budget)
        self._encoders: Cache[tuple[str, str], JsonEncoder] = Cache("event_encoders", budget, share=1 / 64)
        self._offload = offload
        self._lists = Lists(offload)
        self.stream_above = list_stream.ABOVE
        """Stored bytes above which a list that has to be decoded is encoded in slices."""

    def event_encoder(self, resource: Resource) -> JsonEncoder:
        """The encoder of events that show objects as they are stored; the watchers of a resource share it."""
        key = (resource.api_version, resource.kind)
        found = self._encoders[key]
        if found is None:
            found = JsonEncoder(resource.kind, resource.api_version)
            self._encoders.put(key, found)
        return found

    def sends_as_stored(self, ctx: Context, resource: Resource) -> bool:
        """Whether the answer shows objects as they are stored."""
        media: Media = ctx.media
        return (
            (media is negotiation.PLAIN_JSON or (media.format == "json" and not media.transform))
            and resource.conversion is None
            and not wants_pretty(ctx)
        )

    def value(self, ctx: Context, resource: Resource, value: bytes, status: int = 200) -> Response:
        """One object, given as its stored bytes with resourceVersion."""
        if self.sends_as_stored(ctx, resource):
            if ctx.audit is not None and ctx.audit.response_wanted:
                ctx.audit.shows_body()
            return Response(status, value + b"\n")
        try:
            return self.object(ctx, resource, self._source(ctx, resource, value), status)
        except errors.StatusError:
            raise
        except Exception as error:
            raise self.left_out.refusal(resource, value, error) from error

    def message(self, resource: Resource, entry: Entry) -> bytes | None:
        """A small stored object in protobuf, made once for each of its versions; None where it is large or
        cannot be encoded. For resources without conversion."""
        raw = self._messages.known(resource.api_version, entry)
        if raw is None:
            if len(entry.value) > INLINE:
                return None
            try:
                raw = self._items(resource, ()).make(entry.value)
            except Exception:
                return None
            assert raw is not None
            self._messages.keep(resource.api_version, entry, raw)
        return protobuf_writer.frame(raw, resource.api_version, resource.kind)

    def waits(self, ctx: Context, resource: Resource) -> bool:
        """Whether an answer has to wait for a conversion; `value` and `list` do not make it then."""
        conversion = needed(resource, ctx.media)
        return conversion is not None and conversion.converter is not None

    async def answer(self, ctx: Context, resource: Resource, value: bytes, status: int = 200) -> Response:
        """Like value(), also where the conversion has to be waited for; in the request's `work`."""
        conversion, work = needed(resource, ctx.media), ctx.work
        if conversion is None or conversion.converter is None:
            if not work.bytes:
                return self.value(ctx, resource, value, status)
            return await work.run(self.value, ctx, resource, value, status)
        work = self._working(ctx)
        (obj,) = await conversion.presented((await work.run(readable.decode_stored, value),), work)
        return await work.run(self.object, ctx, resource, obj, status)

    def object(self, ctx: Context, resource: Resource, obj: Object, status: int = 200) -> Response:
        """One object in the version that was asked for, transformed as negotiated."""
        media: Media = ctx.media
        if media.transform and obj.get("kind") != "Status":
            obj = self._transform(ctx, resource, obj)
        return self.plain(ctx, obj, status)

    def plain(self, ctx: Context, obj: Any, status: int = 200, media: Media | None = None) -> Response:
        """Any JSON value in the negotiated format, without conversion to a Table or to metadata."""
        media = media or ctx.media or negotiation.PLAIN_JSON
        if ctx.audit is not None:
            ctx.audit.shows(obj)
        return Response(status, write(obj, media.format, pretty=wants_pretty(ctx)), media.content_type)

    def _transform(self, ctx: Context, resource: Resource, obj: Object) -> Object:
        media: Media = ctx.media
        version = f"{media.group}/{media.version}"
        if media.transform == negotiation.PARTIAL:
            return partial(obj, version)
        if media.transform == negotiation.PARTIAL_LIST:
            if (
                not resource.conventions.go_types
            ):  # Go's unstructured objects have the methods of lists as well
                raise errors.Unknown("content is not a list")
            raise errors.NotAcceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list"
                f" ({_go_type(resource)})"
            )
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return tables.table_for(
            resource,
            [obj],
            include=include_object(ctx),
            version=media.version,
            metadata={k: v for k, v in metadata.items() if v},
            now=self.time(),
        )

    def list(
        self,
        ctx: Context,
        resource: Resource,
        entries: Entries,
        revision: int,
        token: str = "",
        remaining: int | None = None,
    ) -> Response:
        """A list of stored objects; those that cannot be shown in this form are left out."""
        if self.sends_as_stored(ctx, resource):
            prefix, suffix = envelope(resource, revision, token, remaining)
            if ctx.audit is not None and ctx.audit.response_wanted:
                ctx.audit.shows_body()
            return Response(200, ListBody(prefix, entries, suffix, resource.conventions.list_items_typed))
        try:
            return self._list(ctx, resource, entries, list_metadata(revision, token, remaining))
        except Exception:
            alone = functools.partial(self._alone, ctx, resource)
            kept = self.left_out.without(resource, entries, alone, ctx.warn)
            if len(kept) == len(entries):
                raise
        return self._list(ctx, resource, kept, list_metadata(revision, token, remaining))

    def _alone(self, ctx: Context, resource: Resource, value: bytes) -> None:
        """Encode one object of a list; what that raises when the object cannot be shown."""
        media: Media = ctx.media
        if media.format == "protobuf" and not media.transform:
            self._items(resource, ()).make(value)
            return
        _, _, show = self._shown(ctx, resource, {})
        write(show(self._source(ctx, resource, value)), media.format)

    def _list(self, ctx: Context, resource: Resource, entries: Entries, metadata: Object) -> Response:
        """A list that is not sent as it is stored."""
        media: Media = ctx.media
        size = bytes_of(entries)
        if ctx.audit is not None and ctx.audit.response_wanted:
            ctx.audit.shows_parts(_Shown(self, ctx, resource, entries, dict(metadata), size))
        if size > self.stream_above:
            streamed = self._streamed(ctx, resource, entries, metadata)
            if streamed is not None:
                return streamed
        if media.format == "protobuf" and not media.transform:
            raw = protobuf_writer.list_message(metadata, self._items(resource, entries))
            body = protobuf_writer.frame(raw, resource.api_version, resource.list_kind)
            return Response(200, body, media.content_type)
        return self.objects(ctx, resource, (self._source(ctx, resource, e.value) for e in entries), metadata)

    async def converted_list(
        self,
        ctx: Context,
        resource: Resource,
        entries: Sequence[Entry],
        revision: int,
        token: str = "",
        remaining: int | None = None,
    ) -> Response:
        """Like list(), for objects whose conversion has to be waited for:
        a short list in one batch, a long one by slices.

        The first slice of a long list is converted before the answer begins, so that a converter that does
        not work is told by the status of the answer.
        The connection is cut when a later slice cannot be converted.
        """
        conversion = needed(resource, ctx.media)
        assert conversion is not None
        metadata = list_metadata(revision, token, remaining)
        long = bytes_of(entries) > self.stream_above
        if not long or not tables.in_stored_order(resource):
            stored = [readable.decode_stored(entry.value) for entry in entries]
            work = self._working(ctx)
            objects = await conversion.presented(stored, work)
            return await work.run(self.objects, ctx, resource, objects, metadata)
        around, member, show = self._shown(ctx, resource, metadata)
        frame = list_stream.frame(ctx.media.format, around, member, pretty=wants_pretty(ctx))
        slices = Slices(self._lists, ctx.user.name, entries, conversion, show, frame)
        compress = takes_gzip(ctx.request.headers.get("accept-encoding", ""))
        await slices.begin()
        return self._lists.converted(ctx.media.content_type, slices, compress=compress)

    def _working(self, ctx: Context) -> Work | Inline:
        """The work of a request which may turn out to be long once something is converted."""
        if ctx.work is INLINE_WORK:
            ctx.work = Work(self._offload, ctx.user.name)
        return ctx.work

    def _items(self, resource: Resource, entries: Sequence[Entry]) -> _Items:
        assert resource.type_of is not None
        type_ = resource.type_of()

        def make(value: bytes) -> bytes:
            return protobuf_writer.encode(served(resource, value), type_)

        return _Items(entries, make, self._messages, resource.api_version)

    def _streamed(
        self, ctx: Context, resource: Resource, entries: Sequence[Entry], metadata: Object
    ) -> Response | None:
        """A long list that is encoded slice by slice, None for the forms that are encoded at once."""
        media: Media = ctx.media
        compress = takes_gzip(ctx.request.headers.get("accept-encoding", ""))
        if media.format == "protobuf":
            return self._protobuf(ctx, resource, entries, metadata, compress)
        if media.transform == negotiation.PARTIAL or not tables.in_stored_order(resource):
            return None
        around, member, show = self._shown(ctx, resource, metadata)

        def item(value: bytes) -> Any:
            return show(self._source(ctx, resource, value))

        frame = list_stream.frame(media.format, around, member, pretty=wants_pretty(ctx))
        make = self.left_out.guarded(resource, lambda value: frame.write(item(value)))
        return self._lists.response(
            ctx.user.name, media.content_type, entries, make, frame, compress=compress
        )

    def shown(self, ctx: Context, resource: Resource, entries: Entries, metadata: Object) -> Iterator[bytes]:
        """The parts of a list in JSON, as it is negotiated otherwise."""
        around, member, show = self._shown(ctx, resource, metadata)
        frame = list_stream.frame("json", around, member)
        between = frame.head
        make = self.left_out.guarded(
            resource, lambda value: frame.write(show(self._source(ctx, resource, value)))
        )
        for entry in entries:
            item = make(entry.value)
            if item is not None:
                yield between + item
                between = frame.between
        yield frame.tail if between is frame.between else frame.head + frame.tail

    def _shown(
        self, ctx: Context, resource: Resource, metadata: Object
    ) -> tuple[Object, str, Callable[[Object], Any]]:
        """A list without its items, the member in which they stand, and how one of them is shown."""
        media: Media = ctx.media
        version = f"{media.group}/{media.version}"
        if media.transform == negotiation.TABLE:
            columns, row = tables.rows_of(resource, include_object(ctx), media.version, self.time())
            around: Object = {"kind": "Table", "apiVersion": version, "metadata": metadata}
            return around | {"columnDefinitions": columns}, "rows", row
        if media.transform:
            around = {"kind": media.transform, "apiVersion": version, "metadata": metadata}
            return around, "items", lambda obj: partial(obj, version)
        conventions = resource.conventions
        if conventions.list_continue:
            metadata.setdefault("continue", "")
        around = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata}
        return around, "items", (lambda obj: obj) if conventions.list_items_typed else _untyped

    def _protobuf(
        self, ctx: Context, resource: Resource, entries: Sequence[Entry], metadata: Object, compress: bool
    ) -> Response | None:
        media: Media = ctx.media
        if not media.transform:
            items, kind = self._items(resource, entries), (resource.api_version, resource.list_kind)
        elif media.transform == negotiation.PARTIAL_LIST:
            version = f"{media.group}/{media.version}"
            type_ = for_answer(media.group, media.version, "PartialObjectMetadata")

            def make(value: bytes) -> bytes:
                return protobuf_writer.encode(partial(orjson.loads(value), version), type_)

            items, kind = _Items(entries, make, None, version), (version, media.transform)
        else:
            return None
        items.make = self.left_out.guarded(resource, items.make)
        head = protobuf_writer.list_head(metadata)
        return self._lists.protobuf(ctx.user.name, media.content_type, items, head, kind, compress=compress)

    def _source(self, ctx: Context, resource: Resource, value: bytes) -> Object:
        """The object that an answer shows."""
        if not ctx.media.transform:
            return served(resource, value)
        obj = depth.outlined(value)
        conversion = needed(resource, ctx.media, include_object(ctx))
        return obj if conversion is None else conversion.present(obj)

    def objects(
        self, ctx: Context, resource: Resource, objects: Iterable[Object], metadata: Object
    ) -> Response:
        """A list of decoded objects."""
        media: Media = ctx.media
        version = f"{media.group}/{media.version}"
        out: Object
        if media.transform == negotiation.PARTIAL_LIST:
            items = [partial(obj, version) for obj in objects]
            out = {
                "kind": "PartialObjectMetadataList",
                "apiVersion": version,
                "metadata": metadata,
                "items": items or None,  # upstream's slice stays nil here
            }
        elif media.transform == negotiation.PARTIAL:
            raise errors.NotAcceptable(
                "you requested PartialObjectMetadata, but the requested object is a list"
                f" ({_go_type(resource, 'List')})"
            )
        elif media.transform:
            out = tables.table_for(
                resource,
                objects,
                include=include_object(ctx),
                version=media.version,
                metadata=metadata,
                now=self.time(),
            )
        else:
            items = list(objects)
            if resource.conventions.list_continue:
                metadata.setdefault("continue", "")
            if not resource.conventions.list_items_typed:
                for item in items:
                    del item["kind"], item["apiVersion"]
            out = {
                "kind": resource.list_kind,
                "apiVersion": resource.api_version,
                "metadata": metadata,
                "items": items,
            }
        return self.plain(ctx, out)

    def error(self, ctx: Context, err: errors.StatusError) -> Response:
        """A Status for what went wrong."""
        media = negotiation.negotiate_error(ctx.request.headers.get("accept"))
        if isinstance(err, errors.Invalid) and NULL in err.message:
            err = as_sent(err, ctx.request.body)
        response = self.plain(ctx, err.status(), err.code, media)
        response.headers.extend(err.headers)
        return response

    def finish(self, ctx: Context, response: Response) -> None:
        """The headers that every answer carries."""
        headers = response.headers
        headers.append(("Audit-Id", ctx.audit_id))
        for name, _ in headers:
            if name == "Cache-Control":
                break
        else:
            headers.append(NO_CACHE)
        if ctx.priority is not None:
            headers.append(("X-Kubernetes-Pf-Flowschema-Uid", ctx.priority[0]))
            headers.append(("X-Kubernetes-Pf-Prioritylevel-Uid", ctx.priority[1]))
        if ctx.request.warnings:
            headers += [("Warning", f"299 - {_quoted(text)}") for text in ctx.request.warnings]
        if ctx.warnings is not None:
            headers += [("Warning", f"299 - {_quoted(text)}") for text in ctx.warnings.sendable()]


class _Shown:
    """A list in JSON as an audit event has it, whatever form is sent:
    made item by item when the event is written."""

    def __init__(
        self,
        responder: Responder,
        ctx: Context,
        resource: Resource,
        entries: Entries,
        metadata: Object,
        size: int,
    ) -> None:
        self.size = size
        self._parts = functools.partial(responder.shown, ctx, resource, entries, metadata)

    def __iter__(self) -> Iterator[bytes]:
        return self._parts()


def _untyped(obj: Object) -> Object:
    """An item of a list of a built-in kind, which does not say what it is."""
    del obj["kind"], obj["apiVersion"]
    return obj


def envelope(resource: Resource, revision: int, token: str, remaining: int | None) -> tuple[bytes, bytes]:
    """The bytes of a list before and after its items."""
    metadata = list_metadata(revision, token, remaining)
    if resource.conventions.list_continue:
        metadata.setdefault("continue", "")
    head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata}
    return orjson.dumps(head)[:-1] + b',"items":[', b"]}\n"


def list_metadata(revision: int, token: str, remaining: int | None) -> Object:
    """A list's own metadata."""
    metadata: Object = {"resourceVersion": str(revision)}
    if token:
        metadata["continue"] = token
    if remaining is not None and remaining > 0:
        metadata["remainingItemCount"] = remaining
    return metadata


def write(obj: Any, form: str, *, pretty: bool = False) -> bytes:
    """Encode an answer. JSON that is not indented ends with a newline, like that of Go's encoder.

    What indentation would make out of all proportion is not indented: JSON is YAML, too.
    """
    if form == "yaml":
        data = json.dump(obj)
        return yaml.dump(obj) if readable.bears_indentation(obj, len(data)) else data + b"\n"
    if form == "protobuf":
        return protobuf_writer.dump(obj)
    if pretty:
        data = json.dump(obj)
        return json.pretty(data) if readable.bears_indentation(obj, len(data)) else data + b"\n"
    return json.dump(obj) + b"\n"


def served(resource: Resource, value: bytes) -> Object:
    """A stored object as a dict in the version of `resource`."""
    obj = readable.decode_stored(value)
    return resource.conversion.present(obj) if resource.conversion is not None else obj


def needed(resource: Resource, media: Media, include: str = "") -> Conversion | None:
    """The conversion of the objects that an answer shows, None where it shows what is stored.

    Metadata alone is that of the stored version. A Table of a built-in kind is filled from the stored
    version, too; `include` is its includeObject.
    """
    if resource.conversion is None or not media.transform:
        return resource.conversion
    if media.transform == negotiation.TABLE and (resource.conventions.by_version or include == "Object"):
        return resource.conversion
    return None


def partial(obj: Object, version: str) -> Object:
    """PartialObjectMetadata of an object."""
    metadata = convert.as_internal(obj["metadata"])
    return {"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata}


def wants_pretty(ctx: Context) -> bool:
    """Whether indented JSON is due."""
    request = ctx.request
    if not request.query and not ctx.media:
        return False
    return negotiation.wants_pretty(request.query, request.headers.get("user-agent", ""))


def include_object(ctx: Context) -> str:
    """The `includeObject` parameter of a Table, "" for another answer; BadRequest when it is none of the
    known ones."""
    if ctx.media.transform != negotiation.TABLE:
        return ""
    include = first(ctx.query, "includeObject")
    if include not in ("", "None", "Metadata", "Object"):
        raise errors.BadRequest(
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"\"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        )
    return include or "Metadata"


def _go_type(resource: Resource, suffix: str = "") -> str:
    return resource.conventions.go_type(resource.group, resource.kind, suffix)


def _quoted(text: str) -> str:
    """A quoted-string of a Warning header (RFC 9110)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
