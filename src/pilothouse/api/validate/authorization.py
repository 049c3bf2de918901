"""Rules of access reviews. What is wrong with them is told once admission has seen them."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object

_BOTH = "cannot be specified in combination with resourceAttributes"
_NEITHER = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


def validate_subject_access(obj: Object, errs: Errors) -> None:
    """A SubjectAccessReview."""
    spec = obj.get("spec") or {}
    _validate_spec(spec, errs)
    _validate_subject(spec, errs)
    _validate_metadata(obj, errs, "must be empty")


def validate_local_subject_access(obj: Object, errs: Errors) -> None:
    """A LocalSubjectAccessReview: it asks about its own namespace."""
    spec = obj.get("spec") or {}
    _validate_spec(spec, errs)
    _validate_subject(spec, errs)
    own = (obj.get("metadata") or {}).get("namespace", "")
    _validate_metadata(obj, errs, "must be empty except for namespace", "namespace")
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and resource.get("namespace", "") != own:
        asked = resource.get("namespace", "")
        errs.invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace")
    if path is not None:
        errs.invalid("spec.nonResourceAttributes", _go_path(path), "disallowed on this kind of request")


def validate_self_subject_access(obj: Object, errs: Errors) -> None:
    """A SelfSubjectAccessReview."""
    spec = obj.get("spec") or {}
    _validate_spec(spec, errs)
    _validate_metadata(obj, errs, "must be empty")


def _validate_spec(spec: Object, errs: Errors) -> None:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        errs.invalid("spec.nonResourceAttributes", _go_path(path), _BOTH)
    if resource is None and path is None:
        errs.invalid("spec.resourceAttributes", None, _NEITHER)
    if resource is not None:
        _validate_field_selector(resource.get("fieldSelector"), errs)
        _validate_label_selector(resource.get("labelSelector"), errs)


def _validate_subject(spec: Object, errs: Errors) -> None:
    if not spec.get("user") and not spec.get("groups"):
        errs.invalid("spec.user", spec.get("user", ""), "at least one of user or group must be specified")


def _validate_metadata(obj: Object, errs: Errors, why: str, *allowed: str) -> None:
    metadata = obj.get("metadata") or {}
    if any(value for member, value in metadata.items() if member not in ("managedFields", *allowed)):
        errs.invalid("metadata", {m: metadata[m] for m in _METADATA if metadata.get(m)}, why)


_METADATA = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
"""The members of ObjectMeta in the order in which Go shows them."""


def _go_path(attributes: Object) -> Object:
    """Non-resource attributes as a message shows them: the internal type has no JSON names."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}


def _validate_selector(selector: Object, path: str, errs: Errors) -> None:
    """The rule both selectors share: raw text or requirements."""
    raw, requirements = selector.get("rawSelector", ""), selector.get("requirements") or []
    if raw and requirements:
        errs.invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        errs.required(
            f"{path}.requirements",
            f"when {path} is specified, requirements or rawSelector is required",
        )


def _validate_field_selector(selector: Object | None, errs: Errors) -> None:
    path = "spec.resourceAttributes.fieldSelector"
    if selector is None:
        return
    _validate_selector(selector, path, errs)
    for i, requirement in enumerate(selector.get("requirements") or ()):
        at = f"{path}.requirements[{i}]"
        if not requirement.get("key"):
            errs.required(f"{at}.key", "must be specified")
        _validate_values(requirement, at, errs)


def _validate_label_selector(selector: Object | None, errs: Errors) -> None:
    path = "spec.resourceAttributes.labelSelector"
    if selector is None:
        return
    _validate_selector(selector, path, errs)
    for i, requirement in enumerate(selector.get("requirements") or ()):
        at = f"{path}.requirements[{i}]"
        _validate_values(requirement, at, errs)
        for wrong in names.qualified_name(requirement.get("key", "")):
            errs.invalid(f"{at}.key", requirement.get("key", ""), wrong)
        if requirement.get("operator") in _SET_OPERATORS:
            for j, value in enumerate(requirement.get("values") or ()):
                for wrong in names.label_value(value):
                    errs.invalid(f"{at}.values[{j}]", value, wrong)


_SET_OPERATORS = ("In", "NotIn")


def _validate_values(requirement: Object, at: str, errs: Errors) -> None:
    """An operator that is not known passes: what it means is for the authorizer to ignore."""
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    if operator in _SET_OPERATORS and not values:
        errs.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        errs.forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
