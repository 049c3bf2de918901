"""ConversionReviews: what a conversion webhook is sent, and what of its answer is accepted.

Upstream: apiextensions-apiserver pkg/apiserver/conversion/webhook_converter.go. The messages are upstream's.
"""

from collections.abc import Sequence
from typing import Any

from pilothouse import gotext
from pilothouse.api import json, meta
from pilothouse.api.structural.codec import plain, whole_numbers
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.selectors import validate_labels
from pilothouse.gotext import quote
from pilothouse.outbound import webhook
from pilothouse.outbound.webhook import WebhookError

GROUP = "apiextensions.k8s.io"
KIND = "ConversionReview"
VERSIONS = ("v1", "v1beta1")
"""The versions of reviews that this server knows."""

CALL = "conversion_webhook_call_failure"
MALFORMED = "conversion_webhook_malformed_response_failure"
PARTIAL = "conversion_webhook_partial_response_failure"
INVALID = "conversion_webhook_invalid_converted_object_failure"


class Failure(Exception):
    """A conversion that failed: its message, and its failure_type in the metrics."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def version_for(accepted: Sequence[str]) -> str:
    """The first version of reviews that a webhook accepts and this server knows, "" when there is none."""
    return next((version for version in accepted if version in VERSIONS), "")


def request(version: str, uid: str, to: str, objects: Sequence[Object]) -> bytes:
    """The review that asks for objects in the API version `to`."""
    response: Object = {"uid": "", "convertedObjects": None, "result": {"metadata": {}}}
    return json.dump(
        {
            "kind": KIND,
            "apiVersion": f"{GROUP}/{version}",
            "request": {"uid": uid, "desiredAPIVersion": to, "objects": objects},
            "response": response,
        }
    )


def described(obj: Object) -> str:
    """The kind of an object as Go prints a GroupVersionKind."""
    return f"{obj.get('apiVersion', '')}, Kind={obj.get('kind', '')}"


def response(data: bytes, version: str, uid: str, originals: Sequence[Object], to: str) -> list[Object]:
    """The converted objects out of an answer, with the metadata of the originals; raises Failure."""
    about = f"conversion webhook for {described(originals[0])}"
    try:
        review = webhook.decode(data, GROUP, KIND, version, VERSIONS)
    except WebhookError as err:
        raise Failure(CALL, f"{about} failed: {err}") from None
    try:
        made = _objects(review, version, uid)
    except ValueError as err:
        raise Failure(MALFORMED, f"{about} failed: {err}") from None
    if len(made) != len(originals):
        raise Failure(PARTIAL, f"{about} returned {len(made)} objects, expected {len(originals)}")
    alone = len(originals) == 1
    pairs = zip(originals, made, strict=True)
    return [
        _accepted(original, obj, to, about, -1 if alone else i) for i, (original, obj) in enumerate(pairs)
    ]


def _objects(review: Object, version: str, uid: str) -> list[Any]:
    """The objects of a response that says that it is one; ValueError."""
    answer = review.get("response")
    if version == "v1" and (review.get("apiVersion"), review.get("kind")) != (f"{GROUP}/v1", KIND):
        group, _, of = (review.get("apiVersion") or "").rpartition("/")
        got = f"{group}/{of}, Kind={review.get('kind') or ''}"
        raise ValueError(f"expected webhook response of {GROUP}/v1, Kind={KIND}, got {got}")
    if answer is None:
        raise ValueError("no response provided")
    if not isinstance(answer, dict):
        raise ValueError(_mistyped(answer, "response", "v1.ConversionResponse"))
    if version == "v1" and answer.get("uid", "") != uid:
        said = answer.get("uid", "")
        raise ValueError(
            f"expected response.uid={quote(uid)}, got {quote(said if isinstance(said, str) else '')}"
        )
    result = answer.get("result") or {}
    if not isinstance(result, dict):
        raise ValueError(_mistyped(result, "response.result", "v1.Status"))
    if result.get("status", "") != "Success":
        message = result.get("message")
        if message and isinstance(message, str):
            raise ValueError(message)
        raise ValueError(f"response.result.status was '{result.get('status', '')}', not 'Success'")
    objects = answer.get("convertedObjects")
    if objects is not None and not isinstance(objects, list):
        raise ValueError(_mistyped(objects, "response.convertedObjects", "[]runtime.RawExtension"))
    return objects or []


def _mistyped(value: object, path: str, wanted: str) -> str:
    name = {"map[string]interface {}": "object", "[]interface {}": "array"}.get(gotext.type_name(value))
    return (
        f"json: cannot unmarshal {name or gotext.type_name(value)} into Go struct field"
        f" ConversionReview.{path} of type {wanted}"
    )


def _accepted(original: Object, obj: Any, to: str, about: str, index: int) -> Object:
    """A converted object with the metadata that it must have;
    `index` is its place in a batch, -1 = it came alone."""

    def refuse(what: str, why: str, where: int) -> Failure:
        return Failure(
            INVALID, f"{about} returned invalid {what}{f' at index {where}' if where >= 0 else ''}: {why}"
        )

    alone = index < 0
    what, place = ("object", 0) if alone else ("converted object", index)
    if not isinstance(obj, dict) or not obj.get("kind") or not isinstance(obj["kind"], str):
        why = f"Object 'Kind' is missing in '{json.dump(obj).decode()[: webhook.SHOWN_BYTES]}'"
        raise Failure(INVALID, why) if alone else refuse(what, why, place)
    said, kind = obj.get("apiVersion"), original.get("kind", "")
    if said != to:
        said = said if isinstance(said, str) else ""
        raise refuse(what, f"invalid groupVersion (expected {to}, received {said})", place)
    if obj["kind"] != kind:
        raise refuse(what, f"invalid kind (expected {kind}, received {obj['kind']})", place)
    before = original.get("metadata") or {}
    why = _changed(before, obj.get("metadata"))
    if why:
        raise refuse(what, why, index)
    try:
        out: Object = whole_numbers(plain({**obj, "metadata": _metadata(before, obj)}))
    except ValueError as err:
        raise refuse("metadata" if alone else "metadata in object", str(err), index) from None
    return out


def _changed(before: Object, after: Any) -> str:
    """How the identity of a converted object differs, "" when it does not (validateConvertedObject)."""
    found = after if isinstance(after, dict) else {}
    for member, name in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        had, has = before.get(member, ""), found.get(member, "")
        if had != (has if isinstance(has, str) else ""):
            return f"must have the same {name}: {had} != {gotext.value(has)}"
    return ""


def _metadata(before: Object, obj: Object) -> Object:
    """The original's metadata with the labels and annotations of a converted object (restoreObjectMeta);
    ValueError."""
    if "metadata" not in obj:
        raise ValueError("missing metadata in converted object")
    after = obj["metadata"]
    if not isinstance(after, dict):
        raise ValueError(f"invalid metadata of type {gotext.type_name(after)} in converted object")
    out = dict(before)
    for member in ("labels", "annotations"):
        found = after.get(member)
        if found is None:
            out.pop(member, None)
            continue
        if not isinstance(found, dict):
            raise ValueError(
                f"invalid metadata.{member} of type {gotext.type_name(found)} in converted object"
            )
        for name, value in found.items():
            if not isinstance(value, str):
                kind = gotext.type_name(value)
                raise ValueError(
                    f"metadata.{member}[{name}] must be a string, but is {kind} in converted object"
                )
        if found != before.get(member):
            _check(member, found)
        out[member] = found
    return out


def _check(member: str, found: dict[str, str]) -> None:
    """Refuse labels and annotations that nobody may set."""
    errs = Errors()
    if member == "labels":
        validate_labels(errs, "metadata.labels", found)
    else:
        meta.validate_annotations(errs, "metadata.annotation", found)  # upstream's path has no s
    texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in errs.listed()))
    if texts:
        raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
