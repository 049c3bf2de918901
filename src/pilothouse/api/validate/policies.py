"""Validates validating and mutating admission policies and their bindings."""

import re
from collections.abc import Callable

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.admissionregistration import rules
from pilothouse.api.validate.expressions import Expressions
from pilothouse.api.validate.shown import go
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

MAX_AUDIT_ANNOTATIONS = 20
MAX_AUDIT_EXPRESSION = 5 * 1024
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = (
    "|true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void"
    "|while|"
)

# Policies

_policy = """
    spec.failurePolicy*                 Fail|Ignore
    spec.paramKind
      apiVersion!                       group-version
      kind!                             mixed-case-label
    spec.matchConstraints*
      @match-resources
      resourceRules!
      {operations}
    spec.matchConditions                match-conditions
    spec.variables[]                    variable
"""
_validating_policy = rules.kind("admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy")(f"""
    {_policy.format(operations="")}
    if not spec.validations and not spec.auditAnnotations
      spec.validations!                 : validations or auditAnnotations must contain at least one item
      spec.auditAnnotations!            : validations or auditAnnotations must contain at least one item
    spec.validations[]                  validation
    @audit-annotations
""")
_mutating_policy = rules.kind("admissionregistration.k8s.io/v1 MutatingAdmissionPolicy")(f"""
    {_policy.format(operations="@mutating-operations")}
    spec.mutations[]!                   mutation : mutations must contain at least one item
    spec.reinvocationPolicy!            IfNeeded|Never
""")
"""Around policies is what checks their expressions."""
rules.define("""
match-resources                     api.admissionregistration.v1.MatchResources
    matchPolicy*                        Equivalent|Exact
    namespaceSelector*                  label-selector
    objectSelector*                     label-selector
    resourceRules[]
      resourceNames[]                   unique: path-segment
      @operations-rule
    excludeResourceRules[]
      resourceNames[]                   unique: path-segment
      @operations-rule
mutating-operations                 api.admissionregistration.v1.MatchResources
    resourceRules[=]
      operations[=]                     *|CONNECT|CREATE|UPDATE
param-ref                           api.admissionregistration.v1.ParamRef
    if name
      name                              path-segment
      if selector given
        forbidden                       at:name : name and selector are mutually exclusive
    selector                            label-selector
    if selector given and name
      forbidden                         at:selector : name and selector are mutually exclusive
    if not selector given and not name
      required                          : one of name or selector must be specified
""")


def validate_validating_policy(obj: Object, errs: Errors) -> None:
    _validating_policy(obj, errs, Expressions(obj.get("spec")))


def validate_mutating_policy(obj: Object, errs: Errors) -> None:
    _mutating_policy(obj, errs, Expressions(obj.get("spec")))


@rules
def _group_version(text: str, path: str, errs: Errors) -> None:
    if text.count("/") > 1:
        errs.invalid(path, text, f"unexpected GroupVersion string: {text}")
        return
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


@rules
def _variable(variable: Object, path: str, errs: Errors, expressions: Expressions) -> None:
    name = variable.get("name", "")
    if not name.strip():
        errs.required(f"{path}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name) or f"|{name}|" in _RESERVED:
        errs.invalid(f"{path}.name", name, "must be a valid CEL identifier")

    def check(text: str, at: str, errs: Errors) -> None:
        expressions.variable(name, text, at, errs)

    _expression(variable, "expression", path, errs, check)


def _expression(
    holder: Object,
    member: str,
    path: str,
    errs: Errors,
    check: Callable[[str, str, Errors], None],
    missing: str | None = None,
) -> None:
    """Applies a check to an expression, which must be there; `missing` says why if it is not."""
    text = holder.get(member, "")
    if text.strip():
        check(text, f"{path}.{member}", errs)
    else:
        errs.required(f"{path}.{member}", f"{member} is not specified" if missing is None else missing)


@rules
def _validation(validation: Object, path: str, errs: Errors, expressions: Expressions) -> None:
    message_text = validation.get("messageExpression", "")
    _expression(validation, "expression", path, errs, expressions.validation)
    if message_text.strip():
        expressions.message(message_text, f"{path}.messageExpression", errs)
    _message(validation, path, errs)


_message = rules.table("api.admissionregistration.v1.Validation")("""
    messageExpression+                  not-blank
    message+                            not-blank no-line-break
    reason                              Forbidden|Invalid|RequestEntityTooLarge
""")


@rules
def _audit_annotations(obj: Object, path: str, errs: Errors, expressions: Expressions) -> None:
    annotations, path = d.found(obj, ("spec", "auditAnnotations"), []), "spec.auditAnnotations"
    name = d.found(obj, ("metadata", "name"), "")
    if len(annotations) > MAX_AUDIT_ANNOTATIONS:
        shown = go(annotations, "api.admissionregistration.v1.AuditAnnotation")
        errs.invalid(path, shown, f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations")

    def check(text: str, at: str, errs: Errors) -> None:
        if names.size(text.strip()) > MAX_AUDIT_EXPRESSION:
            errs.required(at, f"must not exceed {MAX_AUDIT_EXPRESSION} bytes in length")
        else:
            expressions.audit_value(text, at, errs)

    seen: set[str] = set()
    for i, annotation in enumerate(annotations):
        at, key = f"{path}[{i}]", annotation.get("key", "")
        if name:
            d.qualified_name(f"{name}/{key}", f"{at}.key", errs)
        else:
            errs.invalid(f"{at}.key", key, "requires metadata.name be non-empty")
        _expression(annotation, "valueExpression", at, errs, check)
        if key in seen:
            errs.duplicate(f"{at}.key", key)
        seen.add(key)


_PATCHES = {"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}


@rules
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

        def check(text: str, at: str, errs: Errors) -> None:
            expressions.mutation(text, kind, at, errs)

        _expression(mutation[member], "expression", f"{path}.{member}", errs, check, missing="")
    for other in _PATCHES.values():
        if other != member and mutation.get(other) is not None:
            why = f"must not be specified when patchType is {kind}"
            errs.invalid(f"{path}.{other}", f"{{{other}}}", why)


validate_policy_status = rules.change("admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy")("""
    status.typeChecking.expressionWarnings[]
      warning!
      fieldRef!
    status.conditions                   conditions
""")
"""The status of a policy of either kind."""

# Bindings

_binding = """
    spec.policyName!                    dns-subdomain
    spec.paramRef                       param-ref
      parameterNotFoundAction!          Deny|Allow
    spec.matchResources                 match-resources
"""
validate_validating_binding = rules.kind("admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding")(f"""
    {_binding}
    spec.validationActions[]            unique: Audit|Deny|Warn
    if spec.validationActions has Deny and spec.validationActions has Warn
      spec.validationActions            never : must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)
    spec.validationActions!             : at least one validation action is required
""")
validate_mutating_binding = rules.kind("admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding")(f"""
    {_binding}
    spec.matchResources                 mutating-operations
""")
