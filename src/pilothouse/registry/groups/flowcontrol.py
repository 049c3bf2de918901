"""flowcontrol.apiserver.k8s.io/v1: flow schemas and priority levels."""

from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_ALONE, Path, Strategy, UpdateCheck

GROUP = "flowcontrol.apiserver.k8s.io"

FLOW_SCHEMA = Strategy(
    validate=lambda ctx, obj, errs: rules.flowcontrol.validate_flow_schema(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.flowcontrol.validate_flow_schema_update(obj, old, errs),
    update_order=WHOLE_ALONE,
    **COUNTS_SPEC,
    **STATUS_APART,
)
PRIORITY_LEVEL = Strategy(
    validate=lambda ctx, obj, errs: rules.flowcontrol.validate_priority_level(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.flowcontrol.validate_priority_level_update(
        obj, old, errs
    ),
    update_order=WHOLE_ALONE,
    **COUNTS_SPEC,
    **STATUS_APART,
)
_ALSO_KEPT: tuple[Path, ...] = (("metadata", "deletionGracePeriodSeconds"), ("metadata", "generateName"))
_STATUS_KEEPS = {"keep_on_update": (SPEC, *KEPT_METADATA, *_ALSO_KEPT), "apply_reset": (META, SPEC)}
"""Upstream's status takes the whole metadata of the stored object."""

RESOURCES = [
    resource(
        GROUP,
        "FlowSchema",
        "flowschemas",
        "GJVAJZSZBIw=",
        FLOW_SCHEMA,
        status=status_strategy(
            FLOW_SCHEMA,
            lambda ctx, obj, old, errs: rules.flowcontrol.validate_conditions_status(obj, old, errs),
            update_order=(UpdateCheck.RULES,),
            **_STATUS_KEEPS,
        ),
    ),
    resource(
        GROUP,
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "Kir5PVfvNeI=",
        PRIORITY_LEVEL,
        status=status_strategy(
            PRIORITY_LEVEL,
            lambda ctx, obj, old, errs: rules.flowcontrol.validate_conditions_status(obj, old, errs),
            update_order=(UpdateCheck.RULES,),
            **_STATUS_KEEPS,
        ),
    ),
]
