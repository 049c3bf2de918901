"""Authors of writes, as bytes."""

from types import SimpleNamespace
from typing import Any

import pytest

from pilothouse.api.values.identity import User
from pilothouse.audit.sources import source_ips
from pilothouse.history._author import packed_id, parts
from pilothouse.history.author import (
    LARGEST_KNOWN,
    MOST_KNOWN,
    Author,
    Authors,
    author_of,
    bytes_of,
    time_of,
)
from pilothouse.history.file import audit_id_of

UUID = "6e2a7a3c-5b1f-4a77-9d3e-0f4b5a6c7d8e"


def context(name: str = "jane", audit_id: str = UUID, verb: str = "patch", subresource: str = "scale") -> Any:
    return SimpleNamespace(
        user=User(name, "1", ("dev", "système")),
        verb=verb,
        subresource=subresource,
        origin=(audit_id, ("10.0.0.1, x", "", "10.0.0.2")),
    )


def test_what_is_written_is_read() -> None:
    data = Authors(lambda: 1_800_000_000.1234, source_ips)(context(), "kubectl")
    at, audit_id, who = parts(data)
    assert at == time_of(data) == 1_800_000_000_123
    assert audit_id == UUID
    assert author_of(who) == Author(
        "jane", ("dev", "système"), "kubectl", "patch", "scale", "10.0.0.1,10.0.0.2"
    )


def test_writes_of_one_user_have_the_same_bytes_but_for_the_time() -> None:
    clock = iter([1.0, 2.0])
    authors = Authors(lambda: next(clock))
    one, other = authors(context(audit_id="a"), "m"), authors(context(audit_id="b"), "m")
    assert parts(one)[2] == parts(other)[2]
    assert parts(one)[:2] == (1000, "a") and parts(other)[:2] == (2000, "b")


@pytest.mark.parametrize("audit_id", ["", "x" * 255, "x" * 1000, "é" * 200, "\0"])
def test_an_audit_id_of_any_length(audit_id: str) -> None:
    _, found, who = parts(Authors(lambda: 1.0)(context(audit_id=audit_id), "m"))
    assert found.encode()[:250] == audit_id.encode()[:250]
    assert author_of(who).user == "jane"


def test_many_users_take_bounded_memory() -> None:
    authors = Authors(lambda: 1.0)
    for number in range(3 * MOST_KNOWN):
        assert author_of(parts(authors(context(str(number)), "m"))[2]).user == str(number)
        assert len(authors._known) <= MOST_KNOWN


def test_large_authors_are_not_remembered() -> None:
    """The sizes of groups and their number may be up to clients."""
    authors = Authors(lambda: 1.0)
    groups = tuple(f"{'g' * 100}-{number}" for number in range(100))
    for number in range(3):
        large = context()
        large.user = User(f"jane-{number}", groups=groups)
        assert author_of(parts(authors(large, "kubectl"))[2]).groups == groups
    assert not authors._known
    authors(context(), "kubectl")
    assert len(authors._known) == 1


def test_authors_are_known_by_where_they_come_from() -> None:
    """Addresses are read once for writes that come from the same place."""
    read: list[str] = []

    def sources(headers: Any, peer: str) -> list[str]:
        read.append(peer)
        return source_ips(headers, peer)

    authors = Authors(lambda: 1.0, sources)
    for peer in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        one = context()
        one.origin = (UUID, ("", "", peer))
        assert author_of(parts(authors(one, "kubectl"))[2]).addresses == peer
    assert read == ["10.0.0.1", "10.0.0.2"]
    long = context()
    long.origin = (UUID, ("x" * LARGEST_KNOWN, "", "10.0.0.3"))
    authors(long, "kubectl")
    assert len(authors._known) == 2, "what a client makes long is not remembered"


@pytest.mark.parametrize("data", [b"", b"12345678"])
def test_bytes_that_are_too_short(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the author"):
        parts(data)


def test_the_author_of_another_server() -> None:
    told = bytes_of(1_800_000_000_123, "an-id", ["jane", ["dev"], "kubectl", "update", "", "10.0.0.1"])
    time_ms, audit_id, known = parts(told)
    assert (time_ms, audit_id) == (1_800_000_000_123, "an-id")
    assert author_of(known) == Author("jane", ("dev",), "kubectl", "update", "", "10.0.0.1")


@pytest.mark.parametrize(
    "text", ["6e2a7a3c-5b1f-4a77-9d3e-00000000000F", "6e2a7a3c-5b1f-4a77-9d3e-0000000000", "é" * 36, "x" * 36]
)
def test_an_audit_id_that_is_no_uuid_is_kept_as_it_is(text: str) -> None:
    assert packed_id(text) == text and packed_id("") is None


def test_a_uuid_is_kept_in_sixteen_bytes() -> None:
    text = "6e2a7a3c-5b1f-4a77-9d3e-00ff000000a9"
    kept = packed_id(text)
    assert isinstance(kept, bytearray) and audit_id_of(bytes(kept)) == text and len(kept) == 16
