"""Rules of access reviews. What is wrong with them is told once admission has seen them."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.shown import object_meta
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

_spec = """
    if spec.resourceAttributes given
      spec.nonResourceAttributes        never show:api.authorization.v1.NonResourceAttributes : cannot be specified in combination with resourceAttributes
    elif not spec.nonResourceAttributes given
      invalid                           at:spec.resourceAttributes show:null : exactly one of nonResourceAttributes or resourceAttributes must be specified
    spec.resourceAttributes.fieldSelector
      @raw-or-requirements
      requirements[]
        key!                            : must be specified
        @values
    spec.resourceAttributes.labelSelector
      @raw-or-requirements
      requirements[]
        @values
        key                             qualified-name
        if operator in In|NotIn
          values[]                      label-value
"""
_subject = """
    if not spec.user and not spec.groups
      spec.user                         never : at least one of user or group must be specified
"""
rules = Rules(__name__)


@rules
def _no_metadata(obj: Object, path: str, errs: Errors) -> None:
    _check_metadata(obj, "must be empty", errs)


@rules
def _own_namespace(obj: Object, path: str, errs: Errors) -> None:
    _check_metadata(obj, "must be empty except for namespace", errs, "namespace")
    resource, own = d.found(obj, ("spec", "resourceAttributes")), d.found(obj, ("metadata", "namespace"), "")
    if resource is not None and resource.get("namespace", "") != own:
        asked = resource.get("namespace", "")
        errs.invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace")


def _check_metadata(obj: Object, why: str, errs: Errors, *allowed: str) -> None:
    metadata = obj.get("metadata") or {}
    if any(value for member, value in metadata.items() if member not in ("managedFields", *allowed)):
        errs.invalid("metadata", object_meta(metadata), why)


@rules
def _raw_or_requirements(selector: Object, path: str, errs: Errors) -> None:
    raw, requirements = selector.get("rawSelector", ""), selector.get("requirements") or []
    if raw and requirements:
        errs.invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        why = f"when {path} is specified, requirements or rawSelector is required"
        errs.required(f"{path}.requirements", why)


validate_self_subject_access = rules.kind("authorization.k8s.io/v1 SelfSubjectAccessReview")(
    _spec + "    @no-metadata"
)
validate_subject_access = rules.kind("authorization.k8s.io/v1 SubjectAccessReview")(
    _spec + _subject + "    @no-metadata"
)
validate_local_subject_access = rules.kind("authorization.k8s.io/v1 LocalSubjectAccessReview")(
    _spec
    + _subject
    + """
    @own-namespace
    spec.nonResourceAttributes          never show:api.authorization.v1.NonResourceAttributes : disallowed on this kind of request
"""
)
"""Rules of a LocalSubjectAccessReview, which asks about its own namespace."""
rules.define("""
values                              apimachinery.pkg.apis.meta.v1.FieldSelectorRequirement|LabelSelectorRequirement
    if operator in In|NotIn
      values!                           : must be specified when `operator` is 'In' or 'NotIn'
    if operator in Exists|DoesNotExist
      values-                           : may not be specified when `operator` is 'Exists' or 'DoesNotExist'
""")
"""An operator that is not known passes: what it means is for the authorizer to ignore."""
