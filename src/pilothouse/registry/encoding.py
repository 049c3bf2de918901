"""Decodes values stored by other API servers:
built-in kinds become JSON in the version that this server stores."""

import functools
from collections.abc import Callable

import orjson

from pilothouse import wire
from pilothouse.api import codec
from pilothouse.api.convert import definitions
from pilothouse.api.convert import kinds as convert
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.protobuf import _reader as protobuf
from pilothouse.api.types import schema
from pilothouse.api.values.fields import Object
from pilothouse.process.patterns import pattern
from pilothouse.registry import node_ports, repair
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.storage import keys

RANGES = {
    f"{node_ports.PREFIX}serviceips": "serviceipallocations",
    f"{node_ports.PREFIX}servicenodeports": "servicenodeportallocations",
}
"""Keys of stored objects that no API serves -> the resource name under which each is encrypted."""

_HEAD = pattern(rb'\{"kind":"(\w+)","apiVersion":"([^"]+)"')
"""The beginning of the JSON of a built-in kind by kube-apiserver.
It sorts the members of custom resources."""


def reader(catalog: Catalog) -> Callable[[str, bytes], bytes]:
    """Returns a function from a key and a stored value to JSON in the version that this server stores.

    kube-apiserver stores some kinds in an older version (MutatingAdmissionPolicy and definitions as v1beta1).
    Its JSON ends with a newline, ours does not; what versions of this server stored that no client can read
    is settled (registry/repair.py). The function raises ValueError for a value that cannot be decoded.
    """
    return _reader(tuple(catalog.all()))


@functools.lru_cache(maxsize=16)
def _reader(resources: tuple[Resource, ...]) -> Callable[[str, bytes], bytes]:
    """The reader for the resources that a catalog begins with, which servers have in common."""
    stored = {(r.group, r.kind): r.storage or r for r in resources if not r.virtual}

    def to_json(key: str, value: bytes) -> bytes:
        if not value.startswith(protobuf.MAGIC):
            return _from_json(value) if value.endswith(b"\n") else repair.settled(key, value)
        api_version, kind, raw = protobuf.read(value)
        if (api_version, kind) == ("v1", "RangeAllocation"):  # it is not served, so it has no schema
            return _range_allocation(raw)
        group, _, version = api_version.rpartition("/")
        type_ = schema.for_kind(group, version, kind)
        return _encoded(protobuf.decode(raw, type_), api_version, kind)

    def _from_json(value: bytes) -> bytes:
        """The value that another server has stored as JSON, in our form."""
        head = _HEAD.match(value)
        if head is not None:
            kind, api_version = (part.decode() for part in head.groups())
            if (kind, api_version) == (definitions.KIND, definitions.OLD):
                definition = definitions.from_v1beta1(orjson.loads(value))
                return _encoded(definition, definitions.NEW, kind)
            if (api_version.rpartition("/")[0], kind) in stored:
                return _encoded(orjson.loads(value), api_version, kind)
        return value[:-1]

    def _encoded(value: Object, api_version: str, kind: str) -> bytes:
        """JSON of a decoded value, with defaults, in the version that is stored."""
        group, _, version = api_version.rpartition("/")
        obj, _ = codec.decode_value(value, schema.for_kind(group, version, kind))
        obj["kind"], obj["apiVersion"] = kind, api_version
        defaults.apply(obj, group, version, kind)
        convert.normalise(obj, group, kind)
        to = stored.get((group, kind))
        if to is not None and to.api_version != api_version:
            obj, api_version = convert.convert(obj, kind, to.group, to.version), to.api_version
        return codec.encode(obj, kind, api_version)

    return to_json


def _range_allocation(raw: bytes) -> bytes:
    members: dict[int, bytes] = dict(wire.parse(raw))
    return node_ports.encode(members.get(2, b"").decode(), int.from_bytes(members.get(3, b""), "big"))


def resources_by_key(catalog: Catalog) -> Callable[[str], str]:
    """Returns a function from a key to the resource it belongs to (`secrets`, `deployments.apps`),
    "" for none."""
    return _by_key(tuple(catalog.all()))


@functools.lru_cache(maxsize=16)
def _by_key(resources: tuple[Resource, ...]) -> Callable[[str], str]:
    prefixes = {r.key_prefix: r.group_resource for r in resources if not r.virtual and r.storage is None}
    return keys.resources(prefixes, RANGES)
