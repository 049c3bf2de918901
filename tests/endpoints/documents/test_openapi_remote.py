"""The documents of aggregated servers that are kept."""

import pytest

from pilothouse.endpoints.documents.openapi_remote import (
    Packed,
    RemoteDocuments,
    RemoteSpec,
    document_name,
    pack,
    unpack,
)

A, B, C = ("a.com", "v1"), ("b.com", "v1"), ("a.com", "v2")


def spec(size: int, name: str = "h") -> RemoteSpec:
    return RemoteSpec({"apis/x": name}, None, Packed(name, b"x" * size))


def test_all_together_have_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    documents = RemoteDocuments(kept_bytes=100)
    changes: list[tuple[str, str]] = []
    documents.changed.append(lambda *version: changes.append(version))
    assert documents.set(A, spec(60)) == spec(60)
    assert documents.set(A, spec(70)) == spec(70)  # replaces the first
    assert documents.set(B, spec(40)) == RemoteSpec({"apis/x": "h"})
    assert "one is left out" in caplog.text
    documents.set(A, spec(70))
    documents.remove(A)
    documents.remove(A)
    assert documents.set(B, spec(100)) == spec(100)
    assert changes == [A, A, B, A, B]


def test_the_order_is_that_of_priorities() -> None:
    documents = RemoteDocuments()
    for version in (A, B, C):
        documents.set(version, spec(1, document_name(version)))
    of = {A: 5, B: 10, C: 20}
    found = [packed.hash for packed in documents.parts(lambda *version: of[version])]
    assert found == ["apis/a.com/v1", "apis/a.com/v2", "apis/b.com/v1"]
    found = [packed.hash for packed in documents.parts(lambda *version: 1)]
    assert found == ["apis/a.com/v1", "apis/b.com/v1", "apis/a.com/v2"]


def test_who_answers_a_document() -> None:
    documents = RemoteDocuments()
    documents.set(A, RemoteSpec({"apis/a.com/v1": "1", "apis/a.com": "2"}))
    documents.set(B, RemoteSpec({}, pack(b"{}", "3")))
    assert documents.proxied("apis/a.com") == documents.proxied("apis/a.com/v1") == A
    assert documents.proxied("apis/b.com/v1") is None
    assert documents.converted("apis/b.com/v1").hash == "3"
    assert documents.converted("apis/a.com/v1") is None
    assert dict(documents.hashes()) == {"apis/a.com/v1": "1", "apis/a.com": "2", "apis/b.com/v1": "3"}
    assert document_name(("", "v1")) == "api/v1"


def test_parts_are_packed() -> None:
    packed = pack(b'{"paths":{"/a":{}},"definitions":{"A":{}}}', "1")
    assert unpack(packed) == ({"/a": {}}, {"A": {}})
