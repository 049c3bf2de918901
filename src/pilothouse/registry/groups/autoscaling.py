"""autoscaling/v2 horizontal pod autoscalers, and v1 as another face of them."""

from pilothouse.registry.groups.records import STATUS_APART, resource, status_strategy
from pilothouse.registry.strategy import Strategy

GROUP = "autoscaling"

AUTOSCALER = Strategy(**STATUS_APART)
AUTOSCALER_STATUS = status_strategy(AUTOSCALER)


def _record(version: str, **more):
    return resource(
        GROUP,
        version,
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "qwQve8ut294=",
        AUTOSCALER,
        namespaced=True,
        short_names=("hpa",),
        categories=("all",),
        status=AUTOSCALER_STATUS,
        **more,
    )


V2 = _record("v2")
V1 = _record("v1", storage=V2)

RESOURCES = [V2, V1]
