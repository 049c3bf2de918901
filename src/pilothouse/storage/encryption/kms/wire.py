"""The messages of the KMS v2 API, and of the values it protects, in protobuf's wire form (KEP-3299).

k8s.io/kms/apis/v2 has the service, apiserver storage/value/encrypt/envelope/kmsv2/v2 what is stored.
"""

from dataclasses import field
from typing import Any

from pilothouse.api.values.fields import Errors
from pilothouse.api.values.names import fully_qualified_domain_name
from pilothouse.process.frozen import frozen
from pilothouse.wire import WireError, message, parse, varint

STATUS = "/v2.KeyManagementService/Status"
ENCRYPT = "/v2.KeyManagementService/Encrypt"
DECRYPT = "/v2.KeyManagementService/Decrypt"

AES_GCM_KEY, SEED = 0, 1
"""EncryptedDEKSourceType: what the plugin decrypts is the key itself,
or a seed that keys are derived from."""

MAX_KEY_ID = 1024
MAX_CIPHERTEXT = 1024
MAX_ANNOTATIONS = 32 * 1024
"""Bytes; of annotations, all keys and values together."""


class KMSError(Exception):
    """A plugin cannot be reached, or has answered with an error; the text is that of Go's gRPC."""


@frozen
class Status:
    """StatusResponse."""

    version: str = ""
    healthz: str = ""
    key_id: str = ""


@frozen
class EncryptedKey:
    """The result of a plugin's encryption of a key (EncryptResponse),
    all that it needs to give that key back (DecryptRequest).

    `kind` is what the key is for. It stands behind the encrypted data of every value that the key protects.
    """

    ciphertext: bytes = b""
    key_id: str = ""
    annotations: dict[str, bytes] = field(default_factory=dict)
    kind: int = AES_GCM_KEY

    def check(self) -> None:
        """Raise ValueError, in upstream's words, for what must not be stored (ValidateEncryptedObject)."""
        if self.kind not in (AES_GCM_KEY, SEED):
            raise ValueError(f"unknown encryptedDEKSourceType: {self.kind}")
        what = "failed to validate encrypted DEK source: encrypted DEK source is"
        if not self.ciphertext:
            raise ValueError(f"{what} empty")
        if (size := len(self.ciphertext)) > MAX_CIPHERTEXT:
            raise ValueError(f"{what} {size} bytes, which exceeds the max size of {MAX_CIPHERTEXT}")
        if problem := key_id_problem(self.key_id):
            raise ValueError(f"failed to validate key id: {problem}")
        if problems := _annotation_problems(self.annotations):
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise ValueError(f"failed to validate annotations: {text}")

    def encode(self) -> bytes:
        """EncryptedObject without the encrypted data, which comes before it."""
        return message(
            (2, self.key_id.encode()),
            (3, self.ciphertext),
            *((4, entry) for entry in _entries(self.annotations)),
            (5, self.kind),
        )


def key_id_problem(key_id: str) -> str:
    """Why a key ID is invalid; "" when it is valid."""
    size = len(key_id.encode())
    if not size:
        return "keyID is empty"
    return f"keyID is {size} bytes, which exceeds the max size of {MAX_KEY_ID}" if size > MAX_KEY_ID else ""


def _annotation_problems(annotations: dict[str, bytes]) -> list[str]:
    errs = Errors()
    for name in annotations:
        fully_qualified_domain_name(errs, "annotations", name)
    out = [f"{cause['field']}: {cause['message']}" for cause in errs.causes]
    size = sum(len(name.encode()) + len(value) for name, value in annotations.items())
    if size > MAX_ANNOTATIONS:
        out.append(f"total size of annotations is {size}, which exceeds the max size of {MAX_ANNOTATIONS}")
    return out


def join(encrypted: bytes, source: bytes) -> bytes:
    """Encode an EncryptedObject; the inverse of split()."""
    return message((1, encrypted)) + source


def split(data: bytes) -> tuple[bytes, bytes]:
    """The encrypted data of an EncryptedObject, and its source still encoded; ValueError when it is none.

    The source is the same for all values under one key, so it serves as the name of that key.
    It is not looked at.
    """
    number, encrypted = next(parse(data), (0, b""))
    if number != 1 or not isinstance(encrypted, bytes) or not encrypted:
        raise ValueError("encrypted data is empty")
    return encrypted, data[1 + len(varint(len(encrypted))) + len(encrypted) :]


def source(data: bytes) -> EncryptedKey:
    """Decode and validate what EncryptedKey.encode() wrote. Raises ValueError when it is invalid."""
    annotations: dict[str, bytes] = {}
    ciphertext, key_id, kind = b"", "", AES_GCM_KEY
    for number, value in parse(data):
        if number == 1:
            raise ValueError("encrypted data is there twice")
        if number == 2:
            key_id = _text(value)
        elif number == 3:
            ciphertext = _bytes(value)
        elif number == 4:
            _entry(annotations, value)
        elif number == 5:
            kind = value
    out = EncryptedKey(ciphertext, key_id, annotations, kind)
    out.check()
    return out


# Requests and answers


def encrypt_request(plaintext: bytes, uid: str) -> bytes:
    return message((1, plaintext), (2, uid.encode()))


def encrypt_answer(data: bytes, kind: int) -> EncryptedKey:
    """The source of a key of this kind; not checked."""
    annotations: dict[str, bytes] = {}
    ciphertext, key_id = b"", ""
    for number, value in parse(data):
        if number == 1:
            ciphertext = _bytes(value)
        elif number == 2:
            key_id = _text(value)
        elif number == 3:
            _entry(annotations, value)
    return EncryptedKey(ciphertext, key_id, annotations, kind)


def decrypt_request(source: EncryptedKey, uid: str) -> bytes:
    return message(
        (1, source.ciphertext),
        (2, uid.encode()),
        (3, source.key_id.encode()),
        *((4, entry) for entry in _entries(source.annotations)),
    )


def decrypt_answer(data: bytes) -> bytes:
    """The key."""
    out = b""
    for number, value in parse(data):
        if number == 1:
            out = _bytes(value)
    return out


def status_answer(data: bytes) -> Status:
    members = {1: "", 2: "", 3: ""}
    for number, value in parse(data):
        if number in members:
            members[number] = _text(value)
    return Status(*members.values())


def _entries(annotations: dict[str, bytes]) -> list[bytes]:
    return [message((1, name.encode()), (2, value)) for name, value in sorted(annotations.items())]


def _entry(annotations: dict[str, bytes], data: Any) -> None:
    name, content = "", b""
    for number, value in parse(_bytes(data)):
        if number == 1:
            name = _text(value)
        elif number == 2:
            content = _bytes(value)
    annotations[name] = content


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("a number where bytes should be")
    return value


def _text(value: Any) -> str:
    return _bytes(value).decode()
