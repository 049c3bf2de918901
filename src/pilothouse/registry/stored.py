"""Reads what other API servers have stored: built-in kinds in protobuf become the JSON kept in memory."""

from pilothouse.api import codec, convert, defaults, protobuf, schema


def to_json(key: str, value: bytes) -> bytes:
    """A stored value as JSON without resourceVersion; ValueError when it can not be read."""
    if not value.startswith(protobuf.MAGIC):
        return value
    api_version, kind, raw = protobuf.read(value)
    group, _, version = api_version.rpartition("/")
    type_ = schema.for_kind(group, version, kind)
    obj, _ = codec.decode_value(protobuf.decode(raw, type_), type_)
    obj["kind"], obj["apiVersion"] = kind, api_version
    defaults.apply(obj, group, version, kind)
    convert.normalise(obj, group, kind)
    return codec.encode(obj, kind, api_version)
