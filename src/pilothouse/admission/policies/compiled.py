"""The parts of policies that both kinds compile."""

from pilothouse.admission.expressions import Expression, MatchConditions
from pilothouse.admission.metrics import ConditionCounts
from pilothouse.api.cel import BOOL
from pilothouse.api.expressions import admission
from pilothouse.api.values.fields import Object


class CompiledPolicy:
    """The parts that both kinds of policies have: variables, match conditions and a failure policy.

    `seen` is the environment of their expressions;
    `composition` are the variables, None where there are none. `counts` counts its match conditions.
    """

    def __init__(self, spec: Object, counts: ConditionCounts | None = None) -> None:
        self.has_params = spec.get("paramKind") is not None
        self.ignore = spec.get("failurePolicy") == "Ignore"
        self.composition = admission.Composition() if spec.get("variables") else None
        self.seen = admission.environment(params=self.has_params, composition=self.composition)
        self.variables: dict[str, Expression] = {}
        for one in spec.get("variables") or ():
            expression = Expression(self.seen, one["expression"])
            self.variables[one["name"]] = expression
            assert self.composition is not None
            found = expression.program.type if expression.program is not None else None
            self.composition.add(one["name"], found)
        conditions = [
            Expression(self.seen, one["expression"], BOOL) for one in spec.get("matchConditions") or ()
        ]
        self.conditions = MatchConditions(conditions, spec.get("failurePolicy") or "Fail", counts)
