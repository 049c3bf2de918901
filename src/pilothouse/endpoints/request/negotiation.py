"""Chooses the media type and kind of an answer from the Accept header (apiserver handlers/negotiation).

Upstream checks twice. The router (`acceptable`) requires that one listed type is among those that the route
produces. The handler (`negotiate`) takes the best clause whose parameters the endpoint allows. Requests for
built-in resources pass both checks, those for custom resources only the second.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from pilothouse.api.values._requestinfo import parse_query
from pilothouse.caches import Memo
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import first
from pilothouse.errors import NotAcceptable, UnsupportedMediaType
from pilothouse.registry.resource import Resource

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

FORMATS = {JSON: "json", YAML: "yaml", PROTOBUF: "protobuf"}
PRODUCES = tuple(FORMATS)
STREAMS = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
LIST_PRODUCES = PRODUCES + STREAMS

META_GROUP = "meta.k8s.io"
META_VERSIONS = ("v1", "v1beta1")
TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
DISCOVERY_TARGET = ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList")

Target = tuple[str, str, str]
"""Group, version and kind into which a clause asks for the answer to be converted."""

CACHE_LIMIT, CACHED_LIMIT = 1024, 512
"""Accept headers whose outcome a negotiator keeps before it clears them,
and the longest that it keeps (characters)."""

ACCEPT_LIMIT, RANGES_LIMIT = 4096, 100
"""Characters and media ranges of an Accept header that are evaluated; the rest is ignored."""


class Clause(NamedTuple):
    """One media range of an Accept header."""

    type: str
    subtype: str
    q: float
    params: dict[str, str]


class Media(NamedTuple):
    """The negotiated representation.

    `format` is json, yaml or protobuf. `transform` is the kind to convert to, with its `version` and `group`;
    "" for none. `pretty` is set by the clause's parameter `pretty=1`; `profile` is a parameter of aggregated
    discovery.
    """

    format: str
    content_type: str
    transform: str = ""
    version: str = ""
    group: str = ""
    pretty: bool = False
    profile: str = ""


PLAIN_JSON = Media("json", JSON)


def parse_accept(header: str) -> list[Clause]:
    """The clauses, most preferred first, without malformed ones (goautoneg.ParseAccept)."""
    clauses: list[Clause] = []
    for part in _ranges(header):
        clause = _parse_clause(part)
        if clause is None:
            continue
        # Upstream sorts by insertion. The relation is not transitive, so sorted() would give another order.
        at = len(clauses)
        while at and _before(clause, clauses[at - 1]):
            at -= 1
        clauses.insert(at, clause)
    return clauses


def _ranges(header: str) -> list[str]:
    """The media ranges of a header within ACCEPT_LIMIT and RANGES_LIMIT."""
    if len(header) > ACCEPT_LIMIT:
        header = header[:ACCEPT_LIMIT].rpartition(",")[0]
    return header.split(",", RANGES_LIMIT)[:RANGES_LIMIT]


def _parse_clause(part: str) -> Clause | None:
    media, *rest = part.strip().split(";")
    kind, _, subtype = media.partition("/")
    kind, subtype = kind.strip(), subtype.strip()
    if "/" in subtype or (not subtype and kind != "*"):
        return None
    params: dict[str, str] = {}
    q = 1.0
    for item in rest:
        name, _, value = item.partition("=")
        if not value or "=" in value:
            continue
        if name.strip() == "q":
            q = _quality(value)
        else:
            params[name.strip()] = value.strip()
    return Clause(kind, subtype or "*", q, params)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _before(a: Clause, b: Clause) -> bool:
    if a.q > b.q:
        return True
    return (a.type != "*" and b.type == "*") or (a.subtype != "*" and b.subtype == "*")


def acceptable(accept: str | None, produces: Iterable[str] = PRODUCES) -> None:
    """The router's check, which ignores weights and parameters; raises its 406 (go-restful's detectRoute)."""
    if not accept:
        return
    produces = tuple(produces)
    for part in _ranges(accept):
        media = part.partition(";")[0].strip(" ")
        if media == "*/*" or media in produces:
            return
    raise NotAcceptable(
        f"406: Not Acceptable\n\nAvailable representations: {', '.join(produces)}", details={}
    )


def _choose(header: str, allows: Callable[[str, Target | None], bool], server_version: str) -> Media | None:
    for clause in parse_accept(header):
        for content_type, form in FORMATS.items():
            if not _matches(clause, content_type):
                continue
            media = _accept(clause.params, form, content_type, allows, server_version)
            if media is not None:
                return media
    return None


def _matches(clause: Clause, content_type: str) -> bool:
    kind, _, subtype = content_type.partition("/")
    if clause.type == kind:
        return clause.subtype in (subtype, "*")
    return clause.type == "*" and clause.subtype == "*"


def _accept(
    params: dict[str, str],
    form: str,
    content_type: str,
    allows: Callable[[str, Target | None], bool],
    server_version: str,
) -> Media | None:
    stream = params.get("stream", "")
    if stream and (stream != "watch" or form == "yaml"):
        return None
    if params.get("sv", server_version) != server_version:
        return None
    target: Target | None = None
    if "as" in params or "g" in params or "v" in params:
        target = (params.get("g", ""), params.get("v", ""), params.get("as", ""))
    if not allows(form, target):
        return None
    group, version, kind = target or ("", "", "")
    return Media(
        form,
        content_type,
        transform=kind,
        version=version,
        group=group,
        pretty=params.get("pretty") == "1",
        profile=params.get("profile", ""),
    )


def _any_meta(form: str, target: Target | None) -> bool:
    return _partial_only(form, target) or _is_table(form, target)


def _partial_only(form: str, target: Target | None) -> bool:
    return target is None or (_is_meta(target) and target[2] in (PARTIAL, PARTIAL_LIST))


def _no_protobuf(form: str, target: Target | None) -> bool:
    return form != "protobuf" if target is None else _any_meta(form, target)


def _none(form: str, target: Target | None) -> bool:
    return target is None


def _aggregated(form: str, target: Target | None) -> bool:
    return target == DISCOVERY_TARGET


def _is_table(form: str, target: Target | None) -> bool:
    return target is not None and form != "protobuf" and target[2] == TABLE and _is_meta(target)


def _is_meta(target: Target) -> bool:
    return target[0] == META_GROUP and target[1] in META_VERSIONS


class _Negotiator:
    """Negotiates for one type of endpoint and remembers the outcome for each Accept header."""

    __slots__ = ("allows", "cache", "server_version")

    def __init__(self, allows: Callable[[str, Target | None], bool], server_version: str = "") -> None:
        self.allows = allows
        self.server_version = server_version
        self.cache: dict[str, Media | None] = {}
        Memo("accept", CACHED_LIMIT, CACHE_LIMIT, lambda: len(self.cache))

    def __call__(self, header: str) -> Media | None:
        try:
            return self.cache[header]
        except KeyError:
            pass
        media = _choose(header, self.allows, self.server_version)
        if len(header) <= CACHED_LIMIT:
            if len(self.cache) >= CACHE_LIMIT:
                self.cache.clear()
            self.cache[header] = media
        return media


_objects_or_tables = _Negotiator(_any_meta, "v1")
_objects = _Negotiator(_partial_only, "v1")
_unstructured = _Negotiator(_no_protobuf, "v1")
_plain = _Negotiator(_none)
_discovery = _Negotiator(_aggregated)


def negotiate(
    accept: str | None, *, stream: bool = False, tables: bool = True, protobuf: bool = True
) -> Media:
    """The representation for a resource endpoint; raises the handler's 406.

    `stream` is True for a watch, which cannot be YAML. `tables` is False where the answer cannot be a Table
    (reviews, bindings, tokens), `protobuf` is False where the objects have no protobuf form.
    """
    if not accept:
        return PLAIN_JSON
    media = (_unstructured if not protobuf else _objects_or_tables if tables else _objects)(accept)
    if media is None:
        raise not_acceptable()
    if stream:
        if media.format == "yaml":
            raise not_acceptable(STREAMS)
        if media.format != "json":
            return media._replace(content_type=f"{media.content_type};stream=watch")
    return media


def pass_router(ctx: Context, resource: Resource) -> None:
    """The router's check of `Accept` (NotAcceptable); the handler behind it warns of a deprecated version."""
    accept = ctx.request.headers.get("accept")
    if accept and accept != JSON:
        collection = not ctx.info.name and ctx.request.method == "GET"
        acceptable(accept, LIST_PRODUCES if collection else PRODUCES)
    if resource.deprecated:
        ctx.warn(resource.deprecated)


def negotiation_for(ctx: Context, resource: Resource, *, tables: bool = True) -> None:
    """Set `ctx.media` for a request to a resource; raises the handler's 406."""
    accept = ctx.request.headers.get("accept")
    if not accept or accept == JSON:
        ctx.media = PLAIN_JSON
        return
    ctx.media = negotiate(
        accept,
        stream=ctx.info.verb == "watch",
        tables=tables and resource.verbs != ("create",),
        protobuf=resource.conventions.protobuf,
    )


def negotiate_plain(accept: str | None) -> Media:
    """The representation where no conversion is allowed: plain discovery and reviews."""
    if not accept:
        return PLAIN_JSON
    media = _plain(accept)
    if media is None:
        raise not_acceptable()
    return media


def negotiate_discovery(accept: str | None) -> Media | None:
    """The aggregated form if any clause asks for it, whatever the weights of the others; else None."""
    if not accept:
        return None
    media = _discovery(accept)
    if media is None:
        return None
    return media._replace(
        content_type=f"{media.content_type};g={media.group};v={media.version};as={media.transform}"
    )


def negotiate_error(accept: str | None) -> Media:
    """The format of a Status: the requested one if it is supported, else JSON; never raises."""
    if not accept:
        return PLAIN_JSON
    return _plain(accept) or PLAIN_JSON


def not_acceptable(accepted: Iterable[str] = PRODUCES) -> NotAcceptable:
    """The handler's 406."""
    return NotAcceptable(f"only the following media types are accepted: {', '.join(accepted)}")


def unsupported_media_type(accepted: Iterable[str] = PRODUCES) -> UnsupportedMediaType:
    """The 415 for a body in an unsupported format."""
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )


def wants_pretty(query: str, user_agent: str = "") -> bool:
    """Whether JSON is indented: as the `pretty` parameter says, else for curl, wget and browsers.

    `query` is the raw query string. The parameter's first value counts; one that is not a boolean means
    false.
    """
    if "pretty" in query:
        value = first(parse_query(query), "pretty")
        if value:
            return value in ("1", "t", "T", "TRUE", "true", "True")
    return user_agent.startswith(("curl", "Wget", "Mozilla/5.0"))


def encode(document: Any, media: Media, *, pretty: bool = False) -> bytes:
    """Encode a small document (discovery, a Status) in the negotiated format."""
    if media.format == "yaml":
        from pilothouse.api.yaml import text as yaml

        return yaml.dump(document)
    if media.format == "protobuf":
        from pilothouse.api.protobuf import writer as protobuf_writer

        return protobuf_writer.dump(document)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 if pretty else orjson.OPT_APPEND_NEWLINE)
