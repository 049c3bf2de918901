"""discovery.k8s.io/v1: endpoint slices."""

from pilothouse.api.validate.common import equal
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import WHOLE_ALONE, Strategy, WriteContext

GROUP = "discovery.k8s.io"


def _prepare(ctx: WriteContext, obj: Object) -> None:
    """Drop deprecatedTopology, which v1 replaces by nodeName and zone."""
    for endpoint in obj.get("endpoints") or ():
        endpoint.pop("deprecatedTopology", None)


def _prepare_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    if not equal(obj.get("endpoints"), old.get("endpoints")):
        _prepare(ctx, obj)


SLICE = Strategy(
    generation_on_create=1,
    generation_fields=(("addressType",), ("endpoints",), ("ports",), ("metadata", "labels")),
    prepare_create=_prepare,
    prepare_update=_prepare_update,
    validate=lambda ctx, obj, errs: rules.discovery.validate_slice(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.discovery.validate_slice_update(obj, old, errs),
    update_order=WHOLE_ALONE,
    warnings=lambda ctx, obj, old: rules.discovery.slice_warnings(obj),
)

RESOURCES = [
    resource(GROUP, "EndpointSlice", "endpointslices", "qgS0xkrxYAI=", SLICE, namespaced=True),
]
