"""The language's public conformance cases, when told where they lie: CEL_SPEC=<checkout of google/cel-spec>.

Left out are cases that need protobuf messages, enums or wrappers, which the API's objects do not have;
expressions that are not checked; and what came with versions of the libraries,
or with options, that Kubernetes does not use (LATER).
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilothouse.api.cel import (
    BINDINGS,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    CompileError,
    CostBudget,
    Duration,
    Environment,
    EvaluationError,
    Timestamp,
    TypeValue,
    UInt,
    list_of,
    map_of,
)
from pilothouse.api.cel._cel import equal
from pilothouse.api.cel.types import TYPE

CASES = Path(os.environ.get("CEL_SPEC", "/nonexistent")) / "tests/simple/testdata"
LEFT_OUT = {
    "proto2", "proto3", "proto2_ext", "enums", "wrappers", "block_ext", "math_ext", "network_ext", "unknowns",
    "type_deduction", "encoders_ext",
}  # fmt: skip
LATER = re.compile(
    r"fields/quoted_map_fields/.*|string_ext/reverse/.*|string_ext/value_errors/(last)?indexof_out_of_range"
    r"|string_ext/format/(.*(scientific|infinity|decimal|NaN|fixed-point clause with).*|(list|map)"
    r" support.*|dyntype .*)"
    r"|optionals/optionals/map_(null_entry_no_such_key|present_key_invalid_field)"
)
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<name>[A-Za-z_][\w.]*)|(?P<url>\[[^\]"]+\])"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<number>-?[0-9][\w.+-]*|-inf|-nan)|(?P<sign>[{}:<>,;\[\]])"""
)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
SCALARS = {
    "BOOL": BOOL, "INT64": INT, "UINT64": UINT, "DOUBLE": DOUBLE,
    "STRING": STRING, "BYTES": BYTES,
}  # fmt: skip


class Unsupported(Exception):
    """A case with what the API's objects do not have."""


def unescape(literal: str) -> bytes:
    def meaning(found: re.Match[bytes]) -> bytes:
        code = found[1]
        if code[:1] == b"x" and len(code) > 1:
            return bytes((int(code[1:], 16),))
        if code[:1] in b"01234567":
            return bytes((int(code, 8) & 255,))
        if code[:1] in b"uU" and len(code) > 1:
            return chr(int(code[1:], 16)).encode()
        return _SIMPLE.get(code, code)

    return _ESCAPE.sub(meaning, literal[1:-1].encode())


class Reader:
    """Protobuf's text format: a message is a dict of lists."""

    def __init__(self, text: str) -> None:
        self.tokens = [(m.lastgroup, m.group()) for m in _TOKEN.finditer(text) if m.lastgroup]
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self) -> tuple[str | None, str]:
        self.at += 1
        return self.tokens[self.at - 1]

    def message(self) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {}
        while self.peek() not in ("", "}", ">"):
            _, name = self.take()
            if self.peek() == ":":
                self.take()
            values = out.setdefault(name, [])
            if self.peek() == "[":
                self.take()
                while self.peek() != "]":
                    values.append(self.value())
                    if self.peek() == ",":
                        self.take()
                self.take()
            elif self.peek() == "[]":
                self.take()
            else:
                values.append(self.value())
            if self.peek() in (",", ";"):
                self.take()
        return out

    def value(self) -> Any:
        kind, text = self.take()
        if text in ("{", "<"):
            out = self.message()
            self.take()
            return out
        if kind == "string":
            data = unescape(text)
            while self.at < len(self.tokens) and self.tokens[self.at][0] == "string":
                data += unescape(self.take()[1])
            return data
        return text


def value_of(value: dict[str, list[Any]]) -> Any:
    if not value:
        return None
    (kind, (raw, *_)), *_ = value.items()
    if kind == "int64_value":
        return int(raw, 0)
    if kind == "uint64_value":
        return UInt(int(raw, 0))
    if kind == "double_value":
        return float(raw)
    if kind == "string_value":
        return raw.decode()
    if kind == "bytes_value":
        return raw
    if kind == "bool_value":
        return raw == "true"
    if kind == "null_value":
        return None
    if kind == "type_value":
        return TypeValue(raw.decode())
    if kind == "list_value":
        return [value_of(one) for one in raw.get("values", [])]
    if kind == "map_value":
        entries = raw.get("entries", [])
        return {value_of(one["key"][0]): value_of(one["value"][0]) for one in entries}
    if kind == "object_value":
        (url, (message, *_)), *_ = raw.items()
        parts = {name: int(found[0]) for name, found in message.items()} if isinstance(message, dict) else {}
        ns = parts.get("seconds", 0) * 10**9 + parts.get("nanos", 0)
        if url.endswith("Timestamp]"):
            return Timestamp(ns)
        if url.endswith("Duration]"):
            return Duration(ns)
    raise Unsupported(kind)


def type_named(type: dict[str, list[Any]]) -> CelType:
    (kind, (raw, *_)), *_ = type.items()
    if kind == "primitive":
        return SCALARS[raw]
    if kind == "dyn":
        return DYN
    if kind == "null":
        return NULL
    if kind == "list_type":
        return list_of(type_named(raw["elem_type"][0]))
    if kind == "map_type":
        return map_of(type_named(raw["key_type"][0]), type_named(raw["value_type"][0]))
    if kind == "well_known" and raw in ("TIMESTAMP", "DURATION"):
        return TIMESTAMP if raw == "TIMESTAMP" else DURATION
    if kind == "type":
        return TYPE
    raise Unsupported(kind)


def cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.textproto")):
        if path.stem in LEFT_OUT:
            continue
        document = Reader(path.read_text()).message()
        for section in document.get("section", []):
            for case in section.get("test", []):
                names = (path.stem, section["name"][0].decode(), case["name"][0].decode())
                name = "/".join(names)
                later = pytest.mark.skip("another version of a library")
                yield pytest.param(case, id=name, marks=[later] if LATER.fullmatch(name) else [])


def needs_messages(case: dict[str, list[Any]]) -> bool:
    text = case["expr"][0].decode()
    return (
        "container" in case
        or "disable_check" in case
        or "check_only" in case
        or "unknown" in case
        or "any_unknowns" in case
        or re.search(
            r"TestAllTypes|google\.protobuf\.(?!Timestamp\b(?!\{)|Duration\b(?!\{))|Proto|proto", text
        )
        is not None
    )


WANTED = list(cases()) or [
    pytest.param({}, id="none", marks=pytest.mark.skip("on request: CEL_SPEC names a checkout of cel-spec"))
]


@pytest.mark.parametrize("case", WANTED)
def test_case(case: dict[str, list[Any]]) -> None:
    if needs_messages(case):
        pytest.skip("needs protobuf messages")
    variables: dict[str, CelType] = {}
    try:
        for one in case.get("type_env", []):
            if "ident" in one:
                variables[one["name"][0].decode()] = type_named(one["ident"][0]["type"][0])
            else:
                pytest.skip("declares a function")
        bindings = {}
        for one in case.get("bindings", []):
            bindings[one["key"][0].decode()] = value_of(one["value"][0]["value"][0])
        wanted = value_of(case["value"][0]) if "value" in case else True
        if "typed_result" in case:
            wanted = value_of(case["typed_result"][0]["result"][0])
    except Unsupported as err:
        pytest.skip(str(err))
    text = case["expr"][0].decode()
    environment = Environment(variables, extra=[BINDINGS], validated=False)
    try:
        found = environment.compile(text).evaluate(bindings, CostBudget(10**9))
    except (EvaluationError, CompileError) as err:
        assert "eval_error" in case, f"{text}: {err}"
        return
    assert "eval_error" not in case, f"{text} gives {found!r}"
    if isinstance(wanted, float) and math.isnan(wanted):
        assert math.isnan(found)
    else:
        assert equal(found, wanted) and type(found) is type(wanted), f"{text} gives {found!r}, not {wanted!r}"
