"""Checks the expressions of validating admission policies against the types of the kinds that they are about
(apiserver plugin/policy/validating typechecking.go)."""

from collections.abc import Iterator

from pilothouse.api.cel import DYN, CelType, CompileError, Environment
from pilothouse.api.expressions import admission
from pilothouse.api.expressions.kind_types import declared
from pilothouse.api.types import scheme
from pilothouse.api.values.fields import Object
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource

MAX_KINDS = 10
"""Kinds for which the expressions of a policy are checked."""


def warnings_of(spec: Object, catalog: Catalog) -> list[Object]:
    """The warnings about expressions that do not fit the types of the kinds that a policy is about:
    one for each expression."""
    kinds = [
        (resource, declared(resource.type_of())) for resource in _kinds(spec, catalog) if resource.type_of
    ]
    out: list[Object] = []
    for i, validation in enumerate(spec.get("validations") or ()):
        for member in ("expression", "messageExpression"):
            text = validation.get(member)
            found = list(_faults(spec, text, kinds, catalog)) if text else []
            if found:
                out.append({"fieldRef": f"spec.validations[{i}].{member}", "warning": "\n".join(found)})
    return out


def _kinds(spec: Object, catalog: Catalog) -> list[Resource]:
    """The resources that the rules name without wildcards, sorted."""
    found: dict[tuple[str, str, str], Resource] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
        if any("*" in text for text in (*groups, *versions)):
            continue
        plurals = sorted(name for name in rule.get("resources") or () if not set("*/") & set(name))
        named = ((g, v, p) for g in sorted(groups) for v in sorted(versions) for p in plurals)
        for resource in (catalog.get(*one) for one in named):
            if resource is not None and len(found) < MAX_KINDS:
                found[resource.group, resource.version, resource.kind] = resource
    return [found[key] for key in sorted(found)]


def _faults(
    spec: Object, text: str, kinds: list[tuple[Resource, CelType]], catalog: Catalog
) -> Iterator[str]:
    for resource, type in kinds:
        environment = _environment(spec, type, catalog)
        try:
            environment.compile(text)
        except CompileError as err:
            yield f"{resource.group}/{resource.version}, Kind={resource.kind}: {err}\n"


def _environment(spec: Object, type: CelType, catalog: Catalog) -> Environment:
    """The environment of the policy's expressions when `object` is of this type."""
    composition = admission.Composition()
    environment = admission.typed_environment(type, _params(spec, catalog), composition)
    for one in spec.get("variables") or ():
        try:
            composition.add(one["name"], environment.compile(one["expression"]).type)
        except CompileError:
            composition.add(one["name"], None)
    return environment


def _params(spec: Object, catalog: Catalog) -> CelType | None:
    """The type of the parameters, None when there are none; dyn when their kind is not known."""
    kind = spec.get("paramKind")
    if kind is None:
        return None
    try:
        group, version = scheme.parse_group_version(kind.get("apiVersion") or "")
    except ValueError:
        return DYN
    resource = catalog.by_kind(group, version, kind.get("kind") or "")
    if resource is None or resource.type_of is None:
        return DYN
    return declared(resource.type_of())
