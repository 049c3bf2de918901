"""Protobuf bodies of built-in kinds."""

import json
from typing import Any

import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api import codec
from pilothouse.api.json import DecodeError
from pilothouse.api.protobuf import reader as protobuf
from pilothouse.api.protobuf import writer as protobuf_writer
from pilothouse.api.types import depth, schema
from pilothouse.wire import field

POD = ("", "v1", "Pod")


def decode(kind: tuple[str, str, str], body: Any) -> dict[str, Any]:
    return codec.decode(json.dumps(body).encode(), "", schema.for_kind(*kind), kind)[0]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            POD,
            {
                "metadata": {
                    "name": "p",
                    "labels": {"a": "b", "c": ""},
                    "creationTimestamp": "2020-01-02T03:04:05Z",
                },
                "spec": {
                    "containers": [
                        {
                            "name": "c",
                            "image": "i",
                            "ports": [{"containerPort": 80}],
                            "resources": {"limits": {"cpu": "500m"}},
                            "livenessProbe": {"tcpSocket": {"port": "web"}},
                            "securityContext": {"runAsUser": -1, "privileged": False},
                        }
                    ],
                    "volumes": [{"name": "v", "secret": {"secretName": "s"}}, {"name": "e", "emptyDir": {}}],
                },
            },
        ),
        (("", "v1", "Secret"), {"data": {"a": "eA==", "b": ""}}),
        (("", "v1", "Event"), {"eventTime": "2020-01-02T03:04:05.123456Z", "count": 3}),
        (("", "v1", "Service"), {"spec": {"ports": [{"port": 80}, {"port": 81, "targetPort": "x"}]}}),
        (("authorization.k8s.io", "v1", "SubjectAccessReview"), {"spec": {"extra": {"k": ["a", "b"]}}}),
        (("apps", "v1", "ControllerRevision"), {"data": {"any": [1, {"x": None}]}, "revision": 7}),
        (
            ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            {
                "spec": {
                    "names": {"plural": "fans", "kind": "Fan"},
                    "versions": [
                        {
                            "name": "v1",
                            "schema": {
                                "openAPIV3Schema": {
                                    "type": "object",
                                    "maximum": 1.5,
                                    "items": {"type": "string"},
                                    "additionalProperties": True,
                                    "default": {"a": 1},
                                }
                            },
                        }
                    ],
                }
            },
        ),
    ],
)
def test_there_and_back(kind: tuple[str, str, str], body: Any) -> None:
    obj = decode(kind, body)
    data = protobuf_writer.write(obj, obj["apiVersion"], kind[2])
    api_version, name, raw = protobuf.read(data)
    assert (api_version, name) == (obj["apiVersion"], kind[2])
    type_ = schema.for_kind(*kind)
    back, _ = codec.decode_value(protobuf.decode(raw, type_), type_)
    assert {"kind": name, "apiVersion": api_version, **back} == obj


def test_known_bytes() -> None:
    obj = decode(("", "v1", "ConfigMap"), {"metadata": {"name": "a"}, "data": {"k": "v"}})
    raw = protobuf_writer.encode(obj, schema.for_kind("", "v1", "ConfigMap"))
    meta = b"\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00"
    assert raw == b"\x0a" + bytes([len(meta)]) + meta + b"\x12\x06\x0a\x01k\x12\x01v"


def test_broken_bodies_are_refused() -> None:
    with pytest.raises(protobuf.ProtobufError):
        protobuf.read(b"{}")
    with pytest.raises(protobuf.ProtobufError):
        protobuf.read(protobuf.MAGIC + b"\x0a\xff")


@settings(max_examples=100 * SCALE)
@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        protobuf.decode(data, schema.for_kind(*POD))
    except (protobuf.ProtobufError, ValueError, DecodeError):
        pass


def test_bodies_in_protobuf_are_decoded() -> None:
    obj = decode(POD, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    data = protobuf_writer.write(obj, "v1", "Pod")
    found, warnings = codec.decode(data, codec.PROTOBUF, schema.for_kind(*POD), POD, codec.STRICT)
    assert found == obj and warnings == []
    with pytest.raises(errors.BadRequest):
        codec.decode(b"k8s\x00\x0a\xff", codec.PROTOBUF, schema.for_kind(*POD), POD)


MANY = {
    "containers": lambda n: field(2, field(2, b"\x0a\x01c") * n),
    "finalizers": lambda n: field(1, field(14, b"") * n),
    "labels": lambda n: field(1, b"".join(field(11, field(1, b"%d" % i)) for i in range(n))),
    "metadata": lambda n: field(1, b"") * n,
    "unknown": lambda n: b"\x78\x00" * n,
}


@pytest.mark.parametrize("shape", MANY)
def test_reading_is_linear(shape: str) -> None:
    def read(raw: bytes) -> None:
        body = protobuf_writer.frame(raw, "v1", "Pod")
        codec.decode(body, codec.PROTOBUF, schema.for_kind(*POD), POD)

    assert_linear(read, MANY[shape], 500)


def test_raw_json_is_no_deeper_than_other_json() -> None:
    kind = ("apps", "v1", "ControllerRevision")
    for levels, fits in ((depth.MAX_DEPTH - 1, True), (depth.MAX_DEPTH, False)):
        raw = field(2, field(1, b"[" * levels + b"]" * levels))
        body = protobuf_writer.frame(raw, "apps/v1", "ControllerRevision")
        try:
            codec.decode(body, codec.PROTOBUF, schema.for_kind(*kind), kind)
            assert fits
        except errors.BadRequest as error:
            assert not fits and "exceeded max depth" in error.message
