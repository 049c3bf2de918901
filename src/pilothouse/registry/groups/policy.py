"""policy/v1: pod disruption budgets (evictions are a subresource of pods)."""

from pilothouse.registry.groups.records import COUNTS_SPEC, STATUS_APART, resource, status_strategy
from pilothouse.registry.strategy import Strategy

GROUP = "policy"

BUDGET = Strategy(unconditional_update=False, **COUNTS_SPEC, **STATUS_APART)

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "EVWiDmWqyJw=",
        BUDGET,
        namespaced=True,
        short_names=("pdb",),
        status=status_strategy(BUDGET),
    ),
]
