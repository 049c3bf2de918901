"""Malformed bodies."""

import json

import pytest
from example_scale import SCALE
from fuzz.good_objects import GOOD
from fuzzing import JSON, MAPS, Target, refused, share
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BOUNDED = settings(
    max_examples=60 * SCALE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

YAML = {"Content-Type": "application/yaml"}
PROTOBUF = {"Content-Type": "application/vnd.kubernetes.protobuf"}
DEEP = 100_000
NAME = b'{"metadata":{"name":"a"},"data":'

BODIES = {
    "empty": b"",
    "space": b" ",
    "null": b"null",
    "array": b"[]",
    "text": b'"a"',
    "number": b"1",
    "half": b'{"metadata":',
    "two": b"{}{}",
    "trailing": b"{} x",
    "no-name": b"{}",
    "deep-array": b"[" * DEEP,
    "deep-array-closed": b"[" * DEEP + b"]" * DEEP,
    "deep-object": b'{"a":' * DEEP,
    "deep-object-closed": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep-inside": NAME + b"[" * 20000 + b"]" * 20000 + b"}",
    "deep-in-annotations": b'{"metadata":{"annotations":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}}",
    "deep-managed-fields": (
        b'{"metadata":{"name":"m","managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1",'
        b'"fieldsType":"FieldsV1","fieldsV1":' + b'{"f:a":' * 3000 + b"{}" + b"}" * 3000 + b"}]}}"
    ),
    "huge-number": b'{"metadata":{"name":"a","generation":' + b"9" * 10000 + b"}}",
    "huge-exponent": b'{"metadata":{"name":"a","generation":1e999999999}}',
    "fraction": b'{"metadata":{"name":"a","generation":1.5}}',
    "beyond-int64": b'{"metadata":{"name":"a","generation":9223372036854775808}}',
    "nan": b'{"metadata":{"generation":NaN}}',
    "infinity": b'{"metadata":{"generation":-Infinity}}',
    "leading-zero": b'{"metadata":{"generation":01}}',
    "invalid-utf8": b'{"metadata":{"name":"a\xff\xfe"}}',
    "overlong-utf8": b'{"metadata":{"name":"\xc0\xaf"}}',
    "utf16": '{"metadata":{"name":"a"}}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf{}",
    "nul": b'{"metadata":{"name":"a\x00b"}}',
    "escaped-nul": b'{"metadata":{"name":"a\\u0000b"}}',
    "lone-surrogate": b'{"metadata":{"name":"\\ud800"}}',
    "surrogate-key": b'{"metadata":{"name":"B"},"data":{"\\ud800":"x"}}',
    "control": b'{"metadata":{"name":"a\nb"}}',
    "bad-escape": b'{"metadata":{"name":"\\q"}}',
    "wrong-kind": b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}',
    "wrong-types": b'{"kind":1,"apiVersion":[],"metadata":"x"}',
    "metadata-array": b'{"metadata":[{"name":"a"}]}',
    "labels-array": b'{"metadata":{"name":"a","labels":["a"]}}',
    "data-numbers": b'{"metadata":{"name":"a"},"data":{"a":1}}',
    "bad-time": b'{"metadata":{"name":"B","creationTimestamp":"yesterday"}}',
    "big-time": b'{"metadata":{"name":"B","creationTimestamp":"99999-01-01T00:00:00Z"}}',
    "long-name": b'{"metadata":{"name":"' + b"a" * 10000 + b'"}}',
    "many-keys": (
        b'{"metadata":{"name":"B"},"data":{' + b",".join(b'"k%d":""' % n for n in range(50000)) + b"}}"
    ),
    "duplicates": b'{"metadata":{"name":"B","name":"B","name":"C"},"data":{},"data":{}}',
    "owner-null": b'{"metadata":{"name":"B","ownerReferences":[null]}}',
    "finalizers-null": b'{"metadata":{"name":"B","finalizers":[null]}}',
    "generate-long": b'{"metadata":{"generateName":"' + b"A" * 5000 + b'"}}',
}

YAMLS = {
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10)) for n in range(9)),
    "anchor-loop": b"metadata: &a\n  name: a\n  labels: *a\n",
    "tag": b"!!python/object/apply:os.system ['true']",
    "tag-binary": b"metadata: {name: !!binary aGk=}",
    "deep-flow": b"[" * 20000,
    "deep-block": b"".join(b" " * n + b"a:\n" for n in range(1500)),
    "tab": b"metadata:\n\tname: a",
    "several": b"metadata: {name: a}\n---\nmetadata: {name: b}\n",
    "nan": b"metadata: {generation: .nan}",
    "infinite": b"metadata: {generation: .inf}",
    "octal": b"metadata: {name: 0o17}",
    "date": b"metadata: {name: 2020-01-01}",
    "merge": b"<<: 1\nmetadata: {name: a}",
    "complex-key": b"? [a, b]\n: c\n",
    "float-key": b"1.5: a\n",
    "null-key": b"~: a\n",
    "control": b"metadata: {name: \x01}",
    "invalid-utf8": b"metadata: {name: \xff}",
    "colons": b"a: b: c",
    "unclosed": b"metadata: {name: 'a",
    "percent": b"%YAML 9.9\n---\n{}",
    "long-scalar": b"metadata: {name: " + b"a" * 1000000 + b"}",
}

PATHS = {
    "configmap": MAPS,
    "pod": "/api/v1/namespaces/default/pods",
    "service": "/api/v1/namespaces/default/services",
    "deployment": "/apis/apps/v1/namespaces/default/deployments",
    "cronjob": "/apis/batch/v1/namespaces/default/cronjobs",
    "role": "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
    "review": "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "token": "/api/v1/namespaces/default/serviceaccounts/default/token",
    "definition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_json(target: Target, path: str, body: bytes) -> None:
    refused(target.send("POST", path, body, JSON), allowed=(201,))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_json_to_what_is_there(target: Target, body: bytes) -> None:
    path = f"{MAPS}/kube-root-ca.crt"
    for method in ("PUT", "DELETE"):
        refused(target.send(method, f"{path}?dryRun=All&fieldValidation=Strict", body, JSON), allowed=(200,))
    refused(target.send("DELETE", f"{MAPS}?dryRun=All", body, JSON), allowed=(200,))


@pytest.mark.parametrize("body", YAMLS.values(), ids=YAMLS)
def test_yaml(target: Target, body: bytes) -> None:
    refused(target.send("POST", f"{MAPS}?dryRun=All", body, YAML), allowed=(201,))


@pytest.mark.parametrize(
    "body", [b"", b"k8s", b"k8s\x00", b"k8s\x00\xff" * 20, b"k8s\x00\x0a\xff\xff\xff\xff\x0f"]
)
def test_protobuf(target: Target, body: bytes) -> None:
    refused(target.send("POST", MAPS, body, PROTOBUF))


@BOUNDED
@given(st.binary(max_size=200))
def test_random_protobuf(target: Target, body: bytes) -> None:
    refused(target.send("POST", f"{MAPS}?dryRun=All", b"k8s\x00" + body, PROTOBUF), allowed=(201,))


@BOUNDED
@given(st.binary(max_size=300), st.sampled_from([JSON, YAML]))
def test_random_bytes(target: Target, body: bytes, headers: dict[str, str]) -> None:
    refused(target.send("POST", f"{MAPS}?dryRun=All", body, headers), allowed=(201,))


def documents() -> st.SearchStrategy[object]:
    """Values whose keys are often those of an object."""
    known = "apiVersion kind metadata name namespace labels spec data containers ports status items selector"
    keys = st.sampled_from(known.split()) | st.text(max_size=5)
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=25,
    )


@pytest.mark.slow
@BOUNDED
@given(st.data())
def test_random_documents(target: Target, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(PATHS.values())))
    body = json.dumps(data.draw(documents())).encode()
    refused(target.send("POST", f"{path}?dryRun=All", body, JSON), allowed=(201,))


@pytest.mark.slow
@BOUNDED
@given(st.data())
def test_objects_with_one_thing_wrong(target: Target, data: st.DataObject) -> None:
    """A good object in which one member, at any depth, is replaced by something else."""
    path, good = data.draw(st.sampled_from(GOOD))
    body = json.loads(json.dumps(good))
    node: object = body
    while True:
        choices = (
            list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        )
        key = data.draw(st.sampled_from(choices))
        inner = node[key]  # type: ignore[index]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            node[key] = data.draw(documents())  # type: ignore[index]
            break
        node = inner
    answer = target.send("POST", f"{path}?dryRun=All", json.dumps(body).encode(), JSON)
    refused(answer, allowed=(201,))


@pytest.mark.slow
@pytest.mark.parametrize(("path", "body"), GOOD, ids=[path.strip("/").replace("/", "-") for path, _ in GOOD])
def test_every_member_of_a_wrong_type(target: Target, path: str, body: dict[str, object]) -> None:
    """Each member of a good object in turn gets some of a few other values, in `make fuzz` all of them."""
    for changed in share(body, 3, GOOD.index((path, body))):
        answer = target.send("POST", f"{path}?dryRun=All", json.dumps(changed).encode(), JSON)
        try:
            refused(answer, allowed=(201,))
        except AssertionError as err:
            raise AssertionError(f"{json.dumps(changed)[:3000]}") from err
