"""The rules that a schema has in `x-kubernetes-validations`,
compiled (apiextensions pkg/apiserver/schema/cel/compilation.go)."""

from typing import NamedTuple

from pilothouse.api.cel import (
    BOOL,
    STRING,
    CompileError,
    Environment,
    Program,
    ProgramError,
    ResultError,
    optional_of,
)
from pilothouse.api.expressions.schema_types import DeclaredType, sizes
from pilothouse.api.values.fields import Object


class CompiledRule(NamedTuple):
    """One rule. declared: as it was written; error, message_error:
    why it or its messageExpression cannot be used;
    cost, message_cost: what an evaluation may cost at most. An empty rule has neither program nor error."""

    declared: Object
    program: Program | None = None
    error: str = ""
    cost: int = 0
    message: Program | None = None
    message_error: str = ""
    message_cost: int = 0

    @property
    def uses_old(self) -> bool:
        return self.program is not None and "oldSelf" in self.program.names

    @property
    def optional_old(self) -> bool:
        return bool(self.declared.get("optionalOldSelf"))

    @property
    def shown(self) -> str:
        """The name of the rule in a message."""
        shown: str = self.declared.get("message") or self.declared["rule"]
        return shown.strip()


def compile_rules(
    rules: list[Object], declared: DeclaredType, *, estimated: bool = False
) -> list[CompiledRule]:
    """The rules of a node of a schema; their costs are estimated only on demand."""
    out = []
    for rule in rules:
        variables = {"self": declared.type, "oldSelf": declared.type}
        shapes = {"self": declared.shape, "oldSelf": declared.shape}
        if rule.get("optionalOldSelf"):
            variables["oldSelf"] = optional_of(declared.type)
            del shapes["oldSelf"]
        environment = Environment(variables, shapes=shapes)
        out.append(_compile(rule, environment, declared, estimated))
    return out


def _compile(rule: Object, environment: Environment, declared: DeclaredType, estimated: bool) -> CompiledRule:
    text, message = rule.get("rule") or "", rule.get("messageExpression") or ""
    if not text.strip():
        return CompiledRule(rule)
    try:
        program = environment.compile(text, BOOL)
    except CompileError as err:
        return CompiledRule(rule, error=_fault(err, "cel expression must evaluate to a bool", ""))
    cost = _cost(program, declared) if estimated else 0
    out = CompiledRule(rule, program, cost=cost)
    if message:
        try:
            told = environment.compile(message, STRING)
        except CompileError as err:
            words = "messageExpression must evaluate to a string"
            return out._replace(message_error=_fault(err, words, "messageExpression "))
        cost = _cost(told, declared) if estimated else 0
        out = out._replace(message=told, message_cost=cost)
        told.forget()
    program.forget()
    return out


def _cost(program: Program, declared: DeclaredType) -> int:
    return program.estimate(sizes(declared)).most


def _fault(err: CompileError, wrong_type: str, prefix: str) -> str:
    if isinstance(err, ResultError):
        return wrong_type
    if isinstance(err, ProgramError):
        return f"{prefix or 'program '}instantiation failed: {err}"
    return f"{prefix}compilation failed: {err}"
