"""What the verb handlers work with, and the steps that several of them share."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from pilothouse import errors
from pilothouse.admission.chain import AdmissionAttributes, Chain
from pilothouse.api import codec, depth, managed, meta
from pilothouse.api.convert import kinds as convert
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.equality import identity
from pilothouse.api.fields import Object
from pilothouse.api.identity import AuthorizationAttributes
from pilothouse.authz import escalation
from pilothouse.authz.authorizer import Authorizer, forbidden
from pilothouse.authz.escalation import Escalation
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.metrics import WatchMetrics
from pilothouse.endpoints.params import WriteParams
from pilothouse.endpoints.response import Responder
from pilothouse.offload import Offload
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, Validate
from pilothouse.registry.strategy import Strategy, WriteContext

MANAGER_LIMIT = 128

AGENT_LIMIT = 4096
"""Characters of a user agent among which the printable ones of a field manager are looked for."""


@dataclass(slots=True)
class Verbs:
    """The rooms below the verbs; built once by app.py."""

    store: Store
    catalog: Catalog
    readers: Readers
    admission: Chain
    authorizer: Authorizer
    responder: Responder
    services: Any
    escalation: Escalation
    offload: Offload
    watch_metrics: WatchMetrics
    watch_timeout: float = 1800.0


def strategy_of(ctx: Context, resource: Resource) -> Strategy:
    """The rules in force: the subresource's when the request goes to one."""
    sub = ctx.subresource
    return sub.strategy if sub is not None and sub.strategy is not None else resource.strategy


def write_context(
    verbs: Verbs, ctx: Context, resource: Resource, params: WriteParams, name: str
) -> WriteContext:
    """What the hooks of a write may know."""
    info = ctx.info
    return WriteContext(
        user=ctx.user,
        verb=info.verb,
        resource=resource,
        namespace=info.namespace if resource.namespaced else "",
        name=name,
        subresource=info.subresource,
        dry_run=params.dry_run,
        now=meta.now(),
        readers=verbs.readers,
        services=verbs.services,
        work=ctx.work,
    )


def admission_attributes(
    verbs: Verbs, ctx: Context, resource: Resource, operation: str, name: str, options: Object, dry_run: bool
) -> AdmissionAttributes:
    """AdmissionAttributes without objects; mutate and validate fill those in."""
    info = ctx.info
    namespace = info.namespace
    if not resource.namespaced and resource.group_resource != "namespaces":
        namespace = ""
    elif resource.group_resource == "namespaces":
        namespace = name
    return AdmissionAttributes(
        operation,
        resource,
        info.subresource,
        namespace,
        name,
        None,
        None,
        ctx.user,
        options,
        dry_run,
        verbs.readers,
        services=verbs.services,
        work=ctx.work,
    )


async def admit(
    verbs: Verbs,
    ctx: Context,
    attributes: AdmissionAttributes,
    resource: Resource,
    obj: Object,
    old: Object | None,
) -> None:
    """The mutating half of admission; then, for roles and bindings, that nobody grants more than they hold."""
    attributes.obj, attributes.old = obj, old
    attributes.operation = "CREATE" if old is None else "UPDATE"
    await verbs.admission.mutate(attributes)
    if resource.group == escalation.GROUP and resource.plural in escalation.RESOURCES:
        info = ctx.info
        await verbs.escalation.check(
            ctx.user, resource.plural, info.namespace, info.name, obj=obj, old=old, work=attributes.work
        )


def validator(verbs: Verbs, attributes: AdmissionAttributes) -> Validate:
    """The validating half of admission as the store calls it."""

    async def validate(new: Object, old: Object | None) -> None:
        attributes.obj, attributes.old = new, old
        attributes.operation = "CREATE" if old is None else "UPDATE"
        if not attributes.name:
            attributes.name = new["metadata"].get("name", "")
        await verbs.admission.validate(attributes)

    return validate


def create_authorizer(
    verbs: Verbs, ctx: Context, resource: Resource, name: str
) -> Callable[[], Awaitable[None]]:
    """A PUT or apply that creates needs the right to create as well (handlers withAuthorization)."""
    info = ctx.info
    attributes = AuthorizationAttributes(
        ctx.user,
        "create",
        info.path,
        True,
        resource.group,
        resource.version,
        resource.plural,
        info.subresource,
        info.namespace,
        name,
    )

    async def check() -> None:
        decision = verbs.authorizer.authorize(attributes)
        if isawaitable(decision):
            decision = await decision
        if not decision.allowed:
            raise forbidden(attributes, decision.reason)

    return check


def manager_name(ctx: Context, params: WriteParams) -> str:
    """The field manager: the parameter, else the product name of the user agent, printable and bounded."""
    if params.field_manager:
        return params.field_manager
    out, size = [], 0
    for char in ctx.request.headers.get("user-agent", "")[:AGENT_LIMIT].partition("/")[0]:
        if not char.isprintable():
            continue
        size += len(char.encode())
        if size > MANAGER_LIMIT:
            break
        out.append(char)
    return "".join(out)


def decode_patched(resource: Resource, raw: Object, kept: Object | None = None) -> tuple[Object, list[str]]:
    """A patched object, pruned, in canonical form and with its defaults; _schema.DecodeError when it does not decode.

    `kept` are members of it that the patch left alone and that stay as they are stored, whatever else happens to them:
    they are shared, not decoded anew.
    """
    if resource.codec is not None:
        return resource.codec.decode_value(raw)
    assert resource.type_of is not None
    of = resource.type_of()
    if kept:
        obj, notes = codec.decode_value({n: v for n, v in raw.items() if n not in kept}, of)
        obj = {name: kept.get(name, obj.get(name)) for name in of.fields if name in kept or name in obj}
    else:
        obj, notes = codec.decode_value(raw, of)
    obj["kind"], obj["apiVersion"] = resource.kind, resource.api_version
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    defaults.apply(obj, resource.group, resource.version, resource.kind)
    convert.normalise(obj, resource.group, resource.kind)
    return obj, notes


def match_namespace(ctx: Context, resource: Resource, obj: Object) -> None:
    """The body's namespace is the request's or is filled in from it (rest.EnsureObjectNamespaceMatchesRequestNamespace)."""
    metadata = obj.setdefault("metadata", {})
    wanted = ctx.info.namespace if resource.namespaced else ""
    have = metadata.get("namespace", "")
    if have == wanted:
        return
    if not wanted:
        metadata.pop("namespace", None)
    elif not have:
        metadata["namespace"] = wanted
    else:
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def match_name(obj: Object, name: str, namespace: str) -> None:
    """The body names the object of the URL (handlers checkName)."""
    metadata = obj["metadata"]
    have = metadata.get("name", "")
    if not have:
        raise errors.BadRequest(
            f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    if have != name:
        raise errors.BadRequest(
            f"the name of the object ({have}) does not match the name on the URL ({name})"
        )
    there = metadata.get("namespace", "")
    if namespace and there and there != namespace:
        raise errors.BadRequest(
            f"the namespace of the object ({there}) does not match the namespace on the request ({namespace})"
        )


def dedupe_owners(ctx: Context, obj: Object, after_admission: bool) -> None:
    """Drop owner references that stand there twice, with a warning."""
    refs = obj["metadata"].get("ownerReferences")
    if not refs or len(refs) < 2:
        return
    kept: dict[Hashable, Object] = {}
    doubles: list[str] = []
    for ref in refs:
        same = identity(ref)
        if same in kept:
            doubles.append(ref.get("uid", ""))
        else:
            kept[same] = ref
    if doubles:
        when = " after mutating admission happens" if after_admission else ""
        ctx.warn(
            f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and "
            "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
            + ", ".join(doubles)
        )
        obj["metadata"]["ownerReferences"] = list(kept.values())


def track_fields(
    ctx: Context, resource: Resource, params: WriteParams, live: Object | None, obj: Object, now: str
) -> None:
    """Bring managedFields up to date for a write that is no apply; `live` and `obj` are in the request's version."""
    assert resource.type_of is not None
    managed.update(
        live,
        obj,
        type=resource.type_of(),
        manager=manager_name(ctx, params),
        api_version=resource.api_version,
        subresource=ctx.info.subresource,
        now=now,
        reset=strategy_of(ctx, resource).apply_reset,
        versions=resource.version_of,
    )
    if resource.codec is not None or depth.may_be_deep(resource.type_of()):
        depth.refuse_too_deep(obj["metadata"].get("managedFields"), 2)


def stored_form(resource: Resource, obj: Object) -> Object:
    """The object in the version that is stored."""
    return resource.to_storage(obj) if resource.to_storage is not None else obj


def served_form(resource: Resource, obj: Object) -> Object:
    """The object in the version of the request."""
    return resource.from_storage(obj) if resource.from_storage is not None else obj
