"""Bodies of built-in kinds: decoded objects, warnings and errors, and no other exceptions."""

import json
import threading
import time
from typing import Any

import pytest
from complexity import seconds
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api import _schema, codec
from pilothouse.api.types import schema

POD = ("", "v1", "Pod")
CONFIG_MAP = ("", "v1", "ConfigMap")
SERVICE = ("", "v1", "Service")
DEPLOYMENT = ("apps", "v1", "Deployment")


def decode(
    body: Any, kind: tuple[str, str, str] = CONFIG_MAP, validation: str = codec.WARN, media: str = codec.JSON
) -> tuple[dict[str, Any], list[str]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return codec.decode(data, media, schema.for_kind(*kind), kind, validation)


def refused(body: Any, kind: tuple[str, str, str] = CONFIG_MAP, **more: Any) -> str:
    with pytest.raises(errors.BadRequest) as caught:
        decode(body, kind, **more)
    return caught.value.message


def config_map(**members: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, **members}


def test_empty_members_are_dropped_and_written_ones_filled_in() -> None:
    obj, _ = decode(config_map(data={}, binaryData=None, immutable=None))
    assert obj == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    role = ("rbac.authorization.k8s.io", "v1", "Role")
    obj, _ = decode({"metadata": {"name": "r", "managedFields": []}, "rules": []}, role)
    assert (
        obj["rules"] == [] and obj["metadata"]["managedFields"] == []
    )  # as the tracking of fields sees them
    codec.drop_empty(obj, schema.for_kind(*role))
    assert obj["rules"] is None and "managedFields" not in obj["metadata"]
    obj, _ = decode({"metadata": {"creationTimestamp": None}, "eventTime": None}, ("", "v1", "Event"))
    assert obj["metadata"] == {} and obj["firstTimestamp"] is None and obj["source"] == {}


def test_nulls_inside_maps_and_lists_are_zero_values() -> None:
    obj, _ = decode(config_map(metadata={"name": "a", "labels": {"n": None}}, data={"k": None}))
    assert obj["metadata"]["labels"] == {"n": ""} and obj["data"] == {"k": ""}
    obj, _ = decode({"data": {"k": None}}, ("", "v1", "Secret"))
    assert obj["data"] == {"k": ""}
    obj, _ = decode({"spec": {"hard": {"memory": None, "cpu": 3}}}, ("", "v1", "ResourceQuota"))
    assert obj["spec"]["hard"] == {"memory": "0", "cpu": "3"}


def test_pointers_keep_empty_values() -> None:
    obj, _ = decode(config_map(immutable=False))
    assert obj["immutable"] is False


def test_kind_and_version_are_completed() -> None:
    for body in ({}, {"kind": "ConfigMap"}, {"apiVersion": "v1"}, None, {"apiVersion": "/"}):
        obj, _ = decode(body)
        assert (obj["kind"], obj["apiVersion"]) == ("ConfigMap", "v1")


def test_unknown_and_repeated_members() -> None:
    body = (
        b'{"kind":"Pod","metadata":{"name":"p","Labels":{}},"spec":{"foo":{"a":1,"a":2},'
        b'"containers":[{"name":"c","image":"a","image":"b","bar":1}],"nodeSelector":{"x":"1","x":"2"}}}'
    )
    expected = [
        'unknown field "metadata.Labels"',
        'unknown field "spec.foo"',
        'duplicate field "spec.containers[0].image"',
        'unknown field "spec.containers[0].bar"',
        'duplicate field "spec.nodeSelector.x"',
    ]
    obj, warnings = decode(body, POD)
    assert warnings == expected
    assert obj["spec"]["containers"][0]["image"] == "b" and obj["spec"]["nodeSelector"] == {"x": "2"}
    assert refused(body, POD, validation=codec.STRICT) == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: ' + ", ".join(expected)
    )
    assert decode(body, POD, codec.IGNORE)[1] == []


def test_unknown_members_without_repetition_take_the_quick_way() -> None:
    obj, warnings = decode(config_map(spec={"a": [{"b": 1}]}, data={"x": "y"}))
    assert warnings == ['unknown field "spec"'] and obj["data"] == {"x": "y"}


def test_a_repeated_struct_is_decoded_into_the_earlier_one() -> None:
    obj, _ = decode(b'{"metadata":{"name":"a"},"metadata":{"labels":{"x":"y"}}}')
    assert obj["metadata"] == {"name": "a", "labels": {"x": "y"}}


def test_at_most_a_hundred_strict_errors() -> None:
    _, warnings = decode({f"x{i}": 1 for i in range(150)})
    assert len(warnings) == 100


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (
            CONFIG_MAP,
            {"metadata": {"name": 5}},
            "number into Go struct field ObjectMeta.metadata.name of type string",
        ),
        (
            CONFIG_MAP,
            {"metadata": [1]},
            "array into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (CONFIG_MAP, {"data": "x"}, "string into Go struct field ConfigMap.data of type map[string]string"),
        (CONFIG_MAP, {"data": {"a": {}}}, "object into Go struct field ConfigMap.data of type string"),
        (CONFIG_MAP, {"immutable": "yes"}, "string into Go struct field ConfigMap.immutable of type bool"),
        (
            SERVICE,
            {"spec": {"ports": {}}},
            "object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            SERVICE,
            {"spec": {"ports": [{"targetPort": 1.5}]}},
            "number 1.5 into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        (
            POD,
            {"spec": {"restartPolicy": 1}},
            "number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
        ),
        (
            POD,
            {"spec": {"volumes": [{"secret": {"defaultMode": "0644"}}]}},
            "string into Go struct field "
            "SecretVolumeSource.spec.volumes.VolumeSource.secret.defaultMode of type int32",
        ),
        (
            ("", "v1", "Secret"),
            {"data": {"a": 1}},
            "number into Go struct field Secret.data of type []uint8",
        ),
        (
            ("", "v1", "Event"),
            {"firstTimestamp": 0},
            "number into Go struct field Event.firstTimestamp of type string",
        ),
    ],
)
def test_wrong_types(kind: tuple[str, str, str], body: Any, message: str) -> None:
    name = kind[2]
    assert refused(body, kind) == (
        f'{name} in version "v1" cannot be handled as a {name}: json: cannot unmarshal {message}'
    )


@pytest.mark.parametrize("literal", ["1.0", "1e1", "99999999999", "-2147483649", "99999999999999999999"])
def test_numbers_are_shown_as_they_were_written(literal: str) -> None:
    body = f'{{"spec":{{"replicas":{literal}}}}}'.encode()
    assert refused(body, DEPLOYMENT).endswith(
        f"cannot unmarshal number {literal} into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


def test_an_error_of_a_text_wins_over_an_earlier_wrong_type() -> None:
    message = refused({"metadata": {"name": 5, "creationTimestamp": "x"}})
    assert message.endswith('parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"')


def test_the_first_wrong_type_is_reported() -> None:
    assert "ObjectMeta.metadata.name" in refused(b'{"metadata":{"name":5},"data":[]}')


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "unexpected end of JSON input (<empty>)"),
        (b"[]", "json: cannot unmarshal array into Go value of type " + codec._VERSION_KIND + " (5b5d)"),
        (
            b'{"kind":1}',
            'json: cannot unmarshal number into Go struct field .kind of type string ({"kind":1})',
        ),
        (b"hello there", "invalid character 'h' looking for beginning of value (68656c6c6f207468657265)"),
        (b"{" + b" " * 40, "unexpected end of JSON input ({" + " " * 29 + " ...)"),
    ],
)
def test_bodies_that_are_no_objects(body: bytes, message: str) -> None:
    assert refused(body) == (
        "the object provided is unrecognized (must be of type ConfigMap): "
        f"couldn't get version/kind; json parse error: {message}"
    )


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            {"kind": "configmap"},
            (
                'configmap in version "v1" cannot be handled as a ConfigMap: '
                'no kind "configmap" is registered for version "v1" '
                'in scheme "pkg/api/legacyscheme/scheme.go:30"'
            ),
        ),
        (
            {"apiVersion": "a\nb", "kind": "C"},
            r'C in version "a\nb" cannot be handled as a ConfigMap: no kind "C" is registered for version'
            r' "a\nb" '
            'in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
        (
            {"apiVersion": "apps/", "kind": "Deployment"},
            'Deployment in version "" cannot be handled as a ConfigMap: '
            """Object 'apiVersion' is missing in '{"apiVersion": "apps/", "kind": "Deployment"}'""",
        ),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment"},
            (
                'Deployment in version "v1" cannot be handled as a ConfigMap: '
                "converting (v1.Deployment) to (core.ConfigMap): unknown conversion"
            ),
        ),
        (
            {"apiVersion": "a/b/c"},
            (
                "the object provided is unrecognized (must be of type ConfigMap): "
                'unexpected GroupVersion string: a/b/c ({"apiVersion": "a/b/c"})'
            ),
        ),
    ],
)
def test_bodies_of_another_kind(claim: Any, message: str) -> None:
    assert refused(claim) == message


def test_another_version_of_the_kind() -> None:
    body = {"apiVersion": "apps/v1beta1", "kind": "Deployment"}
    assert refused(body, DEPLOYMENT) == (
        "the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)"
    )
    obj, _ = codec.decode(
        json.dumps(body).encode(),
        "",
        schema.for_kind(*DEPLOYMENT),
        DEPLOYMENT,
        accepted={("apps", "v1beta1")},
    )
    assert obj["apiVersion"] == "apps/v1"


def test_media_types() -> None:
    assert codec.media_type("") == codec.JSON
    assert codec.media_type("application/json; charset=utf-8") == codec.JSON
    with pytest.raises(errors.UnsupportedMediaType) as caught:
        codec.media_type("text/plain")
    assert caught.value.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def test_yaml_bodies() -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: e\nbogus: 1\ndata:\n  a: b\n  a: c\n"
    obj, warnings = decode(body, media=codec.YAML)
    assert obj["data"] == {"a": "c"}
    assert warnings == ['line 8: key "a" already set in map', 'unknown field "bogus"']
    assert refused(b"data: {a: 1}", media=codec.YAML).endswith(
        "cannot unmarshal number into Go struct field ConfigMap.data of type string"
    )


def test_int_or_string_and_bytes_keep_what_was_given() -> None:
    ports = [{"port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 8080}, {"port": 82}]
    obj, _ = decode({"spec": {"ports": ports}}, SERVICE)
    assert [port["targetPort"] for port in obj["spec"]["ports"]] == ["web", 8080, 82]
    obj, _ = decode({"data": {"a": [104, 105]}}, ("", "v1", "Secret"))
    assert obj["data"] == {"a": "aGk="}


def test_deep_bodies_are_refused() -> None:
    kind = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    props = '{"items":' * 2000 + "{}" + "}" * 2000
    body = f'{{"spec":{{"versions":[{{"name":"v1","schema":{{"openAPIV3Schema":{props}}}}}]}}}}'
    assert "exceeded max depth" in refused(body.encode(), kind)


def test_json_schemas_in_place_of_other_things() -> None:
    kind = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    root = {
        "type": "object",
        "additionalProperties": {"type": "string", "nosuch": 1},
        "items": [{"type": "string"}],
        "default": {"a": [1.5, None]},
    }
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}]
    obj, warnings = decode({"spec": {"versions": versions}}, kind)
    read = obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert read["additionalProperties"] == {"type": "string"}  # Go is blind to unknown members there
    assert read["default"] == {"a": [1.5, None]}
    assert warnings == []
    wrong: dict[str, Any] = {**root, "additionalProperties": 5}
    versions[0]["schema"] = {"openAPIV3Schema": wrong}
    assert refused({"spec": {"versions": versions}}, kind).endswith("boolean or JSON schema expected")


@pytest.mark.parametrize(
    ("member", "value", "read"),
    [
        ("items", "x", None),
        ("items", 1, None),
        ("items", True, None),
        ("items", [], None),
        ("items", [None], [{}]),
        ("additionalItems", True, True),
        ("dependencies", {"a": "x", "b": ["c", None], "c": []}, {"a": None, "b": ["c", ""], "c": None}),
    ],
)
def test_what_is_no_json_schema(member: str, value: Any, read: Any) -> None:
    root = {"type": "object", member: value}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}]
    obj, _ = decode(
        {"spec": {"versions": versions}}, ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    )
    assert obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"].get(member) == read


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("items", ["x"], "cannot unmarshal string into Go struct field JSONSchemaProps"),
        ("items", [1], "of type v1.JSONSchemaProps"),
        ("dependencies", {"a": [1]}, "of type string"),
        ("dependencies", {"a": [{}]}, "cannot unmarshal object into Go struct field JSONSchemaProps"),
        ("additionalProperties", [], "boolean or JSON schema expected"),
    ],
)
def test_wrong_types_in_json_schemas(member: str, value: Any, message: str) -> None:
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", member: value}}}]
    kind = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert message in refused({"spec": {"versions": versions}}, kind)


def test_a_fault_within_items_goes_before_one_that_was_found_earlier() -> None:
    """Their custom unmarshalling ends the walk around it,
    other faults are kept until its end (encoding/json)."""
    root = {"required": [[]], "items": {"required": [1]}}
    kind = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    body = {"spec": {"versions": [{"schema": {"openAPIV3Schema": root}}]}}
    assert "cannot unmarshal number" in refused(body, kind)
    root["items"] = {"required": ["a"]}
    assert "cannot unmarshal array" in refused(body, kind)


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=2), max_size=6))
def test_maps_are_in_the_order_of_their_keys(data: dict[str, str]) -> None:
    obj, _ = decode({"metadata": {"name": "a", "labels": data}, "data": data}, ("", "v1", "ConfigMap"))
    for found in (obj.get("data", {}), obj["metadata"].get("labels", {})):
        assert found == data and list(found) == sorted(data)


def test_encode_puts_the_head_first() -> None:
    obj = {"data": {"é": "<"}, "metadata": {"name": "a", "resourceVersion": "5"}}
    assert codec.encode(obj, "ConfigMap", "v1") == (
        '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"é":"<"}}'.encode()
    )
    assert obj["metadata"] == {"name": "a", "resourceVersion": "5"}


def test_decoding_again_changes_nothing() -> None:
    containers = [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "0.5"}}}]
    obj, _ = decode({"metadata": {"name": "p"}, "spec": {"containers": containers}}, POD)
    again, strict = codec.decode_value(obj, schema.for_kind(*POD))
    assert again == obj and strict == []


KINDS = [
    (group, version, kind)
    for group_version, kinds in schema.index()["kinds"].items()
    for group, _, version in [group_version.rpartition("/")]
    for kind in kinds
]
LEAVES: Any = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(-2, 2) | st.text(max_size=3)


def values(kind: schema.Type, depth: int) -> Any:
    """Values that nearly fit a type."""
    if depth == 0:
        return LEAVES
    if kind.kind == "struct" and kind.fields:
        names = st.sampled_from(sorted(kind.fields))
        members = st.lists(names, max_size=4, unique=True)
        return members.flatmap(
            lambda chosen: st.fixed_dictionaries({n: values(kind.fields[n].type, depth - 1) for n in chosen})
        )
    if kind.kind == "list" and kind.items is not None:
        return st.lists(values(kind.items, depth - 1), max_size=2)
    if kind.kind == "map" and kind.items is not None:
        return st.dictionaries(st.text(max_size=2), values(kind.items, depth - 1), max_size=2)
    return {"string": st.text(max_size=4), "bool": st.booleans(), "int32": st.integers(0, 9)}.get(
        kind.kind, LEAVES
    )


@settings(max_examples=75 * SCALE)
@given(st.sampled_from(KINDS).flatmap(lambda k: st.tuples(st.just(k), values(schema.for_kind(*k), 4))))
def test_any_body_is_decoded_or_refused(case: tuple[tuple[str, str, str], Any]) -> None:
    kind, value = case
    if isinstance(value, dict):
        value.pop("kind", None)
        value.pop("apiVersion", None)
    try:
        obj, _ = decode(value, kind)
    except errors.BadRequest:
        return
    again, strict = codec.decode_value(obj, schema.for_kind(*kind))
    assert strict == []
    assert json.loads(codec.encode(again, kind[2], "x"))["kind"] == kind[2]


@settings(max_examples=50 * SCALE)
@given(st.sampled_from(KINDS).flatmap(lambda k: st.tuples(st.just(k), values(schema.for_kind(*k), 4))))
def test_both_walks_agree(case: tuple[tuple[str, str, str], Any]) -> None:
    kind, value = case
    if not isinstance(value, dict):
        return
    type_ = schema.for_kind(*kind)
    data = json.dumps(value).encode()
    quick, exact = _schema.Walk(False), _schema.Walk(True)
    try:
        expected = exact.run(type_, _schema.scan(data))
    except _schema.DecodeError:
        with pytest.raises(_schema.Odd):
            quick.run(type_, json.loads(data))
        return
    try:
        found = quick.run(type_, json.loads(data))
    except _schema.Odd:
        return
    assert found == expected and quick.strict == exact.strict


CRD = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
LONG = b"k" * 20_000


def attempt(data: bytes, kind: tuple[str, str, str], media: str = "") -> str:
    """The refusal of a body, "" when it is taken."""
    try:
        codec.decode(data, media, schema.for_kind(*kind), kind, codec.WARN)
    except errors.BadRequest as error:
        return error.message
    return ""


SHAPES: dict[str, Any] = {
    "repeated yaml": (CONFIG_MAP, codec.YAML, lambda n: b"data:\n" + b"  a: b\n" * n),
    "repeated members": (CONFIG_MAP, "", lambda n: b'{"data":{' + b'"a":"b",' * n + b'"c":"d"}}'),
    "repeated structs": (
        CONFIG_MAP,
        "",
        lambda n: (
            b'{"metadata":{"labels":{'
            + b",".join(b'"k%d":""' % i for i in range(n))
            + b"}}"
            + b',"metadata":{"labels":{}}' * n
            + b"}"
        ),
    ),
    "unknown": (CONFIG_MAP, "", lambda n: b"{" + b",".join(b'"u%d":[1]' % i for i in range(n)) + b"}"),
    "wrong types": (POD, "", lambda n: b'{"spec":{"containers":[' + b"1," * n + b"2]}}"),
    "bytes": (("", "v1", "Secret"), "", lambda n: b'{"data":{"a":[' + b"1," * n + b"2]}}"),
    "raw": (("apps", "v1", "ControllerRevision"), "", lambda n: b'{"data":[' + b"[]," * n + b"1]}"),
    "deep": (CONFIG_MAP, "", lambda n: b'{"data":' + b"[" * n),
    "escapes": (CONFIG_MAP, "", lambda n: b'{"data":{"a":"' + b"\\ud800" * n + b'"}}'),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_body_is_decoded_in_linear_time(shape: str) -> None:
    """Seconds for a megabyte: in quadratic time it took minutes.
    Ratios say little: what no cache holds is slower."""
    kind, media, make = SHAPES[shape]
    n = 1_000_000 // (len(make(1000)) // 1000)
    assert seconds(lambda body: attempt(body, kind, media), make, n, runs=1) < 4.0


def test_a_long_key_does_not_come_back_in_every_complaint() -> None:
    root = b'{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"properties":{"%s":{%s}}}}}]}}'
    repeated = root % (LONG, b",".join([b'"x":1'] * 2000))
    unknown = root % (LONG, b",".join(b'"x%d":1' % i for i in range(2000)))
    for body in (repeated, unknown):
        _, warnings = codec.decode(body, "", schema.for_kind(*CRD), CRD, codec.WARN)
        assert warnings and sum(map(len, warnings)) < 200_000


def test_a_number_of_thousands_of_digits_is_no_accident() -> None:
    data = '{"data":{"a":' + "1" * 5000 + "}}"
    assert "cannot unmarshal number into Go struct field ConfigMap.data of type string" in attempt(
        data.encode(), CONFIG_MAP
    )
    for number in ("1e400", "-1e400", "1" * 5000, "1." + "0" * 5000):
        attempt(f'{{"spec":{{"replicas":{number}}}}}'.encode(), ("apps", "v1", "Deployment"))
        attempt(f'{{"data":{number}}}'.encode(), ("apps", "v1", "ControllerRevision"))


def test_objects_in_one_body_are_bounded() -> None:
    body = b'{"spec":{"containers":[' + b"{}," * 250_000 + b"{}]}}"
    assert "more than 200000 objects and arrays in one document" in attempt(body, POD)


def test_a_long_walk_lets_other_threads_run() -> None:
    """A thread that becomes ready when the walk begins has run long before the walk ends."""
    inner: list[Any] = [[] for _ in range(1000)]
    value = [inner] * 50_000
    walking, ran_at = threading.Event(), []

    def run() -> None:
        walking.wait()
        ran_at.append(time.perf_counter())

    thread = threading.Thread(target=run)
    thread.start()
    begun = time.perf_counter()
    walking.set()
    _schema.is_deeper(value, 5)
    took = time.perf_counter() - begun
    thread.join()
    assert ran_at[0] - begun < took / 2
