"""Binding and evicting a pod: what these requests check and write
(upstream's pod BindingREST and EvictionREST)."""

from dataclasses import replace

import orjson

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.registry import deletion
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.groups.core import subresources as rules
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Strategy
from pilothouse.registry.write import Write

EVICTION_ATTEMPTS = 20


async def bind(write: Write, catalog: Catalog, binding: Object) -> None:
    """Give a pod its node. `write` is that of the binding, either `pods/binding` or `bindings`."""
    pods = catalog.get("", "v1", "pods")
    assert pods is not None
    name = binding["metadata"].get("name", "")
    if write.context.subresource and name != write.context.name:
        raise errors.BadRequest("name in URL does not match name in Binding object")
    binding = await write.mutate(binding, None)
    rules.check_binding(binding)
    part = _part(write, pods, name, rules.BINDING)

    async def make(live: Object | None) -> Object:
        assert live is not None
        await write.validate(binding, None)
        rules.apply_binding(part.context, live, binding)
        return live

    await part.update(make)


async def evict(write: Write, catalog: Catalog, eviction: Object) -> None:
    """Delete a pod if its disruption budgets allow it; `write` is that of the eviction."""
    context, resource = write.context, write.resource
    namespace, name = context.namespace, context.name
    if eviction["metadata"].get("name", "") != name:
        raise errors.BadRequest("name in URL does not match name in Eviction object")
    eviction = await write.mutate(eviction, None)
    await write.validate(eviction, None)
    options = dict(eviction.get("deleteOptions") or {})
    if context.dry_run:
        options["dryRun"] = ["All"]
    given = options.get("preconditions") or {}
    fixed = any(given.get(member) is not None for member in ("uid", "resourceVersion"))
    charged = ""
    for _ in range(EVICTION_ATTEMPTS):
        pod = orjson.loads(write.store.find(resource, namespace, name).value)
        attempt = dict(options)
        budget = rules.evict(context.readers, namespace, pod, attempt, context.now)
        if budget is not None and not context.dry_run and not await _charge(write, catalog, budget):
            charged = budget["metadata"]["name"]
            continue
        try:
            await _mark(write, attempt)
            await deletion.delete(_part(write, resource, name), attempt)
        except errors.Conflict:
            if fixed or "preconditions" not in attempt:
                raise
            continue  # the pod has changed since it was judged
        return
    raise errors.Timeout(
        f"Timeout: couldn't update PodDisruptionBudget {quote(charged)} due to conflicts",
        details={"retryAfterSeconds": 10},
        headers=[("Retry-After", "10")],
    )


async def _mark(write: Write, options: Object) -> None:
    """Tell in the pod's status that it is evicted, unless nothing is to be written;
    Conflict by the preconditions of `options`.

    One of the resourceVersion becomes the version that this has made (addConditionAndDeletePod).
    """
    resource = write.resource
    if write.context.dry_run:
        return
    part = _part(write, resource, write.context.name, resource.subresources["status"].strategy)
    part.context.undo = []

    async def make(live: Object | None) -> Object:
        assert live is not None
        deletion.check(resource, live, options)
        rules.mark_evicted(live, part.context.now)
        return live

    written = await part.update(make)
    wanted = options.get("preconditions") or {}
    if wanted.get("resourceVersion"):
        version = orjson.loads(written.value)["metadata"]["resourceVersion"]
        options["preconditions"] = {**wanted, "resourceVersion": version}


async def _charge(write: Write, catalog: Catalog, budget: Object) -> bool:
    """Write a budget's status with one disruption less; False when it has been written meanwhile."""
    budgets = catalog.get("policy", "v1", "poddisruptionbudgets")
    assert budgets is not None
    part = _part(write, budgets, budget["metadata"]["name"], budgets.subresources["status"].strategy)
    part.context.undo = []

    async def make(live: Object | None) -> Object:
        # Each attempt has the version that was charged.
        return {**budget, "metadata": dict(budget["metadata"])}

    try:
        await part.update(make)
    except errors.Conflict:
        return False
    return True


def _part(write: Write, resource: Resource, name: str, strategy: Strategy | None = None) -> Write:
    """A write that carries out what the request asks for; it passes no admission of its own."""
    context = replace(write.context, resource=resource, name=name)
    return Write(write.store, resource, context, strategy=strategy)
