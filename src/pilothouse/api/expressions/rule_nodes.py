"""The rules of the nodes of a schema, carried out on the values there (apiextensions validation.go)."""

import re
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any, NamedTuple

from pilothouse.api.cel import (
    NONE,
    BudgetExceeded,
    CostBudget,
    CostLimitExceeded,
    EvaluationError,
    Optional,
    Program,
    view,
)
from pilothouse.api.expressions.limits import MAX_MESSAGE_BYTES, PER_OBJECT
from pilothouse.api.expressions.schema_rules import CompiledRule, compile_rules
from pilothouse.api.expressions.schema_types import DeclaredType
from pilothouse.api.structural.correlation import Correlation
from pilothouse.api.structural.paths import Path, item, member, show
from pilothouse.api.values.fields import OMIT, Errors, Object
from pilothouse.logs import Logger

log = Logger(__name__)
_LINE_BREAK = re.compile("\n+")
_OUT_OF_BUDGET = "running out of cost budget, no further validation rules will be run"


class Stop(Exception):
    """The error that ends the evaluation: no further rule is carried out."""


class Change(NamedTuple):
    """The change that an update makes: at this place, None when old and new
    cannot be told to belong together here; and at the nearest place around where
    they can. Where nothing has changed, broken rules only warn (ratcheting)."""

    here: Correlation | None = None
    nearest: Correlation | None = None

    def unchanged(self) -> bool:
        found = self.here if self.here is not None else self.nearest
        return found is not None and found.equal()

    def key(self, name: str) -> "Change":
        if self.here is None:
            return self
        if self.nearest is None and name in ("apiVersion", "kind"):
            return Change()
        return Change(self.here.key(name), self.here)

    def at(self, i: int) -> "Change":
        return self if self.here is None else Change(self.here.index(i), self.here)


class Validation:
    """One validation of one object."""

    __slots__ = ("budget", "compiled", "errs", "warnings")

    def __init__(
        self,
        errs: Errors,
        warnings: list[str],
        compiled: Callable[[float], None],
        budget: CostBudget | None = None,
    ) -> None:
        """`budget` is one that several validations share, None for one of its own."""
        self.compiled = compiled
        self.errs = errs
        self.warnings = warnings
        self.budget = CostBudget(PER_OBJECT) if budget is None else budget


class RuleNode:
    """The rules of one node of a schema and of those below it."""

    __slots__ = (
        "additional",
        "all_of",
        "declared",
        "identify",
        "items",
        "places",
        "properties",
        "rules",
        "type",
        "written",
    )

    def __init__(self, written: list[Object], declared: DeclaredType | None, kind: str) -> None:
        self.written = written
        self.declared = declared
        self.type = kind
        self.rules: list[tuple[CompiledRule, str]] | None = None
        self.places: list[str] = []
        self.items: RuleNode | None = None
        self.additional: RuleNode | None = None
        self.properties: dict[str, RuleNode] = {}
        self.all_of: list[RuleNode] = []
        self.identify: Callable[[Object], Hashable] | None = None

    def validate(self, run: Validation, path: Path, value: Any, old: Any, around: Change) -> None:
        if value is None:
            return
        if self.written:
            self._own(run, path, value, old, around)
        for one in self.all_of:
            one.validate(run, path, value, old, Change(None, around.nearest))
        if isinstance(value, list):
            self._items(run, path, value, old if isinstance(old, list) else [], around)
        elif isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, below in value.items():
                found = self.properties.get(name)
                if found is not None:
                    found.validate(run, member(path, name), below, before.get(name), around.key(name))
                if self.additional is not None:
                    self.additional.validate(run, item(path, name), below, before.get(name), around.key(name))

    def _items(self, run: Validation, path: Path, value: list[Any], old: list[Any], around: Change) -> None:
        if self.items is None:
            return
        known: dict[Hashable, Any] = {}
        if self.identify is not None:
            for one in old:
                if isinstance(one, dict):
                    known.setdefault(self.identify(one), one)
        for i, one in enumerate(value):
            before = known.get(self.identify(one)) if self.identify and isinstance(one, dict) else None
            self.items.validate(run, item(path, i), one, before, around.at(i))

    def compiled(self, run: Validation) -> list[tuple[CompiledRule, str]]:
        """The rules, each with the place that its causes are told of, relative to this one."""
        if self.rules is None:
            assert self.declared is not None
            began = perf_counter()
            rules = compile_rules(self.written, self.declared)
            run.compiled(perf_counter() - began)
            self.rules = [(rule, self.places[i]) for i, rule in enumerate(rules)]
        return self.rules

    def _own(self, run: Validation, path: Path, value: Any, old: Any, around: Change) -> None:
        if self.declared is None:
            words = "failed to convert to declType for CEL validation rules"
            self._tell(run, path, f"rule compiler initialization error: {words}")
            return
        if run.budget.left <= 0:
            self._tell(run, path, f"validation failed due to {_OUT_OF_BUDGET}")
            raise Stop
        shape = self.declared.shape
        unfit = self._unfit(value)
        bindings = {"self": value}
        optional = Optional(view(old, shape)) if old is not None else NONE
        for rule, place in self.compiled(run):
            if rule.error:
                self._tell(run, path, f"rule compile error: {rule.error}")
                continue
            if rule.program is None or (rule.uses_old and old is None and not rule.optional_old):
                continue
            if unfit:
                self._tell(run, path, f"invalid data, {unfit} evaluating rule: {rule.shown}")
                continue
            bindings["oldSelf"] = optional if rule.optional_old else old
            if self._holds(run, path, rule, rule.program, bindings) is False:
                self._broken(run, path, place, rule, value=value, bindings=bindings, around=around)

    def _unfit(self, value: Any) -> str:
        """Why expressions cannot see a valid value, "" for one that they can (cel/common/values.go)."""
        if self.type == "integer" and isinstance(value, float):
            return "expected int, got float64"
        if not self.type and not isinstance(value, str | int):
            return "expected XIntOrString value to be either a string or integer"
        return ""

    def _holds(
        self, run: Validation, path: Path, rule: CompiledRule, program: Program, bindings: dict[str, Any]
    ) -> bool | None:
        """Whether a rule holds, None when it cannot be told, which is a cause of its own."""
        try:
            return program.evaluate(bindings, run.budget) is True
        except BudgetExceeded:
            self._tell(run, path, f"validation failed due to {_OUT_OF_BUDGET}")
            raise Stop from None
        except CostLimitExceeded as err:
            words = "no further validation rules will be run due to call cost exceeds limit for rule"
            self._tell(run, path, f"'{err}': {words}: {rule.shown}")
            raise Stop from None
        except EvaluationError as err:
            if str(err).startswith("no such overload"):
                words = (
                    "call arguments did not match a supported operator, function or macro signature for rule"
                )
                self._tell(run, path, f"'{err}': {words}: {rule.shown}")
            else:
                self._tell(run, path, f"{err} evaluating rule: {rule.shown}")
        return None

    def _tell(self, run: Validation, path: Path, words: str) -> None:
        run.errs.invalid(_shown(path), self.type, words)

    def _broken(
        self,
        run: Validation,
        path: Path,
        place: str,
        rule: CompiledRule,
        value: Any,
        bindings: dict[str, Any],
        around: Change,
    ) -> None:
        """Tell of a rule that does not hold."""
        where = f"{show(path)}.{place}" if place and path is not None else place or _shown(path)
        found = Errors()
        detail = ""
        stop = False
        if rule.message is not None:
            try:
                detail = _message(rule, rule.message, bindings, run.budget)
            except _MessageError as err:
                found.invalid(where, self.type, str(err))
                stop = True
        if not stop:
            detail = detail or (rule.declared.get("message") or "").strip() or f"failed rule: {rule.shown}"
            shown = OMIT if self.type in ("object", "array") else value
            _add(found, where, shown, detail, rule.declared.get("reason"))
        if not rule.uses_old and around.unchanged():
            run.warnings += [f"{cause['field']}: {cause['message']}" for cause in found.causes]
        else:
            run.errs.extend(found)
        if stop:
            raise Stop


class _MessageError(Exception):
    """A messageExpression cost too much: no further rule is carried out."""


def _message(rule: CompiledRule, program: Program, bindings: dict[str, Any], budget: CostBudget) -> str:
    """The text of a messageExpression, "" when it gives none that can be used."""
    try:
        text = program.evaluate(bindings, budget)
    except BudgetExceeded:
        raise _MessageError(f"messageExpression evaluation failed due to {_OUT_OF_BUDGET}") from None
    except CostLimitExceeded:
        words = "no further validation rules will be run due to call cost exceeds limit for messageExpression"
        raise _MessageError(f"{words}: {rule.declared['messageExpression']!r}") from None
    except EvaluationError as err:
        log.verbose(5, "A messageExpression could not be evaluated", err=str(err))
        return ""
    text = text.strip() if isinstance(text, str) else ""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES or _LINE_BREAK.search(text):
        return ""
    return text


def _add(errs: Errors, where: str, value: Any, detail: str, reason: str | None) -> None:
    if reason == "FieldValueForbidden":
        errs.forbidden(where, detail)
    elif reason == "FieldValueRequired":
        errs.required(where, detail)
    elif reason == "FieldValueDuplicate":
        errs.duplicate(where, value)
    else:
        errs.invalid(where, value, detail)


def _shown(path: Path) -> str:
    return "<nil>" if path is None else show(path)
