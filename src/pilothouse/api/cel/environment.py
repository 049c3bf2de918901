"""Environments: which variables and functions an expression may use;
and programs, which are compiled expressions.

environment = Environment({"self": STRING})
program = environment.compile("self.startsWith('a')", BOOL)
program.evaluate({"self": "abc"}, Budget(PER_OBJECT))
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pilothouse import _cel
from pilothouse._cel import CostLimitExceeded, EvaluationError, Node, Shape
from pilothouse.api.cel import macros, selections, validators
from pilothouse.api.cel.ast import Expr
from pilothouse.api.cel.checker import Checker, Structs
from pilothouse.api.cel.compiler import Compiler
from pilothouse.api.cel.cost import Estimator
from pilothouse.api.cel.errors import CompileError, Issues
from pilothouse.api.cel.functions import Functions, merge
from pilothouse.api.cel.libraries import (
    authorizer,
    encoders,
    formats,
    jsonpatch,
    lists,
    network,
    optionals,
    quantities,
    regex,
    semvers,
    standard,
    strings,
    urls,
)
from pilothouse.api.cel.limits import MAX_DEPTH, PER_CALL
from pilothouse.api.cel.parser import parse
from pilothouse.api.cel.sizes import UNKNOWN, Range, Sizes
from pilothouse.api.cel.types import Type, same


class Library:
    """Functions, macros and names of types that come together."""

    __slots__ = ("functions", "macros", "type_names")

    def __init__(
        self,
        functions: Functions | None = None,
        macros: macros.Macros | None = None,
        type_names: Mapping[str, Type] | None = None,
    ) -> None:
        self.functions = functions or {}
        self.macros = macros or {}
        self.type_names = type_names or {}


STANDARD = Library(standard.FUNCTIONS, macros.STANDARD, standard.TYPE_NAMES)
OPTIONALS = Library(optionals.FUNCTIONS, macros.OPTIONALS, optionals.TYPE_NAMES)
TWO_VARIABLES = Library(optionals.MAP_INSERT, macros.TWO_VARIABLES)
LISTS = Library(lists.EXTENSION, macros.SORTING)
BINDINGS = Library(macros=macros.BINDINGS)
"""`cel.bind`, which only the environment of device selectors has."""
JSON_PATCH = Library(jsonpatch.FUNCTIONS)
"""The library of JSON patches; only the environment of mutating policies has it."""
ENCODERS = Library(encoders.FUNCTIONS)
KUBERNETES = (
    STANDARD,
    Library(urls.FUNCTIONS),
    Library(regex.FUNCTIONS),
    Library(lists.KUBERNETES),
    Library(authorizer.FUNCTIONS),
    OPTIONALS,
    Library(quantities.FUNCTIONS),
    Library(strings.FUNCTIONS),
    Library(lists.SETS),
    Library(network.FUNCTIONS, type_names=network.TYPE_NAMES),
    Library(formats.FUNCTIONS),
    TWO_VARIABLES,
    Library(semvers.FUNCTIONS),
    LISTS,
)
"""The libraries of every environment of Kubernetes 1.36: new and stored expressions
know the same libraries by then, because its compatibility version is 1.35 and the
last library came with 1.34 (apiserver pkg/cel/environment/base.go)."""


def no_structs(name: str) -> Type | None:
    """There are no object types that an expression can name."""
    return None


class _Kit:
    """The functions, macros and type names of some libraries, put together once."""

    __slots__ = ("functions", "macros", "type_names")

    def __init__(self, libraries: Iterable[Library]) -> None:
        listed = list(libraries)
        self.functions = merge([one.functions for one in listed])
        self.macros: dict[tuple[str, int, bool], macros.Expander] = {}
        self.type_names: dict[str, Type] = {}
        for one in listed:
            self.macros.update(one.macros)
            self.type_names.update(one.type_names)


_KUBERNETES = _Kit(KUBERNETES)


class Environment:
    """The variables, by name and type, and the libraries that expressions may use.

    shapes: how the values of variables are seen (schema_types.py). extra: libraries beside Kubernetes' own.
    libraries: in place of Kubernetes' own. validated: whether literals are looked at that have no meaning.
    escaped: whether `a.b__dot__c` reads the member `b.c` of a map.
    """

    __slots__ = (
        "escaped",
        "functions",
        "macros",
        "shapes",
        "structs",
        "type_names",
        "validated",
        "variables",
    )

    def __init__(
        self,
        variables: Mapping[str, Type],
        *,
        shapes: Mapping[str, Shape] | None = None,
        structs: Structs = no_structs,
        extra: Iterable[Library] = (),
        libraries: Iterable[Library] | None = None,
        validated: bool = True,
        escaped: bool = False,
    ) -> None:
        more = list(extra)
        if libraries is not None:
            kit = _Kit([*libraries, *more])
        else:
            kit = _Kit([*KUBERNETES, *more]) if more else _KUBERNETES
        self.variables = variables
        self.shapes = shapes or {}
        self.structs = structs
        self.functions: Functions = kit.functions
        self.macros: macros.Macros = kit.macros
        self.type_names: Mapping[str, Type] = kit.type_names
        self.validated = validated
        self.escaped = escaped

    def compile(self, text: str, *results: Type) -> "Program":
        """The program of an expression that gives a value of one of the types, of any when none is named.

        Raises CompileError with upstream's text, ResultError when it gives a value of another type,
        ProgramError when a constant in it cannot be computed.
        """
        issues = Issues(text)
        try:
            return self._compile(text, issues, results)
        except RecursionError:
            issues.add(-1, f"expression recursion limit exceeded: {MAX_DEPTH}")
            raise CompileError(issues.show()) from None

    def _compile(self, text: str, issues: Issues, results: tuple[Type, ...]) -> "Program":
        expr = parse(text, issues, self.macros)
        found = Checker(self, issues).whole(expr)
        issues.raise_any()
        if self.validated:
            validators.validate(expr, issues)
            issues.raise_any()
        if results and not any(same(found, one) for one in results):
            raise ResultError(found)
        if self.escaped:
            selections.unescape_members(expr)
        compiler = Compiler(self.variables)
        try:
            node = compiler.whole(expr)
        except EvaluationError as err:
            raise ProgramError(str(err)) from None
        return Program(text, expr, found, node, compiler, self.shapes)


class ResultError(CompileError):
    """An expression gives a value of another type than is wanted; `found` is which."""

    def __init__(self, found: Type) -> None:
        super().__init__(f"expression gives {found}")
        self.found = found


class ProgramError(CompileError):
    """A constant in an expression cannot be computed:
    what upstream puts behind "program instantiation failed: "."""


class BudgetExceeded(EvaluationError):
    """An evaluation cost more than was left of its budget."""


class Budget:
    """Units of cost that several evaluations may take together; below zero when they took more."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class Program:
    """A compiled expression. `type` is that of its value, `names` are the variables that it reads."""

    __slots__ = ("_expr", "_node", "_shapes", "_slots", "names", "text", "type")

    def __init__(
        self, text: str, expr: Expr, type: Type, node: Node, compiler: Compiler, shapes: Mapping[str, Shape]
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

    def evaluate(self, bindings: dict[str, Any], budget: Budget | None = None, limit: int = PER_CALL) -> Any:
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


__all__ = [
    "BINDINGS",
    "ENCODERS",
    "JSON_PATCH",
    "KUBERNETES",
    "Budget",
    "BudgetExceeded",
    "CompileError",
    "CostLimitExceeded",
    "Environment",
    "EvaluationError",
    "Library",
    "Program",
    "ProgramError",
    "ResultError",
]
