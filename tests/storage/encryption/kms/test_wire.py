import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.storage.encryption.kms import wire as kms_wire
from pilothouse.storage.encryption.kms.wire import SEED, EncryptedKey, Status
from pilothouse.wire import message

ANNOTATIONS = {"b.example.com": b"\x00\xff", "a.example.com": b""}
SOURCE = EncryptedKey(b"sealed", "key-1", ANNOTATIONS, SEED)

STORED = bytes.fromhex(
    "0a03616263"  # encryptedData: abc
    "12056b65792d31"  # keyID: key-1
    "1a067365616c6564"  # encryptedDEKSource: sealed
    "22110a0d612e6578616d706c652e636f6d1200"  # annotations: a.example.com, empty
    "22130a0d622e6578616d706c652e636f6d120200ff"  # b.example.com
    "2801"  # encryptedDEKSourceType: a seed
)


def test_what_is_stored_to_the_byte() -> None:
    assert kms_wire.join(b"abc", SOURCE.encode()) == STORED
    encrypted, source = kms_wire.split(STORED)
    assert encrypted == b"abc"
    assert kms_wire.source(source) == SOURCE


def test_a_plain_key_has_no_kind_on_the_wire() -> None:
    plain = EncryptedKey(b"sealed", "key-1")
    assert plain.encode() == STORED[5:20]
    assert kms_wire.source(plain.encode()) == plain


@given(
    st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=100), st.text(min_size=1, max_size=20)
)
def test_split_undoes_join(data: bytes, ciphertext: bytes, key_id: str) -> None:
    source = EncryptedKey(ciphertext, key_id, {}, SEED)
    encrypted, encoded = kms_wire.split(kms_wire.join(data, source.encode()))
    assert encrypted == data and kms_wire.source(encoded) == source


@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda end: STORED[:-5] + end))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (kms_wire.split, kms_wire.source, kms_wire.status_answer, kms_wire.decrypt_answer):
        try:
            read(data)
        except ValueError:
            pass


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (EncryptedKey(b"", "k"), "failed to validate encrypted DEK source: encrypted DEK source is empty"),
        (EncryptedKey(b"x" * 1025, "k"), "is 1025 bytes, which exceeds the max size of 1024"),
        (EncryptedKey(b"x", ""), "failed to validate key id: keyID is empty"),
        (EncryptedKey(b"x", "é" * 513), "keyID is 1026 bytes, which exceeds the max size of 1024"),
        (EncryptedKey(b"x", "k", {}, 2), "unknown encryptedDEKSourceType: 2"),
        (EncryptedKey(b"x", "k", {"name": b""}), "should be a domain with at least two segments"),
        (EncryptedKey(b"x", "k", {"": b""}), "failed to validate annotations: annotations: Required value"),
        (EncryptedKey(b"x", "k", {"A.b": b"", "c": b""}), r"failed to validate annotations: \[annotations"),
        (
            EncryptedKey(b"x", "k", {"a.b": b"x" * 32768}),
            "total size of annotations is 32771, which exceeds the max size of 32768",
        ),
    ],
)
def test_limits(source: EncryptedKey, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        source.check()
    with pytest.raises(ValueError, match=why):
        kms_wire.source(source.encode())


def test_limits_are_inclusive() -> None:
    EncryptedKey(b"x" * 1024, "k" * 1024, {"a.b": b"x" * 32765}).check()


@pytest.mark.parametrize(
    "data",
    [b"", SOURCE.encode(), message((1, b"")) + SOURCE.encode(), message((1, 5)), b"\x0a\x05ab", b"\xff"],
    ids=["empty", "no data", "empty data", "a number", "cut short", "no message"],
)
def test_what_can_not_be_split(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"encrypted data is empty|cut short"):
        kms_wire.split(data)


@pytest.mark.parametrize(
    "data",
    [message((2, b"\xff")), message((3, 7)), message((4, 1)), message((1, b"again")) + SOURCE.encode()],
    ids=["no text", "a number", "no entry", "data twice"],
)
def test_sources_that_can_not_be_right(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        kms_wire.source(data)


def test_requests_and_answers() -> None:
    assert kms_wire.encrypt_request(b"seed", "u") == bytes.fromhex("0a0473656564120175")
    assert kms_wire.decrypt_request(EncryptedKey(b"c", "k", {"a.b": b"v"}), "u") == bytes.fromhex(
        "0a01631201751a016b22080a03612e62120176"
    )
    answer = message((1, b"c"), (2, b"k"), (3, message((1, b"a.b"), (2, b"v"))))
    assert kms_wire.encrypt_answer(answer, SEED) == EncryptedKey(b"c", "k", {"a.b": b"v"}, SEED)
    assert kms_wire.decrypt_answer(message((1, b"seed"))) == b"seed"
    assert kms_wire.status_answer(message((1, b"v2"), (2, b"ok"), (3, b"k"))) == Status("v2", "ok", "k")
    assert kms_wire.status_answer(b"") == Status()
