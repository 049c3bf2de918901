"""base64 (cel-go ext/encoders.go); Kubernetes' own environments do not have it."""

import binascii
from base64 import b64decode, b64encode

from pilothouse._cel import EvaluationError
from pilothouse.api.cel.functions import Functions, Overload, walk
from pilothouse.api.cel.types import BYTES, STRING


def _decode(text: str) -> bytes:
    try:
        return b64decode(text + "=" * (-len(text) % 4 if "=" not in text else 0), validate=True)
    except (binascii.Error, ValueError):
        raise EvaluationError("illegal base64 data at input byte 0") from None


FUNCTIONS: Functions = {
    "base64.decode": (Overload("base64_decode_string", (STRING,), BYTES, _decode, cost=walk),),
    "base64.encode": (
        Overload("base64_encode_bytes", (BYTES,), STRING, lambda data: b64encode(data).decode(), cost=walk),
    ),
}
