"""policy/v1: pod disruption budgets (evictions are a subresource of pods)."""

from pilothouse.api.validate import policy as rules
from pilothouse.api.values import names
from pilothouse.registry.groups.records import COUNTS_SPEC, STATUS_APART, on_create, resource, status_strategy
from pilothouse.registry.strategy import Strategy, UpdateCheck

GROUP = "policy"

BUDGET = Strategy(
    name_check=names.path_segment,
    unconditional_update=False,
    validate=on_create(rules.validate_budget),
    validate_update=lambda ctx, obj, old, errs: rules.validate_budget(obj, errs, old),
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
        status=status_strategy(BUDGET, rules.validate_budget_status, update_order=(UpdateCheck.RULES,)),
    ),
]
