"""Environments: which variables and functions an expression may use.

environment = Environment({"self": STRING})
program = environment.compile("self.startsWith('a')", BOOL)
program.evaluate({"self": "abc"}, CostBudget(1000))
"""

from collections.abc import Collection, Mapping

from pilothouse.api.cel import selections, validators
from pilothouse.api.cel._cel import EvaluationError, Shape
from pilothouse.api.cel.checker import Checker
from pilothouse.api.cel.compiler import Compiler
from pilothouse.api.cel.errors import CompileError, Issues
from pilothouse.api.cel.function_library import Library, joined
from pilothouse.api.cel.libraries.registered import KUBERNETES
from pilothouse.api.cel.limits import MAX_DEPTH
from pilothouse.api.cel.parser import parse
from pilothouse.api.cel.program import Program, ProgramError, ResultError
from pilothouse.api.cel.scopes import Scopes, Structs
from pilothouse.api.cel.types import CelType, same


def _no_structs(name: str) -> CelType | None:
    """There are no object types that an expression can name."""
    return None


class Environment:
    """The variables, by name and type, and the libraries that expressions may use.

    shapes: how the values of variables are seen. extra: libraries beside those of Kubernetes.
    validated: whether literals are looked at that have no meaning.
    escaped: whether `a.b__dot__c` reads the member `b.c` of a map.
    """

    __slots__ = ("declared", "escaped", "shapes", "structs", "validated", "variables")

    def __init__(
        self,
        variables: Mapping[str, CelType],
        *,
        shapes: Mapping[str, Shape] | None = None,
        structs: Structs = _no_structs,
        extra: Collection[Library] = (),
        validated: bool = True,
        escaped: bool = False,
    ) -> None:
        self.declared = joined((KUBERNETES, *extra)) if extra else KUBERNETES
        self.variables = variables
        self.shapes = shapes or {}
        self.structs = structs
        self.validated = validated
        self.escaped = escaped

    def compile(self, text: str, *results: CelType) -> "Program":
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

    def _compile(self, text: str, issues: Issues, results: tuple[CelType, ...]) -> "Program":
        expr = parse(text, issues, self.declared.macros)
        scopes = Scopes(self.variables, self.declared.type_names, self.structs)
        found = Checker(self.declared.functions, scopes, issues).whole(expr)
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
