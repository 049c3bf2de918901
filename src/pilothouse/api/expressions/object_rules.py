"""The rules of a schema, carried out on an object (apiextensions pkg/apiserver/schema/cel/validation.go)."""

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
    escape,
    view,
)
from pilothouse.api.expressions.limits import MAX_MESSAGE_BYTES, PER_OBJECT
from pilothouse.api.expressions.schema_rules import CompiledRule, compile_rules
from pilothouse.api.expressions.schema_types import DeclaredType, declare
from pilothouse.api.structural.correlation import Correlation
from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.structural.paths import Path, item, member, show
from pilothouse.api.structural.schema import Schema
from pilothouse.api.values.equality import key_identity
from pilothouse.api.values.fields import OMIT, Errors, Object
from pilothouse.logs import Logger

log = Logger(__name__)
_LINE_BREAK = re.compile("\n+")
_OUT_OF_BUDGET = "running out of cost budget, no further validation rules will be run"


class _Stop(Exception):
    """The error that ends the evaluation: no further rule is carried out."""


class _Change(NamedTuple):
    """The change that an update makes: at this place, None when old and new
    cannot be told to belong together here; and at the nearest place around where
    they can. Where nothing has changed, broken rules only warn (ratcheting)."""

    here: Correlation | None = None
    nearest: Correlation | None = None

    def unchanged(self) -> bool:
        found = self.here if self.here is not None else self.nearest
        return found is not None and found.equal()

    def key(self, name: str) -> "_Change":
        if self.here is None:
            return self
        if self.nearest is None and name in ("apiVersion", "kind"):
            return _Change()
        return _Change(self.here.key(name), self.here)

    def at(self, i: int) -> "_Change":
        return self if self.here is None else _Change(self.here.index(i), self.here)


class _Run:
    """One validation of one object."""

    __slots__ = ("budget", "compiled", "errs", "warnings")

    def __init__(self, errs: Errors, warnings: list[str], compiled: Callable[[float], None]) -> None:
        self.compiled = compiled
        self.errs = errs
        self.warnings = warnings
        self.budget = CostBudget(PER_OBJECT)


def has_rules(declared: Object) -> bool:
    """Whether rules stand anywhere in a schema, parts of `allOf` included."""
    if declared.get("x-kubernetes-validations"):
        return True
    below = [declared.get("items"), declared.get("additionalProperties"), *(declared.get("allOf") or ())]
    below += (declared.get("properties") or {}).values()
    return any(isinstance(one, dict) and has_rules(one) for one in below)


class ObjectRules:
    """All rules of a schema. They are compiled when the first object is validated."""

    def __init__(
        self, declared: Object, schema: Schema, compiled: Callable[[float], None] = lambda seconds: None
    ) -> None:
        """`compiled` is told how many seconds it took to compile the rules of a node."""
        self.schema = schema
        self._compiled = compiled
        self._root = _node(declared, declared, True, declare(declared, "selfType", root=True))

    def validate(
        self,
        obj: Object,
        old: Object | None,
        errs: Errors,
        warnings: list[str],
        correlation: Correlation | None = None,
    ) -> None:
        """Add the causes against a new object, or with `old` against a changed one;
        both in the schema's version.

        What an update has not changed is only warned of.
        A `correlation` of both that is known already is used.
        """
        if self._root is None:
            return
        around = _Change()
        if old is not None:
            around = _Change(correlation or Correlation(obj, old, self.schema))
        try:
            self._root.validate(_Run(errs, warnings, self._compiled), None, obj, old, around)
        except _Stop:
            pass


class _RuleNode:
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
        self.items: _RuleNode | None = None
        self.additional: _RuleNode | None = None
        self.properties: dict[str, _RuleNode] = {}
        self.all_of: list[_RuleNode] = []
        self.identify: Callable[[Object], Hashable] | None = None

    def validate(self, run: _Run, path: Path, value: Any, old: Any, around: _Change) -> None:
        if value is None:
            return
        if self.written:
            self._own(run, path, value, old, around)
        for one in self.all_of:
            one.validate(run, path, value, old, _Change(None, around.nearest))
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

    def _items(self, run: _Run, path: Path, value: list[Any], old: list[Any], around: _Change) -> None:
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

    def compiled(self, run: _Run) -> list[tuple[CompiledRule, str]]:
        """The rules, each with the place that its causes are told of, relative to this one."""
        if self.rules is None:
            assert self.declared is not None
            began = perf_counter()
            rules = compile_rules(self.written, self.declared)
            run.compiled(perf_counter() - began)
            self.rules = [(rule, self.places[i]) for i, rule in enumerate(rules)]
        return self.rules

    def _own(self, run: _Run, path: Path, value: Any, old: Any, around: _Change) -> None:
        if self.declared is None:
            words = (
                "rule compiler initialization error: failed to convert to declType for CEL validation rules"
            )
            run.errs.invalid(_shown(path), self.type, words)
            return
        if run.budget.left <= 0:
            run.errs.invalid(_shown(path), self.type, f"validation failed due to {_OUT_OF_BUDGET}")
            raise _Stop
        shape = self.declared.shape
        bindings = {"self": value}
        optional = Optional(view(old, shape)) if old is not None else NONE
        for rule, place in self.compiled(run):
            if rule.error:
                run.errs.invalid(_shown(path), self.type, f"rule compile error: {rule.error}")
                continue
            if rule.program is None or (rule.uses_old and old is None and not rule.optional_old):
                continue
            bindings["oldSelf"] = optional if rule.optional_old else old
            if self._holds(run, path, rule, rule.program, bindings) is False:
                self._broken(run, path, place, rule, value, bindings, around)

    def _holds(
        self, run: _Run, path: Path, rule: CompiledRule, program: Program, bindings: dict[str, Any]
    ) -> bool | None:
        """Whether a rule holds, None when it cannot be told, which is a cause of its own."""
        try:
            return program.evaluate(bindings, run.budget) is True
        except BudgetExceeded:
            run.errs.invalid(_shown(path), self.type, f"validation failed due to {_OUT_OF_BUDGET}")
            raise _Stop from None
        except CostLimitExceeded as err:
            words = (
                f"'{err}': no further validation rules will be run due to call cost exceeds limit for rule: "
            )
            run.errs.invalid(_shown(path), self.type, words + rule.shown)
            raise _Stop from None
        except EvaluationError as err:
            text = str(err)
            if text.startswith("no such overload"):
                words = (
                    "call arguments did not match a supported operator, function or macro signature for rule"
                )
                run.errs.invalid(_shown(path), self.type, f"'{text}': {words}: {rule.shown}")
            else:
                run.errs.invalid(_shown(path), self.type, f"{text} evaluating rule: {rule.shown}")
        return None

    def _broken(
        self,
        run: _Run,
        path: Path,
        place: str,
        rule: CompiledRule,
        value: Any,
        bindings: dict[str, Any],
        around: _Change,
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
            raise _Stop


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


def _place(path: str, schema: Object) -> str:
    """A fieldPath in the form in which causes name fields, "" when there is none."""
    if not path:
        return ""
    try:
        return valid_path(path, schema)[0]
    except PathError:
        return ""


def _node(validation: Object, schema: Object, root: bool, declared: DeclaredType | None) -> _RuleNode | None:
    """The rules of `validation` on values of `schema`, which are the same but for allOf;
    None when there are none."""
    rules = validation.get("x-kubernetes-validations") or []
    out = _RuleNode(rules, declared, schema.get("type") or "")
    out.places = [_place(rule.get("fieldPath") or "", schema) for rule in rules]
    items = declared.items if declared is not None else None
    if isinstance(validation.get("items"), dict) and isinstance(schema.get("items"), dict):
        out.items = _node(validation["items"], schema["items"], False, items)
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        if schema.get("x-kubernetes-list-type") == "map" and keys:
            out.identify = key_identity(keys)
    known = schema.get("properties") or {}
    for name, below in (validation.get("properties") or {}).items():
        if name not in known:
            continue
        found = _property(known[name], name, declared)
        if found is not None and (made := _node(below, known[name], False, found)) is not None:
            out.properties[name] = made
    further, more = validation.get("additionalProperties"), schema.get("additionalProperties")
    if isinstance(further, dict) and isinstance(more, dict):
        out.additional = _node(further, more, False, items)
    for one in validation.get("allOf") or ():
        if (made := _node(one, schema, root, declared)) is not None:
            out.all_of.append(made)
    return out if rules or out.items or out.properties or out.additional or out.all_of else None


def _property(schema: Object, name: str, declared: DeclaredType | None) -> DeclaredType | None:
    """The type of an object's property, None when expressions cannot see it."""
    identifier = escape(name)
    if identifier is None:
        return declare(schema, "selfType", root=bool(schema.get("x-kubernetes-embedded-resource")))
    return declared.fields.get(identifier) if declared is not None else None
