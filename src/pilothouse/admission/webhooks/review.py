"""The AdmissionReview that webhooks are sent, and what they answer (apiserver plugin/webhook/request)."""

import base64
import binascii
from typing import Any, NamedTuple

from pilothouse.admission.expressions import Scope, request_of
from pilothouse.api import json
from pilothouse.api.changes import patch
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.outbound import webhook
from pilothouse.outbound.webhook import WebhookError
from pilothouse.registry.admission import AdmissionAttributes

GROUP, KIND = "admission.k8s.io", "AdmissionReview"
JSON_PATCH = "JSONPatch"
VERSIONS = ("v1", "v1beta1")


class InvalidResponse(Exception):
    """An AdmissionReview that breaks a rule; the text is upstream's."""


class AdmissionResponse(NamedTuple):
    """The answer of a webhook. `status` is why it refuses; `patch` is JSON, b"" without one."""

    allowed: bool
    patch: bytes
    patch_type: str
    status: Object | None
    warnings: list[str]
    annotations: dict[str, str]


def encoded(uid: str, a: AdmissionAttributes, scope: Scope, version: str) -> bytes:
    """The review of a request as the webhook is sent it."""
    request = {
        "uid": uid,
        **request_of(a, scope.matched),
        "object": scope.obj,
        "oldObject": scope.old,
        "options": a.options or None,
    }
    return json.dump({"kind": KIND, "apiVersion": f"{GROUP}/{version}", "request": request})


def decoded(body: bytes, version: str) -> Object:
    """The review in an answer, of which kind and apiVersion are as they came; WebhookError."""
    review = webhook.decode(body, GROUP, KIND, version, VERSIONS)
    _check(review, _REVIEW, KIND, "")
    return review


_STATUS: Object = {"status": str, "message": str, "reason": str, "code": int, "details": {}}
_RESPONSE: Object = {
    "uid": str,
    "allowed": bool,
    "patch": str,
    "patchType": str,
    "status": _STATUS,
    "auditAnnotations": dict[str, str],
    "warnings": list[str],
}
_REVIEW: Object = {"response": _RESPONSE}
_GO_NAMES = {str: "string", bool: "bool", int: "int32"}


def _check(value: Any, wanted: Any, struct: str, path: str) -> None:
    """Refuse values that Go's decoder refuses; null stands for a value that is not there."""
    if value is None:
        return
    if isinstance(wanted, dict):
        _expect(isinstance(value, dict), value, struct, path, f"v1.{struct}")
        for name, inner in wanted.items():
            _check(value.get(name), inner, struct, f"{path}.{name}")
    elif wanted == dict[str, str]:
        _expect(isinstance(value, dict), value, struct, path, "map[string]string")
        for item in value.values():
            _check(item, str, struct, path)
    elif wanted == list[str]:
        _expect(isinstance(value, list), value, struct, path, "[]string")
        for item in value:
            _check(item, str, struct, path)
    else:
        good = type(value) is wanted and not (wanted is int and not -(2**31) <= value < 2**31)
        _expect(good, value, struct, path, _GO_NAMES[wanted])


def _expect(good: bool, value: Any, struct: str, path: str, type: str) -> None:
    if not good:
        raise WebhookError(
            f"json: cannot unmarshal {patch.go_kind(value)} into Go struct field {struct}{path} of type"
            f" {type}"
        )


def verified(review: Object, uid: str, version: str, *, mutating: bool) -> AdmissionResponse:
    """The response in a review of `version`, if it is one to the request `uid`;
    InvalidResponse, WebhookError."""
    found = review.get("response")
    if found is None:
        raise InvalidResponse("webhook response was absent")
    data, patch_type = _patch(found), found.get("patchType")
    if version == "v1":
        if (found.get("uid") or "") != uid:
            raise InvalidResponse(f"expected response.uid={quote(uid)}, got {quote(found.get('uid') or '')}")
        if (review.get("apiVersion"), review.get("kind")) != (f"{GROUP}/{version}", KIND):
            group, _, of = (review.get("apiVersion") or "").rpartition("/")
            raise InvalidResponse(
                f"expected webhook response of {GROUP}/{version}, Kind={KIND}, "
                f"got {group}/{of}, Kind={review.get('kind') or ''}"
            )
        (_check_patch if mutating else _refuse_patch)(data, patch_type)
    else:  # v1beta1 never verified any of these
        patch_type = JSON_PATCH if data else ""
    if not mutating:
        data, patch_type = b"", ""
    return AdmissionResponse(
        bool(found.get("allowed")),
        data,
        patch_type or "",
        found.get("status"),
        [text or "" for text in found.get("warnings") or ()],
        {key: value or "" for key, value in (found.get("auditAnnotations") or {}).items()},
    )


def _patch(response: Object) -> bytes:
    text = response.get("patch") or ""
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise WebhookError(f"illegal base64 data at input byte {_illegal(text)}") from None


def _illegal(text: str) -> int:
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n")
    invalid_at = next((i for i, char in enumerate(text) if char not in alphabet), len(text))
    return min(invalid_at, len(text) // 4 * 4) if text[invalid_at:].strip("=") == "" else invalid_at


def _check_patch(data: bytes, patch_type: str | None) -> None:
    if data and patch_type is None:
        raise InvalidResponse("webhook returned response.patch but not response.patchType")
    if not data and patch_type is not None:
        raise InvalidResponse("webhook returned response.patchType but not response.patch")
    if patch_type == "":
        raise InvalidResponse('webhook returned invalid response.patchType of ""')


def _refuse_patch(data: bytes, patch_type: str | None) -> None:
    if data:
        raise InvalidResponse("validating webhook may not return response.patch")
    if patch_type is not None:
        raise InvalidResponse("validating webhook may not return response.patchType")
