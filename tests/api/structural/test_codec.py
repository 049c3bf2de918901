"""Bodies of custom resources."""

import pytest

from pilothouse import errors
from pilothouse.api import _schema
from pilothouse.api.structural.codec import StructuralCodec, plain, whole_numbers
from pilothouse.api.structural.schema import compile
from pilothouse.api.types import depth
from pilothouse.api.values.fields import Object

SCHEMA = compile(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "a": {"type": "string"},
                    "n": {"type": "integer"},
                    "d": {"type": "string", "default": "x"},
                },
            }
        },
    }
)
CODEC = StructuralCodec("example.com", "v1", "Widget", lambda: SCHEMA)
HEAD = '"apiVersion":"example.com/v1","kind":"Widget"'


def decode(
    text: str, content_type: str = "application/json", validation: str = "Warn"
) -> tuple[Object, list[str]]:
    return CODEC.decode(text.encode(), content_type, validation)


def refused(text: str, content_type: str = "application/json", validation: str = "Warn") -> str:
    with pytest.raises(errors.BadRequest) as err:
        decode(text, content_type, validation)
    return str(err.value.message)


def test_prunes_defaults_and_warns() -> None:
    obj, notes = decode(
        "{" + HEAD + ',"metadata":{"name":"n","zz":1},"spec":{"a":"1","a":"2","zz":1},"top":1}'
    )
    assert obj["spec"] == {"a": "2", "d": "x"} and obj["metadata"] == {"name": "n"} and "top" not in obj
    assert notes == [
        'duplicate field "spec.a"',
        'unknown field "metadata.zz"',
        'unknown field "spec.zz"',
        'unknown field "top"',
    ]
    assert decode("{" + HEAD + ',"spec":{"zz":1}}', validation="Ignore")[1] == []
    assert refused("{" + HEAD + ',"spec":{"zz":1}}', validation="Strict") == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.zz"'
    )
    other = '{"apiVersion":"v1","kind":"Other","metadata":{"zz":1}}'
    assert (
        refused(other, validation="Strict")
        == 'Other in version "v1" cannot be handled as a Other: strict decoding error: unknown field'
        ' "metadata.zz"'
    )


def test_yaml() -> None:
    obj, _ = decode("apiVersion: example.com/v1\nkind: Widget\nspec: {a: 'yes'}\n", "application/yaml")
    assert obj["spec"]["a"] == "yes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind":"Widget"}',
         "the API version in the data () does not match the expected API version (example.com/v1)"),
        ('{"apiVersion":"example.com/v2","kind":"Widget"}',
         "the API version in the data (example.com/v2) does not"),
        ("{}", "the object provided is unrecognized (must be of type Widget): Object 'Kind' is missing in "
               "'{}' ({})"),
        ("{" + HEAD + ',"metadata":"x"}',
         "json: cannot unmarshal string into Go value of type v1.ObjectMeta"),
        ("[]", "couldn't get version/kind; json parse error"),
        ("{" + HEAD + ',"spec":' + '{"a":' * 900 + "1" + "}" * 901, "exceeded max depth"),
        ("{", "couldn't get version/kind; json parse error: unexpected end of JSON input ({)"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, message: str) -> None:
    assert message in refused(text)


def test_protobuf_is_no_form_of_theirs() -> None:
    with pytest.raises(errors.UnsupportedMediaType):
        decode("", "application/vnd.kubernetes.protobuf")


def test_another_kind_is_left_alone() -> None:
    assert decode('{"apiVersion":"example.com/v1","kind":"Gadget","zz":1}')[0]["zz"] == 1


def test_patched_objects() -> None:
    obj, notes = CODEC.decode_value(
        {"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"zz": 1, "a": None}}
    )
    assert obj["spec"] == {"d": "x"} and notes == ['unknown field "spec.zz"']
    with pytest.raises(_schema.DecodeError) as caught:
        CODEC.decode_value({"spec": {"b": 1, "a": 2}, "kind": None})
    assert str(caught.value) == """Object 'Kind' is missing in '{"kind":null,"spec":{"a":2,"b":1}}'"""
    for member, value, word in (("kind", [{}], "array"), ("apiVersion", 1, "number")):
        with pytest.raises(_schema.DecodeError) as caught:
            CODEC.decode_value({"apiVersion": "example.com/v1", "kind": "Widget", member: value})
        assert (
            str(caught.value)
            == f"couldn't get version/kind; json parse error: json: cannot unmarshal {word} into Go struct"
            f" field .{member} of type string"
        )


def test_what_is_stored_comes_back_by_the_schema_of_now() -> None:
    stored: Object = {
        "apiVersion": "example.com/v0",
        "kind": "Widget",
        "metadata": {"name": "n"},
        "spec": {"old": 1},
    }
    assert CODEC.restore(stored) == {
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "n"}, "spec": {"d": "x"},
    }  # fmt: skip


def test_numbers() -> None:
    assert plain({"a": [2**63, 2**63 - 1, -(2**63)]}) == {"a": [float(2**63), 2**63 - 1, -(2**63)]}
    assert isinstance(plain([2**63])[0], float) and isinstance(plain(2**64), float)
    out = whole_numbers({"a": [3.0, 0.5, 1e20, 1e21], "b": True})
    assert out == {"a": [3, 0.5, 10**20, 1e21], "b": True}
    assert [type(n) for n in out["a"]] == [int, float, int, float]
    assert whole_numbers([2**63, 2**63 - 1, -(2**63)]) == [9223372036854776000, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("shape", ['{"a":', "["])
def test_the_deepest_object_is_read_and_a_deeper_one_refused(shape: str) -> None:
    open_schema = compile({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    reader = StructuralCodec("example.com", "v1", "Widget", lambda: open_schema)
    end = "}" if shape.startswith("{") else "]"
    for levels, fits in ((depth.MAX_DEPTH - 1, True), (depth.MAX_DEPTH, False)):
        body = "{" + HEAD + ',"spec":' + shape * levels + "1" + end * levels + "}"
        for media in ("application/json", "application/yaml"):
            if fits:
                obj, _ = reader.decode(body.encode(), media, "Strict")
                assert not depth.is_too_deep(obj)
            else:
                with pytest.raises(errors.BadRequest, match="exceeded max depth"):
                    reader.decode(body.encode(), media, "Strict")
