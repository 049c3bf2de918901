"""PATCH: JSON patch, merge patch, strategic merge patch and server-side apply (handlers PatchResource)."""

from typing import Any, NamedTuple, NoReturn

import orjson

from pilothouse import errors
from pilothouse.api import codec, json
from pilothouse.api._schema import DecodeError
from pilothouse.api.changes import apply, patch, strategic
from pilothouse.api.types import depth, scheme
from pilothouse.api.types.go_order import in_go_order
from pilothouse.api.types.wrapping import wrapped
from pilothouse.api.validate.shown import META_MEMBERS
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.yaml import text as yaml
from pilothouse.endpoints.objects.body import decode_on, match_name, match_namespace
from pilothouse.endpoints.objects.scope import RequestScope, Verbs, strategy_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.negotiation import unsupported_media_type
from pilothouse.endpoints.request.params import WriteParams, patch_params
from pilothouse.endpoints.request.redaction import redacted
from pilothouse.gotext import quote
from pilothouse.process.patterns import pattern
from pilothouse.registry.conventions import APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Strategy
from pilothouse.server.request import Response

_OF_FIELD = pattern(r"Go struct field \S+ of")
_READ_AS_YAML = pattern(rb"[:,\[]\s*-?[0-9]+[.eE]|\\u[dD][89a-fA-F]")


class AppliedConfiguration(NamedTuple):
    """An applied configuration as it was sent, and the message about keys that are repeated in it, or ""."""

    value: Object
    repeated: str


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Patch the live object inside the store's read-modify-write loop; apply may create it."""
    kind = patch_type(ctx, resource)
    params = patch_params(ctx.query, kind == APPLY)
    info = ctx.info
    scope = RequestScope(verbs, ctx, resource, params, info.name)
    work = scope.context.work
    await work.enter(len(ctx.request.body))
    await record(ctx, kind)

    async def change(live: Object | None) -> Object:
        # It becomes part of the object, so a retry starts from the body again.
        config = await read_config(ctx) if kind == APPLY else None
        return await scope.write.settle_fields(_made, scope, kind, live, config)

    return await scope.answer(await scope.edit(change, allow_create=kind == APPLY and not info.subresource))


async def record(ctx: Context, kind: str) -> None:
    """Record a patch for audit, as it was sent."""
    audit = ctx.audit
    if audit is not None and audit.request_wanted:
        await decode_on(ctx, kind, audit.request_patch, ctx.request.body, yaml_form=kind == APPLY)


def _made(
    scope: RequestScope, kind: str, current: Object | None, config: AppliedConfiguration | None
) -> Object:
    """The object that a patch, or an applied configuration, makes of the live one;
    errors tell nothing confidential."""
    try:
        return _make(scope, kind, current, config)
    except errors.StatusError as err:
        if scope.resource.confidential:
            raise redacted(err) from None
        raise


def _make(
    scope: RequestScope, kind: str, current: Object | None, config: AppliedConfiguration | None
) -> Object:
    ctx, resource = scope.ctx, scope.resource
    info = ctx.info
    if config is not None:
        obj = _apply(scope, current, config.value)
        check_repeated(ctx, scope.params, config)
    elif current is None:
        raise errors.not_found(resource.group, resource.plural, info.name)
    else:
        obj = patched(ctx, resource, scope.params, kind, current, ctx.request.body)
        scope.write.track(current, obj)
    uid = obj["metadata"].get("uid")
    if current is None and uid:
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise errors.conflict(resource.group, resource.plural, info.name, why)
    match_namespace(ctx, resource, obj)
    match_name(obj, info.name, info.namespace)
    if not resource.conventions.go_types and not obj.get("apiVersion"):
        raise _nameless()
    return obj


def patch_type(ctx: Context, resource: Resource) -> str:
    """The media type of a patch; UnsupportedMediaType."""
    kind = ctx.request.headers.get("content-type", "").partition(";")[0]
    conventions = resource.conventions
    if kind in conventions.patch_types:
        return kind
    if kind in conventions.patch_types_listed_for:
        raise unsupported_media_type(conventions.patch_types)
    raise errors.UnsupportedMediaType("415: Unsupported Media Type", details={})


def patched(
    ctx: Context, resource: Resource, params: WriteParams, kind: str, live: Object, body: bytes
) -> Object:
    """The live object with a patch applied, decoded and defaulted."""
    assert resource.type_of is not None
    strict = params.validation != "Ignore"
    if kind == JSON_PATCH:
        raw, notes = patch.apply_json_patch(live, body, strict=strict)
    elif kind == MERGE_PATCH:
        raw, notes = patch.apply_merge_patch(live, body, strict=strict)
    else:
        raw, notes = strategic.apply_patch(live, body, resource.type_of(), strict=strict)
    if not isinstance(raw, dict):  # a JSON patch or a merge patch can replace the whole document
        _refuse_other(resource, raw)
    try:
        obj, more = _decoded(resource, kind, raw, _shared(strategy_of(ctx, resource), raw, live))
        notes = [*notes, *more] if strict else []
        if notes and params.validation == "Strict":
            raise DecodeError("strict decoding error: " + ", ".join(notes))
    except (DecodeError, codec.Undecodable) as err:
        if kind == STRATEGIC:
            raise _refused(strategic.shown(body), str(err)) from None
        raise _rejected(_as_written(resource, kind, live, body), str(err)) from None
    for note in notes:
        ctx.warn(note)
    return obj


def _shared(strategy: Strategy, obj: Object, live: Object) -> Object:
    """The members that a patch has left as they are, and that need not be decoded again."""
    return {name: live[name] for name in strategy.shared if name in live and obj.get(name) is live[name]}


def _as_written(resource: Resource, kind: str, live: Object, body: bytes) -> Object:
    """A patched document as upstream writes it: members of objects that the patch goes into are sorted, those
    of others stand as Go writes the live object."""
    if resource.conventions.go_types:
        assert resource.type_of is not None
        live = in_go_order(live, resource.type_of())
    else:
        live = json.in_key_order(live)
    apply_patch = patch.apply_json_patch if kind == JSON_PATCH else patch.apply_merge_patch
    document: Object = apply_patch(live, body, strict=False)[0]
    return document


def _decoded(resource: Resource, kind: str, raw: Object, kept: Object) -> tuple[Object, list[str]]:
    """A patched document as an object, and the faults of a strict decoder; `kept` as in
    Resource.decode_value(). Raises DecodeError, codec.Undecodable.

    Upstream merges into sorted keys and so reports faults in that order;
    a document without faults is not sorted.
    """
    if kind == MERGE_PATCH:
        named = raw.get("apiVersion"), raw.get("kind")
        if resource.conventions.go_types and named == (resource.api_version, resource.kind):
            try:
                found = resource.decode_value(raw, kept)
                if not found[1]:
                    return found
            except DecodeError:
                pass
        raw = json.in_key_order(raw)
    if kind == STRATEGIC:
        obj, notes = _decode_converted(resource, raw, kept)
        return obj, sorted(notes)
    if not resource.conventions.go_types:
        if "apiVersion" in raw and raw["apiVersion"] is None:
            codec.kind_of(raw, (resource.group, resource.version, resource.kind))
            raise DecodeError(".apiVersion accessor error: <nil> is of the type <nil>, expected string")
        return resource.decode_value(raw, kept)
    document, unknown = _of_kind(resource, raw)
    obj, notes = resource.decode_value(document, kept if document is raw else None)
    return obj, unknown + notes


def _decode_converted(
    resource: Resource, raw: Object, kept: Object | None = None, *, applied: bool = False
) -> tuple[Object, list[str]]:
    """Decode what upstream converts from an unstructured object, where integers wrap instead of failing;
    DecodeError."""
    try:
        return resource.decode_value(raw, kept, applied)
    except DecodeError:
        if not resource.conventions.go_types or resource.type_of is None:
            raise
        of = resource.type_of()
        try:
            return resource.decode_value(wrapped(raw, of), kept)
        except DecodeError as again:
            err = again
        try:
            strategic.check_shape(raw, of)
        except ValueError as fault:
            raise DecodeError(str(fault)) from None
        # A type that decodes by itself does not know the field that it is in.
        raise DecodeError(_OF_FIELD.sub("Go value of", str(err))) from None


def _refuse_other(resource: Resource, raw: Any) -> NoReturn:
    """Raise the 422 of a patch whose result is not an object."""
    try:
        codec.kind_of(raw, (resource.group, resource.version, resource.kind))
    except codec.Undecodable as err:
        raise _rejected(raw, str(err)) from None
    raise errors.BadRequest(f"Object 'apiVersion' is missing in '{orjson.dumps(raw).decode()}'")


def _of_kind(resource: Resource, raw: Object) -> tuple[Object, list[str]]:
    """A patched document that names its kind, and members that are not known; codec.Undecodable.

    One without an apiVersion is read as upstream's internal type, whose metadata stands at the top.
    """
    expected = resource.group, resource.version, resource.kind
    actual = codec.kind_of(raw, (resource.group, scheme.INTERNAL, resource.kind))
    if actual[1] == scheme.INTERNAL:
        if actual[2] != resource.kind:
            raise codec.Undecodable(scheme.not_registered(resource.group, *actual))
        metadata = {name: raw[name] for name in META_MEMBERS if name in raw}
        unknown = [
            name for name in raw if name not in metadata and name.lower() not in ("apiversion", "kind")
        ]
        return {"metadata": metadata}, [f"unknown field {quote(name)}" for name in unknown]
    if actual != expected:
        codec.check_conversion(raw, actual, expected)
    return raw, []


def _nameless() -> errors.InternalError:
    """Upstream's error for a custom resource of no version."""
    why = "Object 'apiVersion' is missing in 'object has no apiVersion field'"
    return errors.internal(why)


def _rejected(raw: object, why: str) -> errors.Invalid:
    """The 422 of a patch whose result does not decode;
    it shows the whole patched object, as upstream's does."""
    return _refused(orjson.dumps(raw).decode(), why)


def _refused(shown: str, why: str) -> errors.Invalid:
    errs = Errors()
    errs.invalid_object("patch", shown, why)
    return errors.invalid("", "", "", errs.causes)


def _apply(scope: RequestScope, live: Object | None, config: Object) -> Object:
    ctx, resource, params = scope.ctx, scope.resource, scope.params
    assert resource.type_of is not None
    obj = apply.apply(
        live,
        config,
        type=resource.type_of(),
        manager=params.field_manager,
        force=params.force,
        api_version=resource.api_version,
        kind=resource.kind,
        subresource=ctx.info.subresource,
        now=scope.context.now,
        reset=scope.write.strategy.apply_reset,
        versions=scope.write.versions,
    )
    kept = None
    if not resource.conventions.go_types:
        obj = patch.copy(obj)  # an unstructured object is pruned in place, and the live one has parts of it
    elif live is not None:
        kept = _shared(scope.write.strategy, obj, live)
    metadata = config.get("metadata") or {}
    try:
        if resource.conventions.go_types and (why := apply.unreadable(metadata)):
            raise DecodeError(why)
        return _decode_converted(resource, obj, kept, applied=True)[0]
    except DecodeError as err:
        what = f"{resource.group}/{resource.version}, Kind={resource.kind}"
        raise errors.Unknown(
            f"failed to convert new object ({metadata.get('namespace') or ''}/{metadata.get('name') or ''};"
            f" {what}) to proper version: unable to convert unstructured object to {what}: {err}"
        ) from None


def check_repeated(ctx: Context, params: WriteParams, config: AppliedConfiguration) -> None:
    """Refuse repeated keys of an applied configuration, or warn of them; upstream does so last of all."""
    if config.repeated and params.validation == "Strict":
        raise errors.BadRequest(
            f"error strict decoding patch: error converting YAML to JSON: {config.repeated}"
        )
    if config.repeated and params.validation != "Ignore":
        for text in codec.warnings_of(config.repeated):
            ctx.warn(text)


def _read_yaml(body: bytes) -> tuple[Any, str]:
    """The value of YAML, and the message about repeated keys.
    JSON is parsed as JSON unless YAML may read it otherwise.

    It can turn a fraction into an integer, and it refuses surrogates as escapes.
    """
    if body.startswith(b"{") and not _READ_AS_YAML.search(body):
        try:
            value = json.parse(body)
            if not patch.repeated_members(body, value):
                return value, ""
        except json.ScanError:
            pass
    found = yaml.parse(body)
    return found.value, found.strict_error()


async def read_config(ctx: Context) -> AppliedConfiguration:
    """The configuration that a request applies."""
    return await decode_on(ctx, APPLY, apply_config, ctx.request.body)


def apply_config(body: bytes) -> AppliedConfiguration:
    """The applied configuration, YAML or JSON, as it was sent."""
    try:
        value, repeated = _read_yaml(body)
    except (yaml.YAMLError, json.DecodeError) as err:
        raise errors.BadRequest(f"error decoding YAML: error converting YAML to JSON: {err}") from None
    if value is None:
        return AppliedConfiguration({}, repeated)
    if depth.is_too_deep(value):
        raise errors.BadRequest(
            f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {depth.TOO_DEEP}"
        )
    if not isinstance(value, dict):
        raise errors.BadRequest(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
            f"{patch.go_kind(value)} into Go value of type map[string]interface {{}}"
        )
    return AppliedConfiguration(value, repeated)
