"""Whether the CEL rules of a definition compile, and what they may cost (cel_validation.go)."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from pilothouse.api.cel import MOST, escape
from pilothouse.api.expressions.limits import DEFINITION_ESTIMATE, RULE_ESTIMATE
from pilothouse.api.expressions.schema_rules import CompiledRule, compile_rules
from pilothouse.api.expressions.schema_types import DeclaredType, declare
from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.structural.paths import Trail
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.turns import sorted_members

_HINT = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and"
    " strings are declared)"
)
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_LINE_BREAK = re.compile("[\n\r]+")
_MOST_TOLD = 4
"""The most expensive rules that are named when all together cost too much."""


class _Node(NamedTuple):
    """A node of a schema. times: how often it can occur by the limits of the schemas around it,
    None when these have none;
    uncorrelated: the part around it in which old and new values cannot be told to belong together,
    "" for none."""

    schema: Object
    path: Trail
    declared: DeclaredType | None
    times: int | None
    uncorrelated: str
    root: bool


class _Total:
    """The cost of all rules of a definition."""

    def __init__(self) -> None:
        self.units = 0
        self.most: list[tuple[int, str]] = []

    def add(self, path: str, units: int) -> None:
        self.units = min(self.units + units, MOST)
        if units >= DEFINITION_ESTIMATE // 100:
            self.most.append((units, path))
            self.most.sort(key=lambda one: -one[0])
            del self.most[_MOST_TOLD:]


def validate_rule_members(
    s: Object, rule: Object, path: Trail, errs: Errors, unsupported: AbstractSet[int]
) -> None:
    """Validates the members of one CEL rule except its expressions.

    `unsupported` are the identities, by id(), of the schemas that are not structural.
    """
    text, message = rule.get("rule") or "", rule.get("message") or ""
    expression, field_path = rule.get("messageExpression") or "", rule.get("fieldPath") or ""
    if not text.strip():
        errs.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        errs.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _LINE_BREAK.search(message.strip()):
        errs.invalid(f"{path}.message", message, "must not contain line breaks")
    elif _LINE_BREAK.search(text.strip()) and not message.strip():
        errs.required(f"{path}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip():
        errs.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if rule.get("reason") is not None and rule["reason"] not in REASONS:
        errs.not_supported(f"{path}.reason", rule["reason"], REASONS)
    if field_path and not field_path.strip():
        errs.invalid(f"{path}.fieldPath", field_path, "must be non-empty if specified")
    if _LINE_BREAK.search(field_path):
        errs.invalid(f"{path}.fieldPath", field_path, "must not contain line breaks")
    if field_path and id(s) not in unsupported:
        try:
            valid_path(field_path, s)
        except PathError:
            errs.invalid(f"{path}.fieldPath", field_path, "must be a valid path")


def validate_rules(declared: Object, path: str, errs: Errors, *, unchanged: bool = False) -> None:
    """Add the causes against the rules of a schema that is valid otherwise.

    `unchanged`: it is stored already, so that no single rule is refused for what it may cost.
    """
    total = _Total()
    _walk(_Node(declared, Trail(path), None, 1, "", True), total, errs, unchanged)
    if total.units > DEFINITION_ESTIMATE:
        words = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        for _, where in total.most:
            errs.forbidden(where, words)
        about = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        errs.forbidden(path, _too_expensive(about, total.units, DEFINITION_ESTIMATE))


def _walk(node: _Node, total: _Total, errs: Errors, unchanged: bool) -> None:
    """The rules below a node, then its own."""
    rules = node.schema.get("x-kubernetes-validations") or []
    if rules and node.declared is None:
        root = node.root or bool(node.schema.get("x-kubernetes-embedded-resource"))
        node = node._replace(declared=declare(node.schema, "selfType", root=root))
    for below in _below(node):
        _walk(below, total, errs, unchanged)
    if not rules:
        return
    where = node.path.below(".x-kubernetes-validations")
    if node.declared is None:
        words = "failed to construct type information for x-kubernetes-validations rules: "
        errs.internal(
            str(where), f"internal error: {words}unable to convert structural schema to CEL declarations"
        )
        return
    times = node.times if node.times is not None else node.declared.cardinality()
    for i, rule in enumerate(compile_rules(rules, node.declared, estimated=True)):
        _check(rule, where.below(f"[{i}]"), node, times, total, errs, unchanged=unchanged)


def _below(node: _Node) -> Iterator[_Node]:
    """The nodes right below one that can have rules."""
    schema, declared = node.schema, node.declared
    times = _times(node)
    further = schema.get("additionalProperties")
    if isinstance(further, dict):
        items = declared.items if declared is not None else None
        yield _Node(further, node.path.below(".additionalProperties"), items, times, node.uncorrelated, False)
    known_map = schema.get("x-kubernetes-map-type") in (None, "granular", "atomic")
    for name, member in sorted_members(schema.get("properties") or {}).items():
        identifier = escape(name)
        found = declared.fields.get(identifier) if declared is not None and identifier is not None else None
        lost = node.uncorrelated or ("" if known_map else str(node.path))
        yield _Node(member, node.path.below(f".properties[{name}]"), found, times, lost, False)
    items_schema = schema.get("items")
    if isinstance(items_schema, dict):
        lost = node.uncorrelated
        if schema.get("x-kubernetes-list-type") != "map":
            lost = str(node.path)
        items = declared.items if declared is not None else None
        yield _Node(items_schema, node.path.below(".items"), items, times, lost, False)


def _times(node: _Node) -> int | None:
    """How often what is below a node can occur."""
    schema = node.schema
    most: int | None = 1
    if schema.get("type") == "object" and schema.get("additionalProperties") is not None:
        most = schema.get("maxProperties")
    elif schema.get("type") == "array":
        most = schema.get("maxItems")
    return None if node.times is None or most is None else min(node.times * max(most, 0), MOST)


def _check(
    rule: CompiledRule, path: Trail, node: _Node, times: int, total: _Total, errs: Errors, unchanged: bool
) -> None:
    where = f"{path}.rule"
    units = min(rule.cost * times, MOST)
    if not unchanged and units > RULE_ESTIMATE:
        errs.forbidden(where, _too_expensive("estimated rule cost", units, RULE_ESTIMATE))
    total.add(where, units)
    if rule.error:
        errs.invalid(where, go_rule(rule.declared), rule.error)
    if rule.message_error:
        errs.invalid(f"{path}.messageExpression", go_rule(rule.declared), rule.message_error)
    elif rule.message is not None:
        if not unchanged and rule.message_cost > RULE_ESTIMATE:
            about = "estimated messageExpression cost"
            words = _too_expensive(about, rule.message_cost, RULE_ESTIMATE)
            errs.forbidden(f"{path}.messageExpression", words)
        total.add(f"{path}.messageExpression", rule.message_cost)
    if rule.uses_old:
        if node.uncorrelated:
            words = "oldSelf cannot be used on the uncorrelatable portion of the schema within"
            errs.invalid(where, rule.declared["rule"], f"{words} {node.uncorrelated}")
    elif rule.declared.get("optionalOldSelf") is not None:
        words = "may not be set if oldSelf is not used in rule"
        errs.invalid(f"{path}.optionalOldSelf", rule.declared["optionalOldSelf"], words)


def go_rule(rule: Object) -> Object:
    """A CEL rule as Go prints its internal struct."""
    return {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }


def _too_expensive(about: str, units: int, limit: int) -> str:
    factor = units / limit
    shown = "more than 100x" if factor > 100 else f"{factor:.6f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{about} exceeds budget by factor of {shown} {_HINT}"
