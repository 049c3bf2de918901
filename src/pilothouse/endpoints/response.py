"""Objects, lists and errors as answers, in the form that was negotiated."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from pilothouse import errors
from pilothouse._listbody import ListBody
from pilothouse._watchcache import Entry
from pilothouse.api import convert, protobuf_writer, yaml
from pilothouse.api.fields import Object
from pilothouse.api.warned import CONTROL, WARNING_LIMIT, WARNINGS_LIMIT
from pilothouse.endpoints import negotiation
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.negotiation import Media
from pilothouse.endpoints.params import first
from pilothouse.registry import tables
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response

NO_CACHE = ("Cache-Control", "no-cache, private")


class Messages:
    """The protobuf messages of stored objects, kept within a bound: informers of many clients list the same ones."""

    LIMIT_BYTES = 16 << 20

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._size = 0

    def of(self, resource: Resource, entries: Iterable[Entry]) -> Iterator[bytes]:
        """The message of each entry, in the version of `resource`."""
        assert resource.type_of is not None
        type_, version, known = resource.type_of(), resource.api_version, self._known
        for entry in entries:
            found = known.get((version, entry.key))
            if found is not None and found[0] == entry.rev:
                yield found[1]
                continue
            message = protobuf_writer.encode(served(resource, entry.value), type_)
            self._size += len(message)
            if self._size > self.LIMIT_BYTES:
                known.clear()
                self._size = len(message)
            known[version, entry.key] = (entry.rev, message)
            yield message


class Responder:
    """Makes Responses; what an answer looks like is decided here and nowhere else."""

    def __init__(self) -> None:
        self._messages = Messages()

    def value(self, ctx: Context, resource: Resource, value: bytes, status: int = 200) -> Response:
        """One object, given as its stored bytes with resourceVersion."""
        media: Media = ctx.media
        if (
            media.format == "json"
            and not media.transform
            and resource.from_storage is None
            and not wants_pretty(ctx)
        ):
            return Response(status, value + b"\n")
        return self.object(ctx, resource, self._source(ctx, resource, value), status)

    def object(self, ctx: Context, resource: Resource, obj: Object, status: int = 200) -> Response:
        """One object in the version that was asked for, transformed as negotiated."""
        media: Media = ctx.media
        if media.transform and obj.get("kind") != "Status":
            obj = self._transform(ctx, resource, obj)
        return self.plain(ctx, obj, status)

    def plain(self, ctx: Context, obj: Any, status: int = 200, media: Media | None = None) -> Response:
        """Anything, written in the negotiated format and not transformed."""
        media = media or ctx.media or negotiation.PLAIN_JSON
        return Response(status, write(obj, media.format, pretty=wants_pretty(ctx)), media.content_type)

    def _transform(self, ctx: Context, resource: Resource, obj: Object) -> Object:
        media: Media = ctx.media
        version = f"{media.group}/{media.version}"
        if media.transform == negotiation.PARTIAL:
            return partial(obj, version)
        if media.transform == negotiation.PARTIAL_LIST:
            raise errors.NotAcceptable(
                f"you requested PartialObjectMetadataList, but the requested object is not a list ({go_type(resource)})"
            )
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return tables.table_for(
            resource,
            [obj],
            include=include_object(ctx),
            version=media.version,
            metadata={k: v for k, v in metadata.items() if v},
        )

    def list(
        self,
        ctx: Context,
        resource: Resource,
        entries: Sequence[Entry],
        revision: int,
        token: str = "",
        remaining: int | None = None,
    ) -> Response:
        """A list of stored objects."""
        media: Media = ctx.media
        if (
            media.format == "json"
            and not media.transform
            and resource.from_storage is None
            and not wants_pretty(ctx)
        ):
            prefix, suffix = envelope(resource, revision, token, remaining)
            return Response(200, ListBody(prefix, entries, suffix, resource.list_items_typed))
        metadata = list_metadata(revision, token, remaining)
        if media.format == "protobuf" and not media.transform:
            raw = protobuf_writer.list_message(metadata, self._messages.of(resource, entries))
            body = protobuf_writer.frame(raw, resource.api_version, resource.list_kind)
            return Response(200, body, media.content_type)
        return self.objects(ctx, resource, (self._source(ctx, resource, e.value) for e in entries), metadata)

    def _source(self, ctx: Context, resource: Resource, value: bytes) -> Object:
        """What an answer is made from: tables and metadata of kinds that convert show what is stored."""
        if ctx.media.transform and include_object(ctx) != "Object" and resource.to_storage is not None:
            return orjson.loads(value)
        return served(resource, value)

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
                f"you requested PartialObjectMetadata, but the requested object is a list ({go_type(resource, 'List')})"
            )
        elif media.transform:
            out = tables.table_for(
                resource, objects, include=include_object(ctx), version=media.version, metadata=metadata
            )
        else:
            items = list(objects)
            if resource.list_items_typed:
                metadata.setdefault("continue", "")
            else:
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
        response = self.plain(ctx, err.status(), err.code, media)
        response.headers.extend(err.headers)
        return response

    def finish(self, ctx: Context, response: Response) -> None:
        """The headers that every answer carries."""
        headers = response.headers
        headers.append(("Audit-Id", ctx.audit_id))
        if not any(name == "Cache-Control" for name, _ in headers):
            headers.append(NO_CACHE)
        if ctx.priority is not None:
            headers.append(("X-Kubernetes-Pf-Flowschema-Uid", ctx.priority[0]))
            headers.append(("X-Kubernetes-Pf-Prioritylevel-Uid", ctx.priority[1]))
        if ctx.warnings is not None:
            headers += [("Warning", f"299 - {_quoted(text)}") for text in sendable(ctx.warnings)]


def envelope(resource: Resource, revision: int, token: str, remaining: int | None) -> tuple[bytes, bytes]:
    """What stands before and behind the items of a list."""
    metadata = list_metadata(revision, token, remaining)
    if resource.list_items_typed:
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
    """Bytes of an answer; JSON that is not indented ends with a newline, as Go's encoder writes it."""
    if form == "yaml":
        return yaml.dump(obj)
    if form == "protobuf":
        return protobuf_writer.dump(obj)
    return orjson.dumps(obj, option=orjson.OPT_INDENT_2 if pretty else orjson.OPT_APPEND_NEWLINE)


def served(resource: Resource, value: bytes) -> Object:
    """A stored object as a dict in the version of `resource`."""
    obj: Object = orjson.loads(value)
    return resource.from_storage(obj) if resource.from_storage is not None else obj


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
    """The `includeObject` parameter of a Table; BadRequest when it is none of the known ones."""
    include = first(ctx.query, "includeObject")
    if include not in ("", "None", "Metadata", "Object"):
        raise errors.BadRequest(
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"\"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        )
    return include or "Metadata"


def go_type(resource: Resource, suffix: str = "") -> str:
    """The Go type that upstream names in a message."""
    if resource.list_items_typed:
        return "*unstructured.UnstructuredList" if suffix else "*unstructured.Unstructured"
    package = (resource.group or "core").split(".")[0]
    return f"*{package}.{resource.kind}{suffix}"


def sendable(warnings: Sequence[str]) -> Sequence[str]:
    """The warnings that fit into headers: none with control characters, shortened when they are too long together."""
    clean = [text for text in warnings if text and not CONTROL.search(text)]
    if sum(map(len, clean)) <= WARNINGS_LIMIT:
        return clean
    out: list[str] = []
    before = written = 0
    for text in clean:
        if before > WARNINGS_LIMIT and written >= WARNINGS_LIMIT:
            break
        out.append(text[:WARNING_LIMIT])
        before += len(text)
        written += len(out[-1])
    return out


def _quoted(text: str) -> str:
    """A quoted-string of a Warning header (RFC 9110)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
