"""The rules of a schema, carried out on an object (apiextensions pkg/apiserver/schema/cel/validation.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.cel import CostBudget, escape
from pilothouse.api.expressions.rule_nodes import Change, RuleNode, Stop, Validation
from pilothouse.api.expressions.schema_types import DeclaredType, declare
from pilothouse.api.structural.correlation import Correlation
from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.structural.paths import root
from pilothouse.api.structural.schema import Schema
from pilothouse.api.values.equality import key_identity
from pilothouse.api.values.fields import Errors, Object


class ObjectRules:
    """All rules of a schema. They are compiled when the first object is validated."""

    def __init__(
        self, declared: Object, schema: Schema, compiled: Callable[[float], None] = lambda seconds: None
    ) -> None:
        """`compiled` is told how many seconds it took to compile the rules of a node."""
        self.schema = schema
        self._compiled = compiled
        self.root = _rules_of(declared, declared, declare(declared, "selfType", root=True))

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
        if self.root is None:
            return
        around = Change()
        if old is not None:
            around = Change(correlation or Correlation(obj, old, self.schema))
        try:
            self.root.validate(Validation(errs, warnings, self._compiled), None, obj, old, around)
        except Stop:
            pass


def check_default(rules: RuleNode, value: Any, path: str, errs: Errors, budget: CostBudget) -> None:
    """Add the causes against a default at a path: its rules must hold where an update leaves it as it is, and
    where it is new (apiserver/schema/defaulting/validation.go).

    All defaults of a schema share the budget. Of the two cases the one that costs more counts.
    """
    count, begun, least = len(errs), budget.left, budget.left
    for old in (value, None):
        budget.left = begun
        run = Validation(errs, [], lambda seconds: None, budget)
        try:
            rules.validate(run, root(path), value, old, Change())
        except Stop:
            pass
        budget.left = least = min(least, budget.left)
        if len(errs) > count:
            return


def _place(path: str, schema: Object) -> str:
    """A fieldPath in the form in which causes name fields, "" when there is none."""
    if not path:
        return ""
    try:
        return valid_path(path, schema)[0]
    except PathError:
        return ""


def _rules_of(validation: Object, schema: Object, declared: DeclaredType | None) -> RuleNode | None:
    """The rules of `validation` on values of `schema`, which are the same but for allOf;
    None when there are none."""
    rules = validation.get("x-kubernetes-validations") or []
    out = RuleNode(rules, declared, schema.get("type") or "")
    out.places = [_place(rule.get("fieldPath") or "", schema) for rule in rules]
    items = declared.items if declared is not None else None
    if isinstance(validation.get("items"), dict) and isinstance(schema.get("items"), dict):
        out.items = _rules_of(validation["items"], schema["items"], items)
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        if schema.get("x-kubernetes-list-type") == "map" and keys:
            out.identify = key_identity(keys)
    known = schema.get("properties") or {}
    for name, below in (validation.get("properties") or {}).items():
        if name not in known:
            continue
        found = _property(known[name], name, declared)
        if found is not None and (made := _rules_of(below, known[name], found)) is not None:
            out.properties[name] = made
    further, more = validation.get("additionalProperties"), schema.get("additionalProperties")
    if isinstance(further, dict) and isinstance(more, dict):
        out.additional = _rules_of(further, more, items)
    for one in validation.get("allOf") or ():
        if (made := _rules_of(one, schema, declared)) is not None:
            out.all_of.append(made)
    return out if rules or out.items or out.properties or out.additional or out.all_of else None


def _property(schema: Object, name: str, declared: DeclaredType | None) -> DeclaredType | None:
    """The type of an object's property, None when expressions cannot see it."""
    identifier = escape(name)
    if identifier is None:
        return declare(schema, "selfType", root=bool(schema.get("x-kubernetes-embedded-resource")))
    return declared.fields.get(identifier) if declared is not None else None
