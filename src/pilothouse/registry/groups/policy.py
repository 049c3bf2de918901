"""policy/v1: pod disruption budgets (evictions are a subresource of pods)."""

from pilothouse.api.values import names
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import COUNTS_SPEC, STATUS_APART, resource, status_strategy
from pilothouse.registry.strategy import Strategy, UpdateCheck

GROUP = "policy"

BUDGET = Strategy(
    name_check=names.path_segment,
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.policy.validate_budget(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.policy.validate_budget(obj, errs, old),
    update_order=(UpdateCheck.RULES,),
    finalizer_checks=frozenset(),
    **COUNTS_SPEC,
    **STATUS_APART,
)

RESOURCES = [
    resource(
        GROUP,
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "EVWiDmWqyJw=",
        BUDGET,
        namespaced=True,
        short_names=("pdb",),
        status=status_strategy(
            BUDGET,
            lambda ctx, obj, old, errs: rules.policy.validate_budget_status(obj, old, errs),
            update_order=(UpdateCheck.RULES,),
        ),
    ),
]
