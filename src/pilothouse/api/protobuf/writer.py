"""Bodies in protobuf: magic bytes and a runtime.Unknown around an object's message;
and the messages of lists."""

from collections.abc import Iterable

from pilothouse.api.protobuf._reader import MAGIC
from pilothouse.api.protobuf._writer import encode
from pilothouse.api.types.meta_kinds import for_answer
from pilothouse.api.values.fields import Object
from pilothouse.wire import field, varint

__all__ = [
    "FRAME_TAIL",
    "dump",
    "encode",
    "frame",
    "frame_head",
    "list_head",
    "list_item_size",
    "list_items",
    "list_message",
    "write",
]


def dump(obj: Object) -> bytes:
    """A complete body for an object with kind and apiVersion."""
    return write(obj, obj.get("apiVersion", ""), obj.get("kind", ""))


def write(obj: Object, api_version: str, kind: str) -> bytes:
    """A complete body; kind and apiVersion need not be in `obj`."""
    group, _, version = api_version.rpartition("/")
    return frame(encode(obj, for_answer(group, version, kind)), api_version, kind)


def frame(raw: bytes, api_version: str, kind: str) -> bytes:
    """A complete body around an object's message: magic bytes and a runtime.Unknown."""
    return b"".join((frame_head(len(raw), api_version, kind), raw, FRAME_TAIL))


FRAME_TAIL = b"\x1a\x00\x22\x00"
"""The bytes after an object's message in a body."""


def frame_head(size: int, api_version: str, kind: str) -> bytes:
    """The bytes before an object's message of `size` bytes in a body."""
    meta = field(1, api_version.encode()) + field(2, kind.encode())
    return b"".join((MAGIC, field(1, meta), b"\x12", varint(size)))


def list_head(metadata: Object) -> bytes:
    """The beginning of a list's message; the lists of all kinds have the same members, metadata and items."""
    return field(1, encode(metadata, for_answer("", "v1", "PodList").fields["metadata"].type))


def list_items(messages: Iterable[bytes]) -> bytes:
    """Encode messages as the items of a list's message."""
    parts: list[bytes] = []
    for message in messages:
        parts += (b"\x12", varint(len(message)), message)
    return b"".join(parts)


def list_item_size(size: int) -> int:
    """The bytes of an item whose message has `size` bytes in a list's message."""
    return 1 + len(varint(size)) + size


def list_message(metadata: Object, items: Iterable[bytes]) -> bytes:
    """The message of a list whose items are messages."""
    return list_head(metadata) + list_items(items)
