"""Reviews as they are written and read."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.admission.webhooks import review
from pilothouse.admission.webhooks.review import InvalidResponse
from pilothouse.outbound.webhook import WebhookError

HEAD = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}


def read(response: Any, *, mutating: bool = True, **more: Any) -> Any:
    body = json.dumps({**HEAD, "response": response, **more}).encode()
    return review.verified(review.decoded(body, "v1"), "u", "v1", mutating=mutating)


def test_a_whole_response() -> None:
    found = read(
        {
            "uid": "u",
            "allowed": False,
            "patch": base64.b64encode(b"[]").decode(),
            "patchType": "JSONPatch",
            "status": {"message": "m"},
            "warnings": ["w", None],
            "auditAnnotations": {"k": None},
            "unknown": {},
        }
    )
    assert found == (False, b"[]", "JSONPatch", {"message": "m"}, ["w", ""], {"k": ""})


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ({"patch": "!"}, "illegal base64 data at input byte 0"),
        ({"patch": "YWJj!"}, "illegal base64 data at input byte 4"),
        ({"patch": "YWJjZ"}, "illegal base64 data at input byte 4"),
        (
            {"patch": []},
            "cannot unmarshal array into Go struct field AdmissionReview.response.patch of type string",
        ),
        (
            {"warnings": {}},
            "cannot unmarshal object into Go struct field AdmissionReview.response.warnings of type",
        ),
        (
            {"warnings": [1]},
            "cannot unmarshal number into Go struct field AdmissionReview.response.warnings of type",
        ),
        ({"auditAnnotations": {"a": {}}}, "cannot unmarshal object into Go struct field"),
        (
            {"status": {"code": 2**31}},
            "cannot unmarshal number into Go struct field AdmissionReview.response.status.code",
        ),
        ({"status": {"details": 3}}, "cannot unmarshal number into Go struct field"),
        (
            {"allowed": 1},
            "cannot unmarshal number into Go struct field AdmissionReview.response.allowed of type bool",
        ),
        (
            [],
            "cannot unmarshal array into Go struct field AdmissionReview.response of type v1.AdmissionReview",
        ),
    ],
)
def test_what_go_does_not_read(response: Any, why: str) -> None:
    with pytest.raises(WebhookError) as err:
        read({"uid": "u", **response} if isinstance(response, dict) else response)
    assert why in str(err.value)


@pytest.mark.parametrize(
    ("response", "mutating", "why"),
    [
        ({"patchType": "JSONPatch"}, True, "webhook returned response.patchType but not response.patch"),
        ({"patchType": "", "patch": "W10="}, True, 'webhook returned invalid response.patchType of ""'),
        ({"patchType": "JSONPatch"}, False, "validating webhook may not return response.patchType"),
        ({"uid": "other"}, True, 'expected response.uid="u", got "other"'),
    ],
)
def test_what_breaks_a_rule(response: Any, mutating: bool, why: str) -> None:
    with pytest.raises(InvalidResponse) as err:
        read({"uid": "u", "allowed": True, **response}, mutating=mutating)
    assert str(err.value) == why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ("uid", "allowed", "patch", "patchType", "status", "warnings", "auditAnnotations")


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON) | JSON, st.booleans())
def test_any_answer_is_a_response_or_an_error(response: Any, mutating: bool) -> None:
    try:
        found = read(response, mutating=mutating)
    except (WebhookError, InvalidResponse):
        return
    assert isinstance(found.allowed, bool) and isinstance(found.patch, bytes)
    assert all(isinstance(text, str) for text in found.warnings)


@given(st.binary(max_size=60))
def test_any_bytes(body: bytes) -> None:
    try:
        review.decoded(body, "v1")
    except WebhookError:
        return
