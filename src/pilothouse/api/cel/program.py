"""Programs, which are compiled expressions, and what an evaluation may cost."""

from collections.abc import Mapping
from typing import Any

from pilothouse.api.cel import _cel, selections
from pilothouse.api.cel._cel import CostLimitExceeded, EvaluationError, Node, Shape
from pilothouse.api.cel.ast import Expr
from pilothouse.api.cel.compiler import Compiler
from pilothouse.api.cel.cost import Estimator
from pilothouse.api.cel.errors import CompileError
from pilothouse.api.cel.limits import PER_CALL
from pilothouse.api.cel.sizes import UNKNOWN, Range, Sizes
from pilothouse.api.cel.types import CelType


class ResultError(CompileError):
    """The value of an expression has the type `found`, which is none of the wanted ones."""

    def __init__(self, found: CelType) -> None:
        super().__init__(f"expression gives {found}")
        self.found = found


class ProgramError(CompileError):
    """A constant in an expression cannot be computed:
    what upstream puts behind "program instantiation failed: "."""


class BudgetExceeded(EvaluationError):
    """An evaluation cost more than was left of its budget."""


class CostBudget:
    """Units of cost that several evaluations may take together; below zero when they took more."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class Program:
    """A compiled expression. `type` is that of its value, `names` are the variables that it reads."""

    __slots__ = ("_expr", "_node", "_shapes", "_slots", "names", "text", "type")

    def __init__(
        self,
        text: str,
        expr: Expr,
        type: CelType,
        node: Node,
        compiler: Compiler,
        shapes: Mapping[str, Shape],
    ) -> None:
        self.text = text
        self.type = type
        self.names = tuple(compiler.names)
        self._expr: Expr | None = expr
        self._node = node
        self._slots = compiler.slots
        self._shapes = tuple(
            shape if (shape := shapes.get(name)) is not None and not shape.plain else None
            for name in self.names
        )

    def evaluate(
        self, bindings: dict[str, Any], budget: CostBudget | None = None, limit: int = PER_CALL
    ) -> Any:
        """The value for these values of the variables.

        Raises EvaluationError with upstream's words: CostLimitExceeded when one evaluation may not cost so
        much, BudgetExceeded when the budget has not so much left. The budget is charged in any case.
        """
        if budget is None:
            return _cel.run(self._node, self.names, self._shapes, self._slots, bindings, limit)[0]
        most = min(limit, max(budget.left, 0))
        try:
            value, cost = _cel.run(self._node, self.names, self._shapes, self._slots, bindings, most)
        except EvaluationError as err:
            left, budget.left = budget.left, budget.left - err.cost
            if isinstance(err, CostLimitExceeded) and err.cost > left:
                raise BudgetExceeded("running out of cost budget") from None
            raise
        budget.left -= cost
        return value

    def cost(self, bindings: dict[str, Any], limit: int = PER_CALL) -> int:
        """The cost of an evaluation; raises EvaluationError like the evaluation itself."""
        return _cel.run(self._node, self.names, self._shapes, self._slots, bindings, limit)[1]

    def estimate(self, sizes: Sizes) -> Range:
        """The least and the most that an evaluation may cost, given the sizes of what stands at a path."""
        assert self._expr is not None, "the tree was forgotten"
        try:
            return Estimator(sizes).cost(self._expr)
        except RecursionError:
            return UNKNOWN

    def selects(self, variable: str, member: str) -> bool:
        """Whether the expression reads this member of a variable."""
        assert self._expr is not None, "the tree was forgotten"
        return selections.selects(self._expr, variable, member)

    def forget(self) -> None:
        """Drop what only an estimate and `selects` need."""
        self._expr = None
