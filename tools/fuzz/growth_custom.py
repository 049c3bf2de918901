"""Cases with custom resources: growing bodies for every keyword of a schema, and growing definitions."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from fuzz.growth import Case, Group, http
from fuzz.growth_fillers import Filler, fillers, numbered, repeated, text

from pilothouse.api.types.schema import Field, Type

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FORMATS = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "date-time",
    "k8s-short-name",
    "k8s-long-name",
]

STRING = Type("string")
STRUCT = Type(
    "struct",
    fields={
        "a": Field("a", STRING),
        "name": Field("name", STRING),
        "b": Field("b", Type("list", items=STRING)),
    },
)
TREES = {
    "string": STRING,
    "integer": Type("int64"),
    "number": Type("number"),
    "object": STRUCT,
    "map": Type("map", items=STRING),
    "strings": Type("list", items=STRING),
    "numbers": Type("list", items=Type("number")),
    "objects": Type("list", items=STRUCT),
    "any": Type("any"),
}
"""The type of a member of each shape."""

_S = {"type": "string"}
_O = {"type": "object", "properties": {"a": _S, "name": _S, "b": {"type": "array", "items": _S}}}
_VALUES = [f"k{i}" for i in range(1000)]

SCHEMAS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("string", _S),
    "max-length": ("string", {**_S, "maxLength": 5}),
    "min-length": ("string", {**_S, "minLength": 10_000_000}),
    "pattern": ("string", {**_S, "pattern": "^(a+)+$"}),
    "pattern-words": ("string", {**_S, "pattern": "^([a-z0-9]+[-.]?)*[a-z0-9]$"}),
    "pattern-repeats": ("string", {**_S, "pattern": "(.*a){10}$"}),
    "enum-text": ("string", {**_S, "enum": _VALUES}),
    **{f"format-{name}": ("string", {**_S, "format": name}) for name in FORMATS},
    "integer": ("integer", {"type": "integer", "minimum": 5, "maximum": 7}),
    "multiple": ("number", {"type": "number", "multipleOf": 0.1}),
    "int-or-string": ("string", {"x-kubernetes-int-or-string": True}),
    "object": ("object", _O),
    "required": ("object", {**_O, "required": [f"r{i}" for i in range(100)]}),
    "many-properties": ("object", {"type": "object", "properties": {f"unknown{i}": _S for i in range(1000)}}),
    "defaults": ("object", {"type": "object", "properties": {f"d{i}": {**_S, "default": "x" * 100} for i in range(100)}}),
    "preserve": ("any", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    "embedded": ("any", {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}),
    "anything": ("any", {"x-kubernetes-preserve-unknown-fields": True}),
    "map": ("map", {"type": "object", "additionalProperties": _S}),
    "map-nullable": ("map", {"type": "object", "additionalProperties": {**_S, "nullable": True}}),
    "map-max": ("map", {"type": "object", "additionalProperties": _S, "maxProperties": 2}),
    "map-min": ("map", {"type": "object", "additionalProperties": _S, "minProperties": 10**8}),
    "map-atomic": ("map", {"type": "object", "additionalProperties": _S, "x-kubernetes-map-type": "atomic"}),
    "map-enum": ("map", {"type": "object", "additionalProperties": {**_S, "enum": _VALUES}}),
    "list": ("strings", {"type": "array", "items": _S}),
    "list-max": ("strings", {"type": "array", "items": _S, "maxItems": 2}),
    "list-min": ("strings", {"type": "array", "items": _S, "minItems": 10**8}),
    "list-set": ("strings", {"type": "array", "items": _S, "x-kubernetes-list-type": "set"}),
    "list-set-numbers": ("numbers", {"type": "array", "items": {"type": "number"}, "x-kubernetes-list-type": "set"}),
    "list-set-objects": ("objects", {"type": "array", "items": {**_O, "x-kubernetes-map-type": "atomic"}, "x-kubernetes-list-type": "set"}),
    "list-map": ("objects", {"type": "array", "items": {**_O, "required": ["name"]}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
    "list-map-default": ("objects", {"type": "array", "items": {"type": "object", "properties": {"a": {**_S, "default": "d"}, "name": {**_S, "default": "d"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "name"]}),
    "list-enum": ("strings", {"type": "array", "items": {**_S, "enum": _VALUES}}),
    "list-enum-whole": ("strings", {"type": "array", "items": _S, "enum": [["a"] * 10] * 100}),
    "list-pattern": ("strings", {"type": "array", "items": {**_S, "pattern": "^[a-z]+$"}}),
    "list-integers": ("numbers", {"type": "array", "items": {"type": "integer", "maximum": 0}}),
    "list-multiple": ("numbers", {"type": "array", "items": {"type": "number", "multipleOf": 0.7}}),
    "list-formats": ("strings", {"type": "array", "items": {**_S, "format": "ipv4"}}),
    "list-required": ("objects", {"type": "array", "items": {**_O, "required": ["zz"]}}),
    "list-defaults": ("objects", {"type": "array", "items": {"type": "object", "properties": {"z": {"type": "object", "default": {"z": ["z"] * 10}}}}}),
    "list-preserve": ("objects", {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}),
    "list-embedded": ("objects", {"type": "array", "items": {"type": "object", "x-kubernetes-embedded-resource": True}}),
    "all-of": ("strings", {"type": "array", "items": _S, "allOf": [{"maxItems": 2}, {"items": {"pattern": "^z"}}]}),
    "any-of": ("strings", {"type": "array", "items": _S, "anyOf": [{"items": {"pattern": "^z"}}, {"items": {"maxLength": 0}}]}),
    "one-of": ("strings", {"type": "array", "items": _S, "oneOf": [{"items": {"pattern": "^k"}}, {"items": {"maxLength": 9}}]}),
    "not": ("strings", {"type": "array", "items": _S, "not": {"items": {"pattern": "^k"}}}),
    "items-any-of": ("strings", {"type": "array", "items": {**_S, "anyOf": [{"pattern": "^z"}, {"maxLength": 0}]}}),
    "rules": ("strings", {"type": "array", "maxItems": 5000, "items": {**_S, "maxLength": 10}, "x-kubernetes-validations": [{"rule": "self.all(x, x != 'z')"}]}),
}  # fmt: skip
"""A schema of the member `a` by each keyword, with the shape of what it is filled with."""


def definition(name: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    plural = "f" + name.replace("-", "")
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {"a": schema, "status": {"type": "object", "properties": {"a": schema}}},
            }
        },
        **more,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.fuzz.example.com"},
        "spec": {
            "group": "fuzz.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural.title(), "singular": plural},
            "versions": [version],
        },
    }


WRITES = (
    ("create", "POST", "", "application/json"),
    ("yaml", "POST", "", "application/yaml"),
    ("strict", "POST", "&fieldValidation=Strict", "application/json"),
    ("update", "PUT", "", "application/json"),
    ("merge", "PATCH", "", "application/merge-patch+json"),
    ("apply", "PATCH", "&fieldManager=m&force=true", "application/apply-patch+yaml"),
)
"""The requests with a body: a name, the method, more of the query, the media type."""

READS = {
    "table": {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"},
    "yaml": {"accept": "application/yaml"},
    "partial": {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"},
}


def items(name: str) -> Iterator[Group]:
    """Bodies of a custom resource whose member `a` has this schema, by every verb."""
    shape, schema = SCHEMAS[name]
    columns = [
        {"name": "A", "type": "string", "jsonPath": ".a"},
        {"name": "B", "type": "string", "jsonPath": ".a[*]"},
    ]
    made = definition(name, schema, additionalPrinterColumns=columns)
    for filler, fill in more_fillers(shape):
        yield partial(_items, f"custom {name}: {filler}", made, fill)


def whatever_size(request: bytes) -> Filler:
    return lambda size: request


def _items(label: str, made: dict[str, Any], fill: Filler) -> Iterator[Case]:
    names = made["spec"]["names"]
    where = f"/apis/fuzz.example.com/v1/namespaces/default/{names['plural']}"
    setup = http("POST", DEFINITIONS, json.dumps(made).encode())
    head = (
        f'{{"apiVersion":"fuzz.example.com/v1","kind":"{names["kind"]}","metadata":{{"name":"fuzz"}}'.encode()
    )
    last = [http("DELETE", f"{where}/fuzz")]
    one = f"{where}/fuzz?dryRun=All"

    def body(size: int) -> bytes:
        return head + b',"a":' + fill(size) + b"}"

    def empty(_: int) -> list[bytes]:
        return [setup, http("POST", where, head + b"}")]

    def full(size: int) -> list[bytes]:
        return [setup, http("POST", where, body(size))]

    for verb, method, query, media in WRITES:
        create = method == "POST"
        target = (f"{where}?dryRun=All" if create else one) + query

        def write(size: int, method: str = method, target: str = target, media: str = media) -> bytes:
            return http(method, target, body(size), content_type=media)

        def other(size: int, method: str = method, target: str = target, media: str = media) -> bytes:
            return http(method, target, body(size).replace(b"k", b"q"), content_type=media)

        if create:
            yield Case(f"{verb} {label}", write, lambda _: [setup], ready=where)
        else:
            yield Case(f"{verb} {label}", write, empty, lambda _: last, ready=where)
            yield Case(f"{verb} many {label}", other, full, lambda _: last, ready=where)
    for kind, headers in READS.items():
        yield Case(
            f"{kind} {label}",
            whatever_size(http("GET", where, **headers)),
            full,
            lambda _: last,
            ready=where,
        )
    yield Case(
        f"pretty {label}",
        lambda _: http("GET", f"{where}/fuzz?pretty=true"),
        full,
        lambda _: last,
        ready=where,
    )


def more_fillers(shape: str) -> Iterator[tuple[str, Filler]]:
    yield from fillers(TREES[shape])
    yield "numbers instead", repeated(b"1")
    yield "lists instead", repeated(b"[]")
    yield "nested lists", repeated(b"[0,0,0,0,0,0,0,0]")
    yield "nested long lists", lambda n: b"[" + b",".join([repeated(b"0")(int(n**0.5))] * int(n**0.5)) + b"]"
    yield "fractions", numbered(b"0.\\u00001")
    yield "text instead", text("k")


def posted(where: str, before: bytes, fill: Filler, after: bytes) -> Filler:
    """A POST whose body grows in its middle."""
    return lambda size: http("POST", where, before + fill(size) + after)


def nothing(size: int) -> list[bytes]:
    return []


def removal(size: int) -> list[bytes]:
    return [http("DELETE", f"{DEFINITIONS}/fgrown.fuzz.example.com")]


GROWN: dict[str, tuple[str, Filler]] = {
    "properties": ("schema", lambda n: b'{"type":"object","properties":' + numbered(b'"k\\u0000":{"type":"string"}', b"{", b"}")(n) + b"}"),
    "enum": ("schema", lambda n: b'{"type":"string","enum":' + numbered(b'"k\\u0000"')(n) + b"}"),
    "enum and default": ("schema", lambda n: b'{"type":"string","default":"x","enum":' + numbered(b'"k\\u0000"')(n) + b"}"),
    "same enum": ("schema", lambda n: b'{"type":"string","enum":' + repeated(b'"k"')(n) + b"}"),
    "required": ("schema", lambda n: b'{"type":"object","properties":{"k":{"type":"string"}},"required":' + numbered(b'"k\\u0000"')(n) + b"}"),
    "default text": ("schema", lambda n: b'{"type":"string","default":' + text("a")(n) + b"}"),
    "default list": ("schema", lambda n: b'{"type":"array","items":{"type":"string"},"default":' + numbered(b'"k\\u0000"')(n) + b"}"),
    "default set": ("schema", lambda n: b'{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"},"default":' + numbered(b'"k\\u0000"')(n) + b"}"),
    "default objects": ("schema", lambda n: b'{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"}}},"default":' + numbered(b'{"a":"k\\u0000"}')(n) + b"}"),
    "pattern": ("schema", lambda n: b'{"type":"string","pattern":' + text("a+")(n) + b"}"),
    "pattern groups": ("schema", lambda n: b'{"type":"string","pattern":' + text("(a)")(n) + b"}"),
    "pattern open": ("schema", lambda n: b'{"type":"string","pattern":' + text("(")(n) + b"}"),
    "pattern counts": ("schema", lambda n: b'{"type":"string","pattern":' + text("a{100}")(n) + b"}"),
    "pattern ors": ("schema", lambda n: b'{"type":"string","pattern":' + text("a|")(n) + b"}"),
    "format": ("schema", lambda n: b'{"type":"string","format":' + text("a-")(n) + b"}"),
    "description": ("schema", lambda n: b'{"type":"string","description":' + text("\n")(n) + b"}"),
    "all of": ("schema", lambda n: b'{"type":"string","allOf":' + numbered(b'{"pattern":"^k\\u0000"}')(n) + b"}"),
    "any of": ("schema", lambda n: b'{"type":"string","default":"k","anyOf":' + numbered(b'{"pattern":"^k\\u0000"}')(n) + b"}"),
    "rules": ("schema", lambda n: b'{"type":"string","x-kubernetes-validations":' + numbered(b'{"rule":"self != \'\\u0000\'"}')(n) + b"}"),
    "long rule": ("schema", lambda n: b'{"type":"string","x-kubernetes-validations":[{"rule":' + text("self == '' || ")(n) + b"}]}"),
    "long message": ("schema", lambda n: b'{"type":"string","x-kubernetes-validations":[{"rule":"true","message":' + text("a ")(n) + b"}]}"),
    "long path": ("schema", lambda n: b'{"type":"object","properties":{"b":{"type":"string"}},"x-kubernetes-validations":[{"rule":"true","fieldPath":' + text("['")(n) + b"}]}"),
    "keys": ("schema", lambda n: b'{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":' + numbered(b'"k\\u0000"')(n) + b',"items":{"type":"object"}}'),
    "items list": ("schema", lambda n: b'{"type":"array","items":' + repeated(b'{"type":"string"}')(n) + b"}"),
    "unknown": ("schema", lambda n: b'{"type":"string",' + numbered(b'"k\\u0000":1', b"", b"")(n) + b"}"),
    "deep apart": ("schema", lambda n: b'{"type":"object","properties":' + numbered(b'"k\\u0000":' + b'{"type":"object","properties":{"a":' * 10 + b'{"type":"string"}' + b"}}" * 10, b"{", b"}")(n) + b"}"),
    "columns": ("additionalPrinterColumns", numbered(b'{"name":"k\\u0000","type":"string","jsonPath":".a"}')),
    "same columns": ("additionalPrinterColumns", repeated(b'{"name":"k","type":"string","jsonPath":".a"}')),
    "long column": ("additionalPrinterColumns", lambda n: b'[{"name":"k","type":"string","jsonPath":' + text(".a")(n) + b"}]"),
    "open column": ("additionalPrinterColumns", lambda n: b'[{"name":"k","type":"string","jsonPath":' + text("['")(n) + b"}]"),
    "selectable": ("selectableFields", numbered(b'{"jsonPath":".k\\u0000"}')),
    "same selectable": ("selectableFields", repeated(b'{"jsonPath":".a"}')),
    "long selectable": ("selectableFields", lambda n: b'[{"jsonPath":' + text(".a")(n) + b"}]"),
}  # fmt: skip
"""The member of a version, and what it grows by; members of `schema` are the schema of one property."""


def definitions() -> Iterator[Case]:
    """Definitions with a great deal of one keyword."""
    for name, (member, fill) in GROWN.items():
        made = definition("grown", {"type": "string"})
        version = made["spec"]["versions"][0]
        if member == "schema":
            version["schema"]["openAPIV3Schema"]["properties"] = {"a": "\x02"}
        else:
            version[member] = "\x02"
        before, after = json.dumps(made).encode().split(b'"\\u0002"')
        for method in ("dry", "stored"):
            where = DEFINITIONS + ("?dryRun=All" if method == "dry" else "")
            yield Case(
                f"define ({method}): {name}",
                posted(where, before, fill, after),
                after=nothing if method == "dry" else removal,
            )
    for name in ("versions", "names"):
        item = (
            json.dumps(made["spec"]["versions"][0] | {"name": "@", "storage": False})
            .replace("@", "v\\u0000")
            .replace('"\\u0002"', "[]")
            .encode()
        )
        base = definition("grown", {"type": "string"})
        if name == "versions":
            base["spec"]["versions"] = "\x02"
        else:
            base["spec"]["names"]["shortNames"] = "\x02"
            item = b'"k\\u0000"'
        before, after = json.dumps(base).encode().split(b'"\\u0002"')
        yield Case(
            f"define (dry): {name}",
            posted(f"{DEFINITIONS}?dryRun=All", before, numbered(item), after),
        )
