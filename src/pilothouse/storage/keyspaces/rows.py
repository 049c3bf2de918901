"""How a keyspace stands in the journal.

A row is named by the keyspace's prefix and its own key, as in `/keyspaces/9f2c/registry/pods/default/a`. Its
value begins with the revisions of the key's creation and of its last write, and with its deadline. A row
whose key was created at 0 says that a key of the base state is deleted. The row `revision` has the revision
of the last deletion that left no row.
"""

import struct

from pilothouse.storage.interface import KeyValue

ROOT = "/keyspaces/"
"""How the keys of all rows begin."""

REVISION = "revision"

_HEADER = struct.Struct("<qqq")


def prefix_of(keyspace: str) -> str:
    """How the keys of a keyspace's rows begin; its own keys begin with a slash."""
    return f"{ROOT}{keyspace}"


def packed(create: int, mod: int, lease: int, value: bytes) -> bytes:
    """The value of a row."""
    return _HEADER.pack(create, mod, lease) + value


def tombstone(mod: int) -> bytes:
    """The value of the row of a key that the base state has and that is deleted."""
    return _HEADER.pack(0, mod, 0)


def unpacked(key: str, value: bytes) -> KeyValue:
    """The pair of a row; its `create` is 0 when the key is deleted."""
    create, mod, lease = _HEADER.unpack_from(value)
    return KeyValue(key, value[_HEADER.size :], mod, create, lease)
