"""flowcontrol.apiserver.k8s.io/v1: flow schemas and priority levels."""

from pilothouse.api.validate import flowcontrol as rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    on_create,
    on_update,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_ALONE, Strategy, UpdateCheck

GROUP = "flowcontrol.apiserver.k8s.io"

FLOW_SCHEMA = Strategy(
    validate=on_create(rules.validate_flow_schema),
    validate_update=on_update(rules.validate_flow_schema_update),
    update_order=WHOLE_ALONE,
    **COUNTS_SPEC,
    **STATUS_APART,
)
PRIORITY_LEVEL = Strategy(
    validate=on_create(rules.validate_priority_level),
    validate_update=on_update(rules.validate_priority_level_update),
    update_order=WHOLE_ALONE,
    **COUNTS_SPEC,
    **STATUS_APART,
)
_STATUS_KEEPS = {"keep_on_update": (SPEC, *KEPT_METADATA), "apply_reset": (META, SPEC)}

RESOURCES = [
    resource(
        GROUP,
        "FlowSchema",
        "flowschemas",
        "GJVAJZSZBIw=",
        FLOW_SCHEMA,
        status=status_strategy(
            FLOW_SCHEMA, rules.validate_conditions_status, update_order=(UpdateCheck.RULES,), **_STATUS_KEEPS
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
            rules.validate_conditions_status,
            update_order=(UpdateCheck.RULES,),
            **_STATUS_KEEPS,
        ),
    ),
]
