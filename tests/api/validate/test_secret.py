"""Secrets and config maps, and Go's messages for invalid JSON."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.go_json import syntax_error
from pilothouse.api.validate.secret import validate_config_map, validate_config_map_update, validate_secret, validate_secret_update


def secret(kind: str = "Opaque", **data: str) -> Object:
    coded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
    return {"metadata": {"name": "s"}, "type": kind, "data": coded}


def found(errs: Errors) -> list[tuple[str, str]]:
    return [(c["field"], c["message"]) for c in errs.causes]


def test_opaque() -> None:
    errs = Errors()
    validate_secret(secret(a="b"), errs)
    assert found(errs) == []


def test_docker_config() -> None:
    errs = Errors()
    validate_secret(secret("kubernetes.io/dockerconfigjson"), errs)
    assert found(errs) == [("data[.dockerconfigjson]", "Required value")]


def test_too_long() -> None:
    errs = Errors()
    validate_secret(secret(a="x" * (1 << 20), b="y"), errs)
    assert [m for _, m in found(errs)] == ["Too long: may not be more than 1048576 bytes"]


def test_type_is_fixed() -> None:
    errs = Errors()
    validate_secret_update(secret("a"), secret("b"), errs)
    assert found(errs)[0] == ("type", 'Invalid value: "a": field is immutable')


@pytest.mark.parametrize("member", ["data", "binaryData"])
def test_immutable_config_map(member: str) -> None:
    old: Object = {"metadata": {"name": "c"}, "immutable": True, member: {"a": "YQ=="}}
    errs = Errors()
    validate_config_map_update({**old, member: {"a": "Yg=="}}, old, errs)
    text = "Forbidden: field is immutable when `immutable` is set"
    assert found(errs) == [(member, text)]


def test_key_in_both_members() -> None:
    errs = Errors()
    validate_config_map({"metadata": {"name": "c"}, "data": {"a": "b"}, "binaryData": {"a": "Yg=="}}, errs)
    assert [f for f, _ in found(errs)] == ["data[a]"]


@pytest.mark.parametrize(("text", "message"), [
    (b"", "unexpected end of JSON input"),
    (b"{", "unexpected end of JSON input"),
    (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
    (b"{} x", "invalid character 'x' after top-level value"),
    (b"{a", "invalid character 'a' looking for beginning of object key string"),
])  # fmt: skip
def test_syntax_errors(text: bytes, message: str) -> None:
    assert syntax_error(text) == message


_JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)), max_leaves=8)


@given(_JSON)
def test_good_json_has_no_fault(value: object) -> None:
    assert syntax_error(json.dumps(value).encode()) == ""


@given(st.binary(max_size=12))
def test_bad_json_is_told_as_python_does(data: bytes) -> None:
    try:
        json.loads(data.decode("utf-8"), parse_constant=lambda text: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return
    if data.isascii() and b"\x00" not in data:
        assert syntax_error(data) == ""


def test_json_nested_too_deeply_is_a_cause() -> None:
    errs = Errors()
    validate_secret(secret("kubernetes.io/dockercfg", **{".dockercfg": "[" * 100_000}), errs)
    assert found(errs) == [("data[.dockercfg]", 'Invalid value: "<secret contents redacted>": exceeded max depth')]
