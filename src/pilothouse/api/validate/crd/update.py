"""Validates changes of definitions: what the stored one does not fulfil is not demanded of the new one."""

from collections.abc import Callable

from pilothouse.api.structural.paths import Trail
from pilothouse.api.validate import admissionregistration
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, is_true
from pilothouse.api.validate.crd.definition import DefinitionOptions, validate_rest, validate_spec
from pilothouse.api.validate.crd.internal import Internal, schema_of
from pilothouse.api.validate.crd.schema import TYPES, atomic_set, map_list_keys, structural_faults
from pilothouse.api.validate.crd.selectable import MAX_SELECTABLE_FIELDS
from pilothouse.api.values.fields import Errors, Object

_fixed_when_established = d.change(d.fixed("spec.scope", ""), d.fixed("spec.names.kind", ""))
_fixed = d.change(d.fixed("spec.group", ""), d.fixed("spec.names.plural", ""))


def validate_update(obj: Object, old: Object, errs: Errors) -> None:
    """A changed definition: what the stored one does not fulfil is not demanded of it."""
    spec, before = obj["spec"], old["spec"]
    internal = Internal.of(before)
    versions = internal.versions
    recognised = d.found(before, ("conversion", "webhook", "conversionReviewVersions"), [])
    established = is_true(old, "Established")
    options = DefinitionOptions(
        require_structural=not any(map(structural_faults, internal.schemas())),
        require_types=not internal.any_schema(_has_odd_type),
        require_schema="schema" in internal.top or all(map(schema_of, versions)),
        require_atomic_sets=not internal.any_schema(_breaks(atomic_set)),
        require_map_keys=not internal.any_schema(_breaks(map_list_keys)),
        stored=internal.schemas(),
        require_review=not recognised or bool(set(recognised) & set(admissionregistration.REVIEW_VERSIONS)),
        any_bundle=not established,
        many=frozenset(_too_many(internal, Internal.of(spec))),
    )
    validate_spec(spec, options, errs)
    if established:
        _fixed_when_established(obj, old, errs)
    _fixed(obj, old, errs)
    validate_rest(obj, old, errs)


def _has_odd_type(schema: Object) -> bool:
    return bool(schema.get("type")) and schema["type"] not in TYPES


def _breaks(rule: Callable[[Object, Trail, Errors], None]) -> Callable[[Object], bool]:
    def test(schema: Object) -> bool:
        found = Errors()
        rule(schema, Trail(""), found)
        return bool(found)

    return test


def _too_many(before: Internal, now: Internal) -> set[str]:
    """Versions ("" for all) that have too many selectable fields, unchanged from the stored definition."""
    out = set()
    was, fields = before.top.get("selectableFields") or [], now.top.get("selectableFields")
    if len(was) > MAX_SELECTABLE_FIELDS and equal(fields, was):
        out.add("")
    stored = {version.get("name"): version.get("selectableFields") or [] for version in before.versions}
    for version in now.versions:
        live = stored.get(version.get("name"), [])
        if len(live) > MAX_SELECTABLE_FIELDS and equal(version.get("selectableFields"), live):
            out.add(version.get("name", ""))
    return out
