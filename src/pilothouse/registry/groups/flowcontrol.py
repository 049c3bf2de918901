"""flowcontrol.apiserver.k8s.io/v1: flow schemas and priority levels."""

from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy

GROUP = "flowcontrol.apiserver.k8s.io"

FLOW_SCHEMA = Strategy(**COUNTS_SPEC, **STATUS_APART)
PRIORITY_LEVEL = Strategy(**COUNTS_SPEC, **STATUS_APART)
_STATUS_KEEPS = {"keep_on_update": (SPEC, *KEPT_METADATA), "apply_reset": (META, SPEC)}

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "FlowSchema",
        "flowschemas",
        "GJVAJZSZBIw=",
        FLOW_SCHEMA,
        status=status_strategy(FLOW_SCHEMA, **_STATUS_KEEPS),
    ),
    resource(
        GROUP,
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "Kir5PVfvNeI=",
        PRIORITY_LEVEL,
        status=status_strategy(PRIORITY_LEVEL, **_STATUS_KEEPS),
    ),
]
