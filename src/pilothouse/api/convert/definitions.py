"""Converts definitions of custom resources from v1beta1, in which kube-apiserver still stores them, to v1.

Its v1 conversion keeps what all versions have in common once (pkg/apis/apiextensions/v1/conversion.go), and
its store writes the form of v1beta1 with v1beta1's names. No server has served that version since v1.22.
"""

from pilothouse.api.values.fields import Object

KIND = "CustomResourceDefinition"
OLD, NEW = "apiextensions.k8s.io/v1beta1", "apiextensions.k8s.io/v1"

_SHARED = ("subresources", "validation", "additionalPrinterColumns", "selectableFields")
"""Members of the spec that stand for the same member of each version; `validation` for its `schema`."""
_REVIEWS = "conversionReviewVersions"


def from_v1beta1(obj: Object) -> Object:
    """The definition in v1, with v1beta1's defaults for what is absent. The given object is left as it is."""
    spec = dict(obj.get("spec") or {})
    versions = [dict(version) for version in spec.get("versions") or ()]
    first = spec.pop("version", "")
    if not versions and first:
        versions = [{"name": first, "served": True, "storage": True}]
    for name in _SHARED:
        shared = spec.pop(name, None)
        if shared is not None:
            for version in versions:
                version["schema" if name == "validation" else name] = shared
    for version in versions:
        columns = version.get("additionalPrinterColumns")
        if columns:
            version["additionalPrinterColumns"] = [_column(column) for column in columns]
    spec["versions"] = versions
    spec["conversion"] = _conversion(spec.get("conversion") or {})
    spec.setdefault("preserveUnknownFields", True)
    if not spec["preserveUnknownFields"]:
        del spec["preserveUnknownFields"]
    out = {**obj, "apiVersion": NEW, "spec": spec}
    status = dict(obj.get("status") or {})
    if not status.get("storedVersions"):
        status["storedVersions"] = [version["name"] for version in versions if version.get("storage")][:1]
    return {**out, "status": status}


def _column(column: Object) -> Object:
    """A printer column, whose path has another name in v1beta1."""
    return {"jsonPath" if name == "JSONPath" else name: value for name, value in column.items()}


def _conversion(old: Object) -> Object:
    """How versions are converted: what is about a webhook stands in a member of its own in v1."""
    strategy = old.get("strategy") or "None"
    client, reviews = old.get("webhookClientConfig"), old.get(_REVIEWS)
    if strategy == "Webhook" and not reviews:
        reviews = ["v1beta1"]
    if client is None and not reviews:
        return {"strategy": strategy}
    webhook: Object = {} if client is None else {"clientConfig": client}
    return {"strategy": strategy, "webhook": {**webhook, _REVIEWS: reviews or []}}
