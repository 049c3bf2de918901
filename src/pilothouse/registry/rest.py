"""Applies a kind's rules to an object before it is written
(apiserver registry/rest BeforeCreate, BeforeUpdate)."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from pilothouse import errors
from pilothouse.api import codec, meta
from pilothouse.api.types.semantic import same_meaning
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.metrics._instruments import Distribution
from pilothouse.registry.object_metrics import EQUAL, UNEQUAL_FAST, UNEQUAL_SLOW
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Path, Permit, Strategy, UpdateCheck, WriteContext
from pilothouse.storage.keys import PREFIX

log = Logger(__name__)

_RULES, _ANEW = UpdateCheck.RULES, UpdateCheck.ANEW
"""PERF: Python 3.11 takes long to find a member of an enumeration."""


def dig(obj: Any, path: Path) -> Any:
    """The member at a path, None when any step is absent."""
    for name in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(name)
    return obj


def put(obj: Object, path: Path, value: Any) -> None:
    """Set (or with None drop) the member at a path, making the steps to it."""
    *head, last = path
    for name in head:
        step = obj.get(name)
        if not isinstance(step, dict):
            if value is None:
                return
            step = obj[name] = {}
        obj = step
    if value is None:
        obj.pop(last, None)
    else:
        obj[last] = value


def check_uid(resource: Resource, ctx: WriteContext, wanted: str, found: str) -> None:
    """The UID of a PUT body is a precondition (storage.Preconditions)."""
    if wanted and wanted != found:
        stored = resource.storage or resource
        key = stored.key(ctx.namespace, ctx.name)
        if ctx.dry_run:  # it never reaches the storage that puts the prefix before the key
            key = key.removeprefix(PREFIX)
        why = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg:"
            f" Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        )
        raise errors.conflict(resource.group, resource.plural, ctx.name, why)


def _apply_metadata_part(
    part: UpdateCheck,
    resource: Resource,
    strategy: Strategy,
    obj: Object,
    old: Object,
    errs: Errors,
    *,
    again: bool,
) -> None:
    """Apply one part of the rules for an update that is about the metadata; `again`:
    it has faults, which are reported once more."""
    if part is UpdateCheck.METADATA_CHANGE:
        if again:
            meta.validate_update(obj, old, errs)
    elif again or obj["metadata"].get("generateName"):  # the shared rules know no kind's names
        meta.validate_create(obj, resource.namespaced, strategy.name_check, errs)
    if part in strategy.finalizer_checks and obj["metadata"].get("finalizers"):
        meta.validate_finalizer_names(obj, errs)


def _zero(resource: Resource, path: Path) -> Any:
    """The value at a path of an object in which nothing was set:
    some members of a status are always written."""
    stored = resource.storage or resource
    if stored.type_of is None or not stored.conventions.go_types:
        return None
    return dig(codec.prune({}, stored.type_of()), path)


def match_namespace(metadata: Object, namespace: str) -> None:
    """The namespace of an object is that of the request, "" for none, or is filled in from it; BadRequest.

    Upstream: rest.EnsureObjectNamespaceMatchesRequestNamespace.
    """
    have = metadata.get("namespace", "")
    if have == namespace:
        return
    if not namespace:
        metadata.pop("namespace", None)
    elif not have:
        metadata["namespace"] = namespace
    else:
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def before_create(resource: Resource, ctx: WriteContext, strategy: Strategy, obj: Object) -> None:
    """Prepare and validate a new object (rest.BeforeCreate)."""
    metadata = obj["metadata"]
    metadata.pop("selfLink", None)
    match_namespace(metadata, ctx.namespace)
    for path in strategy.reset_on_create:
        put(obj, path, _zero(resource, path))
    if strategy.generation_on_create:
        metadata["generation"] = strategy.generation_on_create
    tracked = metadata.pop("managedFields", None)
    if tracked is not None:  # the last, as updates put them: changes of order take space in a history
        metadata["managedFields"] = tracked
    if strategy.prepare_create is not None:
        strategy.prepare_create(ctx, obj)
    errs = Errors()
    if not strategy.metadata_last:
        _validate_metadata(resource, strategy, obj, errs)
    if strategy.validate is not None:
        strategy.validate(ctx, obj, errs)
    if strategy.metadata_last and not errs:
        _validate_metadata(resource, strategy, obj, errs)
    stored = resource.storage or resource
    errs.raise_if_any(stored.group, stored.kind, metadata.get("name", ""))
    if strategy.canonicalize is not None:
        strategy.canonicalize(obj)
    if strategy.warnings is not None:
        ctx.warnings.extend(strategy.warnings(ctx, obj, None))


def _validate_metadata(resource: Resource, strategy: Strategy, obj: Object, errs: Errors) -> None:
    """Validate the metadata of a new object."""
    meta.validate_create(obj, resource.namespaced, strategy.name_check, errs)
    if strategy.finalizer_checks and obj["metadata"].get("finalizers"):
        meta.validate_finalizer_names(obj, errs)


def before_update(
    resource: Resource, ctx: WriteContext, strategy: Strategy, obj: Object, old: Object
) -> None:
    """Prepare and validate a changed object (rest.BeforeUpdate)."""
    metadata, live = obj["metadata"], old["metadata"]
    if not ctx.dry_run:  # upstream drops it when it stores the object
        metadata.pop("selfLink", None)
    match_namespace(metadata, ctx.namespace)
    generation = live.get("generation")
    if generation is not None:
        metadata["generation"] = generation
    else:
        metadata.pop("generation", None)
    for path in strategy.keep_on_update:
        put(obj, path, dig(old, path))
    if strategy.prepare_update is not None:
        strategy.prepare_update(ctx, obj, old)
    fields = strategy.generation_fields
    if fields and any(_differs(resource, obj, old, path) for path in fields):
        metadata["generation"] = (generation or 0) + 1
    if not metadata.get("uid"):
        metadata["uid"] = live.get("uid", "")
    if live.get("creationTimestamp"):
        metadata["creationTimestamp"] = live["creationTimestamp"]
    if live.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = live["deletionTimestamp"]
    if (
        live.get("deletionGracePeriodSeconds") is not None
        and metadata.get("deletionGracePeriodSeconds") is None
    ):
        metadata["deletionGracePeriodSeconds"] = live["deletionGracePeriodSeconds"]
    errs = Errors()
    meta.validate_create(obj, resource.namespaced, names.path_segment, errs)
    meta.validate_update(obj, old, errs, checked=not errs)
    again = bool(errs)
    told = again or metadata.get("generateName") or metadata.get("finalizers")
    for part in strategy.update_order:
        if part is _RULES:
            if strategy.validate_update is not None:
                strategy.validate_update(ctx, obj, old, errs)
        elif part is _ANEW:
            if strategy.validate_anew is not None:
                strategy.validate_anew(ctx, obj, old, errs)
        elif told:  # PERF: the shared rules know nothing else of metadata that they find no fault in
            _apply_metadata_part(part, resource, strategy, obj, old, errs, again=again)
    stored = resource.storage or resource
    errs.raise_if_any(stored.group, stored.kind, metadata.get("name", ""))
    if strategy.canonicalize is not None:
        strategy.canonicalize(obj)
    if strategy.warnings is not None:
        ctx.warnings.extend(strategy.warnings(ctx, obj, old))


def settle_update(
    resource: Resource,
    ctx: WriteContext,
    strategy: Strategy,
    obj: Object,
    old: Object,
    compared: Mapping[str, Distribution],
) -> None:
    """Bring a changed object to the form that validating admission judges and that is stored.

    `compared` counts the seconds of the search for changes (ObjectMetrics.compared).
    """
    before_update(resource, ctx, strategy, obj, old)
    drop_empty(resource, obj)
    began = perf_counter()
    path = _keep_times(obj, old)
    compared[path].observe(perf_counter() - began)


async def permit_update(
    resource: Resource, ctx: WriteContext, permit: Permit, obj: Object, old: Object
) -> None:
    """Refuse a change that needs rights which the user does not have, as invalid as upstream does;
    Invalid."""
    errs = Errors()
    await permit(ctx, obj, old, errs)
    stored = resource.storage or resource
    errs.raise_if_any(stored.group, stored.kind, obj["metadata"].get("name", ""))


def _differs(resource: Resource, obj: Object, old: Object, path: Path) -> bool:
    """Whether a member changed in what it means: quantities that are written otherwise are the same."""
    new, before = dig(obj, path), dig(old, path)
    if new == before:
        return False
    stored = resource.storage or resource
    if stored.type_of is None or not stored.conventions.go_types:
        return True
    type_ = stored.type_of()
    for name in path:
        type_ = type_.fields[name].type
    return not same_meaning(type_, new, before)


def drop_empty(resource: Resource, obj: Object) -> None:
    """Drop empty members that storage does not keep."""
    stored = resource.storage or resource
    if stored.type_of is not None and stored.conventions.go_types:
        codec.drop_empty(obj, stored.type_of())


def version_error(text: str) -> str:
    """The fault in a resourceVersion in an object, "" when there is none."""
    if not text.isascii() or not text.isdigit():
        return f"strconv.ParseUint: parsing {quote(text)}: invalid syntax"
    too_big = len(text) > 100 or int(text) >= 2**64
    return f"strconv.ParseUint: parsing {quote(text)}: value out of range" if too_big else ""


def _keep_times(obj: Object, old: Object) -> str:
    """Keep the times of managed fields when nothing else changed, so that the object counts as unchanged.

    The answer is how that was found out,
    as the metrics call it (fieldmanager IgnoreManagedFieldsTimestampsTransformer).
    """
    new, live = obj["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if not new or not live or new == live or len(new) != len(live):
        return UNEQUAL_FAST
    for one, two in zip(new, live, strict=True):
        if {**one, "time": None} != {**two, "time": None}:
            return UNEQUAL_FAST
    obj["metadata"]["managedFields"] = live
    if obj == old:
        return EQUAL
    obj["metadata"]["managedFields"] = new
    return UNEQUAL_SLOW


def vanishes(strategy: Strategy, obj: Object, old: Object) -> bool:
    """Whether an update took the last finalizer off an object that is being deleted, and so removes it."""
    live = old["metadata"]
    if obj["metadata"].get("finalizers") or not live.get("deletionTimestamp"):
        return False
    if live.get("deletionGracePeriodSeconds"):
        return False
    return strategy.may_vanish is None or strategy.may_vanish(obj)


async def undo(ctx: WriteContext, keep: int = 0) -> None:
    """Give back what hooks and plugins have reserved,
    the latest first, down to the first `keep` reservations."""
    while len(ctx.undo) > keep:
        try:
            waiting = ctx.undo.pop()()
            if waiting is not None:
                await waiting
        except Exception:
            log.exception("A reservation of a write that did not happen was not given back")
