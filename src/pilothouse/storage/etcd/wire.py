"""The messages of etcd's v3 API that a store needs, in protobuf's wire form (api/etcdserverpb/rpc.proto).

A request is built by `message((number, value), ...)`; an answer is read into one of the small classes below.
"""

from dataclasses import field

from pilothouse.process.record import record
from pilothouse.wire import message, parse, varint

EQUAL = 0
VERSION, MOD = 0, 2
"""Compare.target: how often the key was written, and the revision of its last write."""


@record
class Pair:
    """mvccpb.KeyValue."""

    key: bytes = b""
    value: bytes = b""
    create: int = 0
    mod: int = 0
    lease: int = 0
    version: int = 0


def pair(data: bytes) -> Pair:
    out = Pair()
    for number, value in parse(data):
        if number == 1:
            out.key = value
        elif number == 2:
            out.create = value
        elif number == 3:
            out.mod = value
        elif number == 4:
            out.version = value
        elif number == 5:
            out.value = value
        elif number == 6:
            out.lease = value
    return out


def revision_of(header: bytes) -> int:
    """The store's revision in a ResponseHeader."""
    for number, value in parse(header):
        if number == 3:
            return int(value)
    return 0


@record
class EtcdEvent:
    """mvccpb.Event."""

    deleted: bool
    kv: Pair
    prev: Pair | None


def _change(data: bytes) -> EtcdEvent:
    out = EtcdEvent(False, Pair(), None)
    for number, value in parse(data):
        if number == 1:
            out.deleted = value == 1
        elif number == 2:
            out.kv = pair(value)
        elif number == 3:
            out.prev = pair(value)
    return out


# Range


def range_request(
    key: bytes,
    end: bytes | None = None,
    *,
    limit: int = 0,
    revision: int = 0,
    keys_only: bool = False,
    count_only: bool = False,
) -> bytes:
    return message((1, key), (2, end), (3, limit), (4, revision), (8, int(keys_only)), (9, int(count_only)))


@record
class RangeAnswer:
    revision: int = 0
    pairs: list[Pair] = field(default_factory=list)
    more: bool = False
    count: int = 0


def range_answer(data: bytes) -> RangeAnswer:
    out = RangeAnswer()
    for number, value in parse(data):
        if number == 2:
            out.pairs.append(pair(value))
        elif number == 1:
            out.revision = revision_of(value)
        elif number == 3:
            out.more = bool(value)
        elif number == 4:
            out.count = value
    return out


# Txn


def mod_is(key: bytes, revision: int) -> bytes:
    """Compare: the key's last write is that revision (0 = it does not exist)."""
    return message((1, EQUAL), (2, MOD), (3, key)) + varint(6 << 3) + varint(revision)


def version_is(key: bytes, version: int) -> bytes:
    """Compare: the key was written that often since it was created (0 = it does not exist)."""
    return message((1, EQUAL), (2, VERSION), (3, key)) + varint(4 << 3) + varint(version)


def op_range(request: bytes) -> bytes:
    return message((1, request))


def op_put(key: bytes, value: bytes, lease: int = 0) -> bytes:
    return message((2, message((1, key), (2, value), (3, lease))))


def op_delete(key: bytes, prev_kv: bool = False) -> bytes:
    return message((3, message((1, key), (3, int(prev_kv)))))


def txn_request(compares: list[bytes], success: list[bytes], failure: list[bytes]) -> bytes:
    parts = [(1, c) for c in compares] + [(2, s) for s in success] + [(3, f) for f in failure]
    return message(*parts)


@record
class TxnAnswer:
    """`ranges` has the answers of range operations, `deleted` the last pairs of deleted keys, in order."""

    revision: int = 0
    succeeded: bool = False
    ranges: list[RangeAnswer] = field(default_factory=list)
    deleted: list[Pair] = field(default_factory=list)


def txn_answer(data: bytes) -> TxnAnswer:
    out = TxnAnswer()
    for number, value in parse(data):
        if number == 1:
            out.revision = revision_of(value)
        elif number == 2:
            out.succeeded = bool(value)
        elif number == 3:
            for kind, answer in parse(value):
                if kind == 1:
                    out.ranges.append(range_answer(answer))
                elif kind == 3:
                    out.deleted += [pair(v) for n, v in parse(answer) if n == 3]
    return out


# Watch


def watch_create(key: bytes, end: bytes | None, revision: int, prev_kv: bool) -> bytes:
    """A WatchRequest for one watch with progress notifications and fragments."""
    create = message((1, key), (2, end), (3, revision), (4, 1), (6, int(prev_kv)), (8, 1))
    return message((1, create))


WATCH_PROGRESS = message((3, b""))
"""A WatchRequest that asks how far the watches of the stream have got."""


@record
class WatchAnswer:
    revision: int = 0
    created: bool = False
    canceled: bool = False
    compacted: int = 0
    reason: str = ""
    fragment: bool = False
    changes: list[EtcdEvent] = field(default_factory=list)


def watch_answer(data: bytes) -> WatchAnswer:
    out = WatchAnswer()
    for number, value in parse(data):
        if number == 11:
            out.changes.append(_change(value))
        elif number == 1:
            out.revision = revision_of(value)
        elif number == 3:
            out.created = bool(value)
        elif number == 4:
            out.canceled = bool(value)
        elif number == 5:
            out.compacted = value
        elif number == 6:
            out.reason = value.decode("utf-8", "replace")
        elif number == 7:
            out.fragment = bool(value)
    return out


# Lease, Compact, Status


def lease_grant(ttl: int) -> bytes:
    return message((1, ttl))


def lease_id(data: bytes) -> int:
    """The ID in a LeaseGrantResponse."""
    for number, value in parse(data):
        if number == 2:
            return int(value)
    return 0


def lease_renewal(lease: int) -> bytes:
    """A LeaseKeepAliveRequest."""
    return message((1, lease))


def lease_left(data: bytes) -> int:
    """The seconds for which a lease is good by a LeaseKeepAliveResponse, 0 when it has ended."""
    for number, value in parse(data):
        if number == 3:
            return int(value)
    return 0


def lease_revocation(lease: int) -> bytes:
    """A LeaseRevokeRequest."""
    return message((1, lease))


def compact_request(revision: int) -> bytes:
    return message((1, revision))


def status_size(data: bytes) -> int:
    """The bytes in use in a StatusResponse."""
    for number, value in parse(data):
        if number == 9:
            return int(value)
    return 0
