"""Protobuf bodies of built-in kinds."""

import json
import math
import random
import struct
from typing import Any

import pytest
from api.protobuf import reader_model, writer_model
from api.protobuf.compared import KINDS, any_object, any_type, changed, outcome, turns, type_of
from complexity import assert_linear
from example_scale import SCALE
from fuzz.engines import tight
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api import codec
from pilothouse.api.json import MAX_CONTAINERS
from pilothouse.api.protobuf import _reader as protobuf
from pilothouse.api.protobuf import writer as protobuf_writer
from pilothouse.api.types import depth, schema
from pilothouse.api.types.schema import Type
from pilothouse.wire import field, message, varint

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


def check(data: bytes, type: Type) -> None:
    """Compare what the reader makes of a message with what its model does."""
    with tight(data) as whole:
        assert outcome(protobuf.decode, whole, type) == outcome(reader_model.decode, data, type)


@settings(max_examples=100 * SCALE)
@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    check(data, schema.for_kind(*POD))
    assert outcome(protobuf.read, data) == outcome(reader_model.read, data)
    assert outcome(protobuf.read, protobuf.MAGIC + data) == outcome(reader_model.read, protobuf.MAGIC + data)


@settings(max_examples=400 * SCALE, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_message_is_read_as_the_model_reads_it(chance: random.Random) -> None:
    type_ = any_type(chance)
    try:
        data = writer_model.encode(any_object(chance, type_), type_)
    except (AttributeError, TypeError, ValueError, struct.error):
        data = b""
    data = changed(chance, data)
    check(data, type_)
    with tight(protobuf.MAGIC + data) as whole:
        assert outcome(protobuf.read, whole) == outcome(reader_model.read, whole)


@pytest.mark.parametrize("last", [b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80", b"\xff\x01"])
def test_the_tenth_byte_of_a_number_has_one_bit(last: bytes) -> None:
    number = b"\xff" * 9 + last
    for data in (b"\x40" + number, number + b"\x01", b"\x12" + number, b"\x40" + number[1:]):
        check(data, schema.for_kind("", "v1", "Event"))


@pytest.mark.parametrize("levels", [99, 100, 101, 102])
def test_messages_are_nested_to_a_limit(levels: int) -> None:
    type_ = schema.builtin("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    number, data = reader_model.numbers()[type_.name]["not"][0], b""
    for _ in range(levels):
        data = field(number, data)
    check(data, type_)
    assert outcome(protobuf.decode, data, type_).startswith("{") == (levels <= 100)


@pytest.mark.parametrize("kind", [("", "v1", "Event"), ("coordination.k8s.io", "v1", "Lease")])
@settings(max_examples=200 * SCALE)
@given(
    seconds=st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**11), 10**12),
    nanos=st.integers(0, 10**9 - 1) | st.integers(0, 2**64 - 1),
)
@example(seconds=-62135596801, nanos=0)
@example(seconds=-62135596800, nanos=0)
@example(seconds=253402300799, nanos=999_999_999)
@example(seconds=253402300800, nanos=0)
@example(seconds=951_782_400, nanos=0)
def test_any_time_is_read_as_the_model_reads_it(kind: tuple[str, str, str], seconds: int, nanos: int) -> None:
    type_ = schema.for_kind(*kind)
    time = message((1, seconds & (1 << 64) - 1), (2, nanos))
    check(field(1, field(8, time)), type_)  # metadata.creationTimestamp
    check(field(2, field(4, time)), type_)  # a lease's spec.renewTime
    check(field(6, time) + field(10, time), type_)  # an event's firstTimestamp and eventTime


def test_wrong_wire_types() -> None:
    """A number where bytes belong, and bytes where a number belongs, for each member of a pod's container."""
    for number in range(1, 30):
        for value in (
            varint(number << 3) + b"\x01",
            field(number, b"\x01"),
            varint(number << 3 | 1) + bytes(8),
        ):
            check(field(2, field(2, value)), schema.for_kind(*POD))
            check(value, schema.for_kind("", "v1", "Event"))


def test_a_long_walk_lets_other_threads_run() -> None:
    pod = schema.for_kind(*POD)
    assert turns(lambda: protobuf.decode(b"\x78\x00" * 10_000, pod)) >= 5
    labels = b"".join(field(11, field(1, b"%d" % i)) for i in range(10_000))
    assert turns(lambda: protobuf.decode(field(1, labels), pod)) >= 5


@settings(max_examples=200 * SCALE, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_short_body_is_decoded_as_a_long_one_is(chance: random.Random) -> None:
    """A long one becomes JSON first, in which objects and arrays are counted."""
    version, kind = chance.choice(KINDS)
    type_ = type_of(version, kind)
    group, _, short = version.rpartition("/")
    try:
        raw = changed(chance, writer_model.encode(any_object(chance, type_), type_))
    except (AttributeError, TypeError, ValueError, struct.error):
        raw = b""
    body = protobuf_writer.frame(raw, version, kind)
    validation = chance.choice((codec.IGNORE, codec.WARN, codec.STRICT))
    answers = [
        outcome(
            codec.decode,
            body + field(9, bytes(size)),
            codec.PROTOBUF,
            type_,
            (group, short, kind),
            validation,
        )
        for size in (40, MAX_CONTAINERS)
    ]
    assert answers[0] == answers[1]


def test_a_kind_without_a_version_is_shown_as_json() -> None:
    body = protobuf_writer.frame(field(1, field(1, b"a")), "apps/", "Deployment")
    with pytest.raises(errors.BadRequest) as refused:
        codec.decode(body, codec.PROTOBUF, schema.for_kind(*POD), POD)
    shown = """Object 'apiVersion' is missing in '{"apiVersion":"apps/","kind":"Deployment"}'"""
    assert refused.value.message == f'Deployment in version "" cannot be handled as a Pod: {shown}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1.5, -0.0, 5e-324])
def test_numbers_that_json_does_not_have_are_null(number: float) -> None:
    type_ = schema.builtin("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    data = writer_model.encode({"maximum": number}, type_)
    check(data, type_)
    assert protobuf.decode(data, type_)["maximum"] == (number if math.isfinite(number) else None)


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
