"""Rights that changes of a ResourceClaim's status need beside that to resourceclaims/status (KEP-4817).

Upstream: pkg/registry/resource/utils.go, feature gate DRAResourceClaimGranularStatusAuthorization. The rights
are to subresources that are not served: `resourceclaims/binding` for the allocation and who uses it,
`resourceclaims/driver` with the driver's name for what drivers tell of devices.
"""

from typing import Any

from pilothouse.api.values import names
from pilothouse.api.values.equality import same
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.identity import User
from pilothouse.registry.strategy import WriteContext

BINDING, DRIVER = "binding", "driver"
ASSOCIATED, ARBITRARY = "associated-node:", "arbitrary-node:"
"""Prefixes of verbs: on claims of the node that the caller runs on, and on all claims."""
NODE_NAME = "authentication.kubernetes.io/node-name"
ACCOUNTS = "system:serviceaccount:"


async def permit_status(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
    """Add an error for each right to change the status that the user does not have."""
    if ctx.refusal is None:  # controllers of this server are asked for no rights
        return
    new, before = obj.get("status") or {}, old.get("status") or {}
    if any(
        not same(new.get(name) or None, before.get(name) or None) for name in ("allocation", "reservedFor")
    ):
        why = await ctx.refusal(ctx.verb, BINDING, "", "")
        if why:
            asked = f'resource="resourceclaims/binding", verb="{ctx.verb}"'
            errs.forbidden(
                "status",
                f"changing status.allocation or status.reservedFor requires {asked} permission: {why}",
            )
    drivers = changed_drivers(new.get("devices") or (), before.get("devices") or ())
    if not drivers:
        return
    verbs = [f"{ARBITRARY}{ctx.verb}"]
    if runs_on(ctx.user, node_of(new.get("allocation") or {})):
        verbs.insert(0, f"{ASSOCIATED}{ctx.verb}")
    asked = f'resource="resourceclaims/driver", verb="[{" ".join(verbs)}]"'
    for driver in sorted(drivers):
        first = ""
        for verb in verbs:
            why = await ctx.refusal(verb, DRIVER, ctx.namespace, driver)
            if not why:
                break
            first = first or why
        else:
            errs.forbidden("status", f"changing status.devices requires {asked} permission: {first}")


def changed_drivers(new: Any, old: Any) -> set[str]:
    """The drivers of devices of which something was added, removed or changed."""
    known = {_key(device): device for device in old}
    out = set()
    for device in new:
        before = known.pop(_key(device), None)
        if before is None or not same(device, before):
            out.add(device.get("driver", ""))
    return out | {device.get("driver", "") for device in known.values()}


def _key(device: Object) -> tuple[str, ...]:
    return tuple(device.get(name) or "" for name in ("driver", "pool", "device", "shareID"))


def node_of(allocation: Object) -> str:
    """The node that an allocation names as the only one, "" when it does not."""
    terms: list[Object] = (allocation.get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    if len(terms) != 1 or terms[0].get("matchExpressions"):
        return ""
    fields: list[Object] = terms[0].get("matchFields") or []
    if len(fields) != 1:
        return ""
    (one,) = fields
    values: list[str] = one.get("values") or []
    if (one.get("key"), one.get("operator"), len(values)) != ("metadata.name", "In", 1):
        return ""
    return values[0]


def runs_on(user: User, node: str) -> bool:
    """Whether a user is a service account whose token is bound to this node."""
    if not node or not user.name.startswith(ACCOUNTS) or len(user.name.split(":")) != 4:
        return False
    return user.extra.get(NODE_NAME) == [node] and not names.dns_subdomain(node, False)
