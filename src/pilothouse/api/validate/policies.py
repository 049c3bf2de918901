"""Validates validating and mutating admission policies and their bindings."""

import re
from collections.abc import Sequence

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.admissionregistration import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    REINVOCATION_POLICIES,
    validate_match_conditions,
    validate_operations_rule,
)
from pilothouse.api.validate.common import (
    report,
    validate_dns_subdomain,
    validate_label_selector,
    validate_qualified_name,
)
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.expressions import Expressions

MAX_AUDIT_ANNOTATIONS = 20
MAX_AUDIT_EXPRESSION = 5 * 1024
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ACTIONS = ("Audit", "Deny", "Warn")
_MUTATING_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
_NOTHING = "validations or auditAnnotations must contain at least one item"
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)


# Policies


def validate_validating_policy(obj: Object, errs: Errors) -> None:
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name", "")
    expressions = Expressions(spec)
    _head(spec, errs, expressions, ())
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        errs.required("spec.validations", _NOTHING)
        errs.required("spec.auditAnnotations", _NOTHING)
        return
    for i, validation in enumerate(validations):
        _validation(validation, f"spec.validations[{i}]", errs, expressions)
    _audit_annotations(annotations, name, errs, expressions)


def validate_mutating_policy(obj: Object, errs: Errors) -> None:
    spec = obj.get("spec") or {}
    expressions = Expressions(spec)
    _head(spec, errs, expressions, _MUTATING_OPERATIONS)
    if not spec.get("mutations"):
        errs.required("spec.mutations", "mutations must contain at least one item")
    for i, mutation in enumerate(spec.get("mutations") or ()):
        _mutation(mutation, f"spec.mutations[{i}]", errs, expressions)
    reinvocation = spec.get("reinvocationPolicy", "")
    if not reinvocation:
        errs.required("spec.reinvocationPolicy")
    elif reinvocation not in REINVOCATION_POLICIES:
        errs.not_supported("spec.reinvocationPolicy", reinvocation, REINVOCATION_POLICIES)


def _head(spec: Object, errs: Errors, expressions: Expressions, operations: tuple[str, ...]) -> None:
    """Validates the fields common to both kinds; `operations` are the allowed ones, () = all."""
    policy, constraints = spec.get("failurePolicy"), spec.get("matchConstraints")
    if policy is None:
        errs.required("spec.failurePolicy")
    elif policy not in FAILURE_POLICIES:
        errs.not_supported("spec.failurePolicy", policy, FAILURE_POLICIES)
    if spec.get("paramKind") is not None:
        _param_kind(spec["paramKind"], "spec.paramKind", errs)
    if constraints is None:
        errs.required("spec.matchConstraints")
    else:
        path = "spec.matchConstraints"
        _match_resources(constraints, path, errs)
        if not constraints.get("resourceRules"):
            errs.required(f"{path}.resourceRules")
        _only_operations(constraints, f"{path}.resourceRules.operations", operations, errs)
    conditions = spec.get("matchConditions") or ()
    validate_match_conditions(conditions, "spec.matchConditions", errs, expressions)
    for i, variable in enumerate(spec.get("variables") or ()):
        _variable(variable, f"spec.variables[{i}]", errs, expressions)


def _only_operations(resources: Object, path: str, valid: tuple[str, ...], errs: Errors) -> None:
    for rule in resources.get("resourceRules") or ():
        for operation in rule.get("operations") or ():
            if valid and operation not in valid:
                errs.not_supported(path, operation, valid)


def _param_kind(kind: Object, path: str, errs: Errors) -> None:
    version, name = kind.get("apiVersion", ""), kind.get("kind", "")
    if not version:
        errs.required(f"{path}.apiVersion")
    elif version.count("/") > 1:
        errs.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    else:
        _group_version(version, f"{path}.apiVersion", errs)
    if not name:
        errs.required(f"{path}.kind")
    else:
        wrong = names.dns1035_label(name.lower())
        if wrong:
            why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            errs.invalid(f"{path}.kind", name, why)


def _group_version(text: str, path: str, errs: Errors) -> None:
    group, _, version = text.rpartition("/")
    if group:
        wrong = names.dns_subdomain(group)
        if wrong:
            errs.invalid(path, group, ",".join(wrong))
    if not version:
        errs.invalid(path, text, "version must be specified")
        return
    wrong = names.dns1035_label(version)
    if wrong:
        errs.invalid(path, version, ",".join(wrong))


def _match_resources(resources: Object, path: str, errs: Errors) -> None:
    policy = resources.get("matchPolicy")
    if policy is None:
        errs.required(f"{path}.matchPolicy")
    elif policy not in MATCH_POLICIES:
        errs.not_supported(f"{path}.matchPolicy", policy, MATCH_POLICIES)
    for member in ("namespaceSelector", "objectSelector"):
        if resources.get(member) is None:
            errs.required(f"{path}.{member}")
        else:
            validate_label_selector(resources[member], f"{path}.{member}", errs)
    for member in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(resources.get(member) or ()):
            _named_rule(rule, f"{path}.{member}[{i}]", errs)


def _named_rule(rule: Object, path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, name in enumerate(rule.get("resourceNames") or ()):
        report(f"{path}.resourceNames[{i}]", name, names.path_segment(name), errs)
        if name in seen:
            errs.duplicate(f"{path}.resourceNames[{i}]", name)
        seen.add(name)
    validate_operations_rule(rule, path, errs)


def _variable(variable: Object, path: str, errs: Errors, expressions: Expressions) -> None:
    name, text = variable.get("name", ""), variable.get("expression", "")
    if not name.strip():
        errs.required(f"{path}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
        errs.invalid(f"{path}.name", name, "must be a valid CEL identifier")
    if not text.strip():
        errs.required(f"{path}.expression", "expression is not specified")
    else:
        expressions.variable(name, text, f"{path}.expression", errs)


def _validation(validation: Object, path: str, errs: Errors, expressions: Expressions) -> None:
    text, message = validation.get("expression", ""), validation.get("message", "")
    message_text, reason = validation.get("messageExpression", ""), validation.get("reason")
    if not text.strip():
        errs.required(f"{path}.expression", "expression is not specified")
    else:
        expressions.validation(text, f"{path}.expression", errs)
    if message_text and not message_text.strip():
        errs.invalid(f"{path}.messageExpression", message_text, "must be non-empty if specified")
    elif message_text:
        expressions.message(message_text, f"{path}.messageExpression", errs)
    if message and not message.strip():
        errs.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        errs.invalid(f"{path}.message", message, "must not contain line breaks")
    if reason is not None and reason not in _REASONS:
        errs.not_supported(f"{path}.reason", reason, _REASONS)


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _audit_annotations(
    annotations: Sequence[Object], name: str, errs: Errors, expressions: Expressions
) -> None:
    path = "spec.auditAnnotations"
    if len(annotations) > MAX_AUDIT_ANNOTATIONS:
        shown = [
            {"Key": a.get("key", ""), "ValueExpression": a.get("valueExpression", "")} for a in annotations
        ]
        why = f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations"
        errs.invalid(path, shown, why)
    seen: set[str] = set()
    for i, annotation in enumerate(annotations):
        key = annotation.get("key", "")
        _audit_annotation(annotation, name, f"{path}[{i}]", errs, expressions)
        if key in seen:
            errs.duplicate(f"{path}[{i}].key", key)
        seen.add(key)


def _audit_annotation(
    annotation: Object, name: str, path: str, errs: Errors, expressions: Expressions
) -> None:
    key, text = annotation.get("key", ""), annotation.get("valueExpression", "")
    if name:
        validate_qualified_name(f"{name}/{key}", f"{path}.key", errs)
    else:
        errs.invalid(f"{path}.key", key, "requires metadata.name be non-empty")
    if not text.strip():
        errs.required(f"{path}.valueExpression", "valueExpression is not specified")
    elif len(text.strip().encode()) > MAX_AUDIT_EXPRESSION:
        why = f"must not exceed {MAX_AUDIT_EXPRESSION} bytes in length"
        errs.required(f"{path}.valueExpression", why)
    else:
        expressions.audit_value(text, f"{path}.valueExpression", errs)


_PATCHES = {"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}


def _mutation(mutation: Object, path: str, errs: Errors, expressions: Expressions) -> None:
    kind = mutation.get("patchType", "")
    if not kind:
        errs.required(f"{path}.patchType")
        return
    member = _PATCHES.get(kind)
    if member is None:
        errs.not_supported(f"{path}.patchType", kind, sorted(_PATCHES))
        return
    if mutation.get(member) is None:
        errs.required(f"{path}.{member}", f"must be specified when patchType is {kind}")
    else:
        text = mutation[member].get("expression", "")
        if not text.strip():
            errs.required(f"{path}.{member}.expression", "expression is not specified")
        else:
            expressions.mutation(text, kind, f"{path}.{member}.expression", errs)
    for other in _PATCHES.values():
        if other != member and mutation.get(other) is not None:
            why = f"must not be specified when patchType is {kind}"
            errs.invalid(f"{path}.{other}", f"{{{other}}}", why)


def validate_policy_status(obj: Object, old: Object, errs: Errors) -> None:
    status = obj.get("status") or {}
    warnings = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
    for i, warning in enumerate(warnings):
        for member in ("warning", "fieldRef"):
            if not warning.get(member):
                errs.required(f"status.typeChecking.expressionWarnings[{i}].{member}")
    validate_conditions(status.get("conditions") or [], "status.conditions", errs)


# Bindings


def validate_validating_binding(obj: Object, errs: Errors) -> None:
    """Upstream declares the required policy name and actions with the types, so they are reported last."""
    spec, declared = obj.get("spec") or {}, Errors()
    _binding(spec, errs, declared)
    _validation_actions(spec.get("validationActions") or [], errs, declared)
    errs.extend(declared)


def validate_mutating_binding(obj: Object, errs: Errors) -> None:
    spec = obj.get("spec") or {}
    _binding(spec, errs, errs)
    resources = spec.get("matchResources")
    if resources is not None:
        path = "spec.matchResources.resourceRules.operations"
        _only_operations(resources, path, _MUTATING_OPERATIONS, errs)


def _binding(spec: Object, errs: Errors, declared: Errors) -> None:
    name = spec.get("policyName", "")
    if not name:
        declared.required("spec.policyName")
    else:
        validate_dns_subdomain(name, "spec.policyName", errs)
    if spec.get("paramRef") is not None:
        _param_ref(spec["paramRef"], "spec.paramRef", errs)
    if spec.get("matchResources") is not None:
        _match_resources(spec["matchResources"], "spec.matchResources", errs)


def _param_ref(ref: Object, path: str, errs: Errors) -> None:
    name, selector, missing = ref.get("name", ""), ref.get("selector"), ref.get("parameterNotFoundAction")
    both = "name and selector are mutually exclusive"
    if name:
        report(f"{path}.name", name, names.path_segment(name), errs)
        if selector is not None:
            errs.forbidden(f"{path}.name", both)
    if selector is not None:
        validate_label_selector(selector, f"{path}.selector", errs)
        if name:
            errs.forbidden(f"{path}.selector", both)
    if not name and selector is None:
        errs.required(path, "one of name or selector must be specified")
    if not missing:
        errs.required(f"{path}.parameterNotFoundAction")
    elif missing not in ("Deny", "Allow"):
        errs.not_supported(f"{path}.parameterNotFoundAction", missing, ("Deny", "Allow"))


def _validation_actions(actions: list[str], errs: Errors, declared: Errors) -> None:
    path = "spec.validationActions"
    seen: set[str] = set()
    for i, action in enumerate(actions):
        if action not in _ACTIONS:
            errs.not_supported(f"{path}[{i}]", action, _ACTIONS)
        if action in seen:
            errs.duplicate(f"{path}[{i}]", action)
        seen.add(action)
    if "Deny" in actions and "Warn" in actions:
        why = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the "
            "API response and headers serves no purpose)"
        )
        errs.invalid(path, actions, why)
    if not actions:
        declared.required(path, "at least one validation action is required")
