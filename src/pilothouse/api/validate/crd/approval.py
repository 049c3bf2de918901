"""Protected groups: those of Kubernetes, whose definitions need an approval."""

from urllib.parse import urlsplit

from pilothouse.api.structural.formats import request_uri
from pilothouse.api.values.fields import Errors, Object, key
from pilothouse.gotext import quote

APPROVED = "api-approved.kubernetes.io"


def is_protected(group: str) -> bool:
    """Whether a group is reserved for Kubernetes (`*.k8s.io`, `*.kubernetes.io`)."""
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def state(annotations: Object | None) -> tuple[str, str]:
    """The state of the approval annotation (missing, bypassed, approved, invalid) and the reason for it."""
    text = (annotations or {}).get(APPROVED) or ""
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not text:
        return "missing", f"protected groups must have approval annotation {quote(APPROVED)}, {see}"
    if text.startswith("unapproved"):
        return "bypassed", f"not approved: {quote(text)}"
    if request_uri(text):
        url = urlsplit(text)
        if url.scheme and url.netloc:
            return "approved", f"approved in {text}"
    either = 'with either a URL or a reason starting with "unapproved"'
    return "invalid", f"protected groups must have approval annotation {quote(APPROVED)} {either}, {see}"


def validate_approval(obj: Object, old: Object | None, errs: Errors) -> None:
    if not is_protected(obj["spec"].get("group") or ""):
        return
    annotations = obj["metadata"].get("annotations")
    found, reason = state(annotations)
    if old is not None and state(old["metadata"].get("annotations"))[0] == found:
        return
    path = key("metadata.annotations", APPROVED)
    if found == "missing":
        errs.required(path, reason)
    elif found == "invalid":
        errs.invalid(path, (annotations or {}).get(APPROVED, ""), reason)
