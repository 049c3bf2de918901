"""autoscaling/v2 horizontal pod autoscalers, and v1 as a converted form of the same stored objects."""

from typing import Any

from pilothouse.api.convert.kinds import convert
from pilothouse.registry.conversion import Conversion
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import STATUS_APART, resource, status_strategy
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Strategy

GROUP, KIND = "autoscaling", "HorizontalPodAutoscaler"

AUTOSCALER = Strategy(
    validate=lambda ctx, obj, errs: rules.autoscaling.validate_autoscaler(obj, None, errs),
    validate_update=lambda ctx, obj, old, errs: rules.autoscaling.validate_autoscaler(obj, old, errs),
    **STATUS_APART,
)
AUTOSCALER_STATUS = status_strategy(
    AUTOSCALER, lambda ctx, obj, old, errs: rules.autoscaling.validate_autoscaler_status(obj, old, errs)
)

_VERSIONS: dict[str, Resource] = {}


def _record(version: str, **more: Any) -> Resource:
    return resource(
        GROUP,
        KIND,
        "horizontalpodautoscalers",
        "qwQve8ut294=",
        AUTOSCALER,
        version=version,
        namespaced=True,
        short_names=("hpa",),
        categories=("all",),
        status=AUTOSCALER_STATUS,
        siblings=_VERSIONS,
        **more,
    )


V2 = _record("v2")
V1 = _record(
    "v1",
    storage=V2,
    conversion=Conversion(
        present=lambda obj: convert(obj, KIND, GROUP, "v1"),
        store=lambda obj: convert(obj, KIND, GROUP, "v2"),
    ),
)
_VERSIONS.update({record.api_version: record for record in (V1, V2)})

RESOURCES = [V2, V1]
