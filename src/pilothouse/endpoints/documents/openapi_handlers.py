"""Serves /openapi/v2 and /openapi/v3: documents with ETags, hashes and redirects (kube-openapi handler3).

Clients ask for the documents rarely, but then for all of them, so they are kept compressed and within a size
limit. The document of version 2 is joined from one part per group version: a change rebuilds only the part it
affects. What aggregated servers add to it is merged when somebody asks, from what was read of them before.
"""

import asyncio
import gzip
import hashlib
import marshal
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import orjson

from pilothouse.api import json
from pilothouse.api.openapi import protobuf_v2, protobuf_v3, version_2
from pilothouse.api.openapi.aggregate import AggregatedDocument, merge, read
from pilothouse.api.openapi.documents import OpenAPI
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.documents.openapi_remote import Packed, RemoteDocuments, unpack
from pilothouse.endpoints.documents.unpacked import Unpacked
from pilothouse.endpoints.request.negotiation import parse_accept
from pilothouse.logs import Logger
from pilothouse.process.record import record
from pilothouse.registry.catalog import Catalog
from pilothouse.server.request import Request, Response

log = Logger(__name__)

JSON = "application/json"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2_PROTOBUF_DEPRECATED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
V2_FORMS = {JSON: JSON, V2_PROTOBUF_DEPRECATED: V2_PROTOBUF, V2_PROTOBUF: V2_PROTOBUF}
V3_PROTOBUF = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
V3_PROTOBUF_DEPRECATED = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
V3_FORMS = {JSON: JSON, V3_PROTOBUF: V3_PROTOBUF, V3_PROTOBUF_DEPRECATED: V3_PROTOBUF}
"""Accepted media type -> Content-Type of the answer."""
KEPT_BYTES = 8 << 20
"""Bytes of compressed documents that are kept; all built-in documents together are well below this."""


class OpenAPIHandlers:
    """Answers the OpenAPI paths. `kept_bytes` limits the compressed documents that are kept in memory."""

    def __init__(
        self, catalog: Catalog, kept_bytes: int = KEPT_BYTES, remote: RemoteDocuments | None = None
    ) -> None:
        def versions() -> Iterable[tuple[str, str]]:
            for group in ("", *catalog.groups()):
                for version in catalog.versions(group):
                    if (group, version) not in catalog.backends:
                        yield group, version

        self._openapi = OpenAPI(versions, catalog.resources)
        self._remote = remote or RemoteDocuments()
        self._priority = lambda group, version: catalog.priority(group, version)[0]
        self._started = datetime.now(UTC)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, kept_bytes
        self._index: tuple[bytes, str] | None = None
        self._v2_tags: dict[str, str] = {}
        self._making, self._making_v3 = asyncio.Lock(), asyncio.Lock()
        self._hashes: dict[str, str] = {}
        catalog.changed.append(self._forget)
        self._remote.changed.append(self._forget)

    def install(self, nonresource: "NonResource") -> None:
        """Register the paths with `nonresource`."""
        nonresource.add("/openapi/v2", self.v2)
        nonresource.add("/openapi/v3", self.index)
        nonresource.add_prefix("/openapi/v3", self.v3, listed=("/openapi/v3/",))

    def _forget(self, group: str, version: str) -> None:
        self._index = None
        self._v2_tags.clear()
        for name in (f"apis/{group}/{version}", f"apis/{group}") if group else (f"api/{version}",):
            self._hashes.pop(name, None)

    async def v2(self, request: Request, path: str) -> Response:
        """Serve the document of version 2, whatever the request's method."""
        headers = [("Vary", "Accept-Encoding"), ("Vary", "Accept")]
        form = _form(request.headers.get("accept"), V2_FORMS)
        if form is None:
            return Response(406, b"", "", headers)
        tag = self._v2_tags.get(form)
        if tag is None:
            remote = [packed.hash for packed in self._remote.parts(self._priority)]
            tag = self._v2_tags[form] = _tag(form, [*map(self._hash, self._openapi.names()), *remote])
        if matches(request, tag):
            return Response(304, b"", "", [*headers, *self._validators(tag)])
        return await self._v2(form, tag, _takes_gzip(request.headers.get("accept-encoding", "")), headers)

    async def _v2(self, form: str, tag: str, gzipped: bool, headers: list[tuple[str, str]]) -> Response:
        async with self._making:
            packed = self._kept.get(tag)
            if packed is None:
                tag, packed = await self._make_v2(form)
        headers += self._validators(tag)
        if gzipped:
            return Response(200, packed, form, [*headers, ("Content-Encoding", "gzip")])
        return Response(200, Unpacked(packed), form, headers)

    async def _make_v2(self, form: str) -> tuple[str, bytes]:
        """Build the current document and return its ETag and gzip bytes;
        the loop serves requests between its parts."""
        write, join = V2_WRITERS[form]

        def make(name: str) -> bytes:
            part = self._openapi.part_v2(name)
            return _packed(write(part), part.uses)

        hashes, parts = [], []
        for name in self._openapi.names():
            try:
                found = self._hash(name)
            except KeyError:  # removed while this was waiting
                continue
            key = f"part {form} {found}"
            hashes.append(found)
            packed = self._recall(key)
            if packed is None:
                with self._openapi.hold(name):
                    packed = self._keep(key, await asyncio.to_thread(make, name))
            parts.append(packed)
        remote = self._remote.parts(self._priority)
        tag = _tag(form, [*hashes, *(packed.hash for packed in remote)])
        if remote:
            find = self._openapi.finder_v2()
            parts.append(await asyncio.to_thread(_merged, write, remote, find))
        joined = await asyncio.to_thread(_gathered, parts)
        key = f"definitions {form} {self._openapi.built_in_key(joined.uses)}"
        packed = self._recall(key)
        if packed is None:
            packed = self._keep(key, await asyncio.to_thread(self._built_in, write, joined.uses))
        return tag, self._keep(tag, await asyncio.to_thread(joined.document, packed, join))

    def _built_in(
        self, write: Callable[[version_2.GroupVersionDocument], protobuf_v2.Encoded], uses: set[str]
    ) -> bytes:
        """Encode the built-in definitions that parts use, as a part."""
        return _packed(write(self._openapi.built_in_v2(uses)))

    async def index(self, request: Request, path: str) -> Response:
        """Serve the index of the version 3 documents: one path with a hash per group version."""
        if self._index is None:
            hashes = {name: self._hash(name) for name in self._openapi.names()}
            for name, found in self._remote.hashes():
                hashes.setdefault(name, found)
            paths = {
                name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={found}"}
                for name, found in hashes.items()
            }
            body = orjson.dumps({"paths": paths})
            self._index = body, hashlib.sha512(body).hexdigest().upper()
        body, tag = self._index
        headers = self._validators(tag)
        if matches(request, tag):
            return Response(304, b"", "", headers)
        if request.prefix:
            body = body.replace(b'URL":"/openapi', f'URL":"{request.prefix}/openapi'.encode())
        return Response(200, body, "text/plain; charset=utf-8", headers)

    async def v3(self, request: Request, path: str) -> Response:
        """Serve one document of version 3; those that aggregated servers answer do not come here.

        A request that carries the current hash may be cached for a year; one with an outdated hash is
        redirected.
        """
        name = path.removeprefix("/openapi/v3/")
        headers = [("Vary", "Accept")]
        converted = self._remote.converted(name)
        try:
            tag = converted.hash if converted is not None else self._hash(name)
        except KeyError:
            return Response(404, b"", "", headers)
        form = _form(request.headers.get("accept"), V3_FORMS)
        if form is None:
            return Response(406, b"", "", headers)
        headers += self._validators(tag)
        asked = parse_qs(request.query).get("hash", [""])[0]
        if asked and asked != tag:
            place = f"{request.prefix}/openapi/v3/{name}?hash={tag}"
            return Response(301, b"", form, [*headers, ("Location", place)])
        if asked:
            headers.append(("Cache-Control", "public, immutable"))
            headers.append(("Expires", _date(datetime.now(UTC) + timedelta(days=365))))
        if matches(request, tag):
            return Response(304, b"", "", headers)
        key = f"document {form} {tag}"
        packed = converted.data if converted is not None and form == JSON else self._recall(key)
        if packed is None:
            try:
                packed = await self._make_v3(name, form, key, converted)
            except KeyError:  # removed while this was waiting
                return Response(404, b"", "", headers)
            except NoForm:
                return Response(406, b"", "", headers)
        return Response(200, Unpacked(packed), form, headers)

    async def _make_v3(self, name: str, form: str, key: str, converted: Packed | None) -> bytes:
        """Build a document and keep it under a key; at most one is built at a time. KeyError, or NoForm."""
        write = V3_WRITERS[form]

        def make() -> bytes:
            return _compress(write(self._openapi.document(name)))

        async with self._making_v3:
            packed = self._recall(key)
            if packed is not None:
                return packed
            if converted is not None:
                return self._keep(key, await asyncio.to_thread(_written, write, converted))
            with self._openapi.hold(name):
                return self._keep(key, await asyncio.to_thread(make))

    def _hash(self, name: str) -> str:
        found = self._hashes.get(name)
        if found is None:
            found = self._hashes[name] = self._openapi.hash(name)
        return found

    def _validators(self, tag: str) -> list[tuple[str, str]]:
        return [("Etag", f'"{tag}"'), ("Last-Modified", _date(self._started))]

    def _recall(self, tag: str) -> bytes | None:
        """The kept compressed document or None; marks it as used most recently."""
        found = self._kept.get(tag)
        if found is not None:
            self._kept.move_to_end(tag)
        return found

    def _keep(self, tag: str, packed: bytes) -> bytes:
        self._kept_bytes -= len(self._kept.pop(tag, b""))
        self._kept[tag] = packed
        self._kept_bytes += len(packed)
        while self._kept_bytes > self._most_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)
        return packed


def _compress(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=4, mtime=0)


def _tag(form: str, hashes: Iterable[str]) -> str:
    """The ETag of a version 2 document: a hash over its media type and the hashes of its parts."""
    return hashlib.sha512("".join((form, *hashes)).encode()).hexdigest().upper()


class NoForm(Exception):
    """The document of an aggregated server that cannot be said in the form that was asked for."""


def _written(write: Callable[[Any], bytes], packed: Packed) -> bytes:
    """The document of an aggregated server in another form, compressed; raises NoForm."""
    try:
        return _compress(write(read(gzip.decompress(packed.data))))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NoForm from error


def _json_part(part: version_2.GroupVersionDocument) -> protobuf_v2.Encoded:
    """Encode the members of the paths, the definitions and the parameters, each by its name."""

    def members(of: Mapping[str, Any]) -> dict[str, bytes]:
        return {name: json.dump({name: value})[1:-1] for name, value in of.items()}

    return members(part.paths), members(part.definitions), members(part.parameters)


def _json_whole(
    frame: Any, paths: Iterable[bytes], definitions: Iterable[bytes], parameters: Iterable[bytes]
) -> bytes:
    members = b",".join(paths), b",".join(definitions), b",".join(parameters)
    return b'%s,"paths":{%s},"definitions":{%s},"parameters":{%s}}' % (orjson.dumps(frame)[:-1], *members)


V2_WRITERS: dict[
    str, tuple[Callable[[version_2.GroupVersionDocument], protobuf_v2.Encoded], Callable[..., bytes]]
] = {
    JSON: (_json_part, _json_whole),
    V2_PROTOBUF: (protobuf_v2.part, protobuf_v2.join),
}
"""Media type -> (encoder of a part, function that joins encoded parts into a document)."""

V3_WRITERS: dict[str, Callable[[Any], bytes]] = {JSON: json.dump, V3_PROTOBUF: protobuf_v3.document}
"""Media type -> encoder of a document."""


def _packed(encoded: protobuf_v2.Encoded, uses: tuple[str, ...] = ()) -> bytes:
    """A part as it is kept, with the names of the built-in definitions that it uses."""
    return _compress(marshal.dumps((encoded, uses)))


@record
class Joined:
    """The members of all parts by name, a later one before an earlier one,
    and the built-in definitions that they use."""

    members: protobuf_v2.Encoded
    uses: set[str]

    def document(self, built_in: bytes, join: Callable[..., bytes]) -> bytes:
        """The compressed document, each map in the order of its names; `join` makes it of its parts."""
        encoded, _ = marshal.loads(gzip.decompress(built_in))  # noqa: S302 -- dumped by this process
        maps = (below | own for below, own in zip(encoded, self.members, strict=True))
        return _compress(join(version_2.FRAME, *([of[name] for name in sorted(of)] for of in maps)))


def _gathered(parts: list[bytes]) -> Joined:
    """Take parts as they are kept together."""
    joined = Joined(({}, {}, {}), set())
    for packed in parts:
        encoded, uses = marshal.loads(gzip.decompress(packed))  # noqa: S302 -- dumped by this process
        joined.uses.update(uses)
        for found, more in zip(joined.members, encoded, strict=True):
            found |= more
    return joined


def _merged(
    write: Callable[[version_2.GroupVersionDocument], protobuf_v2.Encoded],
    remote: list[Packed],
    own: Callable[[str], Any],
) -> bytes:
    """The part that aggregated servers add to a version 2 document;
    a server whose document cannot be used adds none."""
    parts: list[AggregatedDocument] = []
    for packed in remote:
        try:
            part = unpack(packed)
            write(version_2.deduplicated(*part))  # what cannot be written is found here, alone
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
            why = f"{type(err).__name__}: {err}"
            log.warning("The OpenAPI document of an aggregated server is left out", err=why)
        else:
            parts.append(part)
    return _packed(write(version_2.deduplicated(*merge(parts, own))))


def _date(moment: datetime) -> str:
    from email.utils import format_datetime

    return format_datetime(moment, usegmt=True)


def _form(accept: str | None, forms: Mapping[str, str]) -> str | None:
    """The Content-Type of the most preferred media range that a form matches; parameters are ignored."""
    for clause in parse_accept(accept or "*/*"):
        for accepted, written in forms.items():
            kind, _, subtype = accepted.partition("/")
            if clause.type in (kind, "*") and clause.subtype in (subtype, "*"):
                return written
    return None


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.split(","):
        name, _, weight = part.replace(" ", "").partition(";")
        if name == "gzip":
            return weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def matches(request: Request, tag: str) -> bool:
    """Whether If-None-Match contains the ETag,
    by weak comparison (RFC 9110 13.1.2, Go's http.ServeContent)."""
    given = request.headers.get("if-none-match", "").strip()
    if not given or request.method not in ("GET", "HEAD"):
        return False
    if given == "*":
        return True
    return any(part.strip().removeprefix("W/") == f'"{tag}"' for part in given.split(","))
