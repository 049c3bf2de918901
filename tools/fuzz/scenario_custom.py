"""Scenarios of custom resources: definitions with odd schemas, and objects of them."""

import json
from typing import Any

from fuzz.growth_custom import FORMATS
from fuzz.mutation import ANY, JUNK, ODD_NUMBERS, ODD_TEXTS, Mutation, json_patch, merge_patch, odd_operation
from fuzz.scenario import APPLY, JSON, JSON_PATCH, MERGE, PARTIAL, STRATEGIC, TABLE, YAML, Builder
from fuzz.seeds import STATUSES, Object

from pilothouse.api.types import schema as types

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RULES = (
    "true", "self", "self == oldSelf", "has(self.a)", "self.a", "size(self) > 1", "self.all(x, x != 'a')", "1/0 == 1", "self.a ==",
    "self.metadata.name == 'web'", "[self][5] == self", "'a'.matches('(')", "nope", "",
)  # fmt: skip
DEFAULTS: dict[str, Any] = {"boolean": True, "any": {"a": [1]}, "intorstring": "50%", "map": {}}
SAFE_RULES = {
    "string": "self != 'b-c'",
    "integer": "self < 100",
    "boolean": "self || !self",
    "intorstring": "string(self) != 'x'",
}
"""Defaults and rules by the type of schema that they fit whatever else it says."""


def schema(mutation: Mutation, depth: int = 0, odd: float = 0.1) -> Object:
    """A random schema that is structural; `odd` is the share of parts in it that may be refused."""
    kind = mutation.some(
        ("string", "integer", "number", "boolean", "object", "array", "map", "any", "intorstring", "embedded")
    )
    if depth > 2 and kind in ("object", "array", "map"):
        kind = "string"
    out = _typed(mutation, kind, depth, odd)
    if mutation.odds(0.1):
        out["nullable"] = True
    if mutation.odds(odd):
        out["default"] = mutation.some((valued(mutation, out), *JUNK))
    elif kind in DEFAULTS and mutation.odds(0.15):
        out["default"] = DEFAULTS[kind]
    if mutation.odds(odd):
        out["x-kubernetes-validations"] = [
            {"rule": mutation.some(RULES), **mutation.some(({}, {"message": "m"}, {"optionalOldSelf": True}))}
        ]
    elif kind in SAFE_RULES and mutation.odds(0.1):
        out["x-kubernetes-validations"] = [{"rule": SAFE_RULES[kind]}]
    if mutation.odds(odd):
        out[mutation.some(("anyOf", "allOf", "oneOf"))] = [
            {"required": ["a"]},
            mutation.some(({"minimum": 1}, {"maxLength": 2}, {})),
        ]
    return out


def _typed(mutation: Mutation, kind: str, depth: int, odd: float) -> Object:
    """A random schema of a kind, without what may stand in each."""
    out: Object = {"type": kind}
    match kind:
        case "string":
            out |= mutation.some(
                (
                    {},
                    {},
                    {"maxLength": 5},
                    {"pattern": "^a+$"},
                    {"enum": ["a", "b"]},
                    {"format": mutation.some(FORMATS)},
                    {"minLength": 2},
                )
            )
        case "integer" | "number":
            out |= mutation.some(
                (
                    {},
                    {"minimum": 1},
                    {"maximum": 5, "exclusiveMaximum": True},
                    {"multipleOf": 2},
                    {"format": "int32"},
                )
            )
        case "object":
            names = mutation.some((("a",), ("a", "name"), ("a", "b", "x-y"), ()))
            out["properties"] = {name: schema(mutation, depth + 1, odd) for name in names}
            out |= mutation.some(
                (
                    {},
                    {"required": ["a"]},
                    {"x-kubernetes-map-type": "atomic"},
                    {"x-kubernetes-preserve-unknown-fields": True},
                )
            )
        case "array":
            out = _array(mutation, depth, odd)
        case "map":
            out = {
                "type": "object",
                "additionalProperties": mutation.some((schema(mutation, depth + 1, odd), {"type": "string"})),
            }
        case "any":
            out = {"x-kubernetes-preserve-unknown-fields": True} | mutation.some(
                ({}, {"type": "object"}, {"nullable": True})
            )
        case "intorstring":
            out = {"x-kubernetes-int-or-string": True}
        case "embedded":
            out = {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "x-kubernetes-preserve-unknown-fields": True,
            }
    return out


def _array(mutation: Mutation, depth: int, odd: float) -> Object:
    items = schema(mutation, depth + 1, odd)
    match mutation.some(("", "set", "map", "atomic")):
        case "set":
            return {
                "type": "array",
                "items": mutation.some(({"type": "string"}, items)),
                "x-kubernetes-list-type": "set",
            }
        case "map":
            key = mutation.some(({"type": "string"}, {"type": "integer"}, {"type": "string", "default": "d"}))
            keyed = {"type": "object", "required": ["name"], "properties": {"name": key, "v": items}}
            return {
                "type": "array",
                "items": keyed,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
        case "atomic":
            return {"type": "array", "items": items, "x-kubernetes-list-type": "atomic", "maxItems": 3}
    return {"type": "array", "items": items}


def valued(mutation: Mutation, schema: Object) -> Any:
    """A value that a schema may well take."""
    if "enum" in schema and mutation.odds(0.7):
        return mutation.some(schema["enum"])
    match schema.get("type"):
        case "string":
            return mutation.some(("a", "aa", "b-c", "2026-01-01T00:00:00Z", *ODD_TEXTS))
        case "integer":
            return mutation.some((1, 2, 4, *ODD_NUMBERS))
        case "number":
            return mutation.some((1, 2.5, 4, *ODD_NUMBERS))
        case "boolean":
            return mutation.odds(0.5)
        case "array":
            items = schema.get("items", {})
            return (
                [valued(mutation, items) for _ in range(mutation.some((0, 1, 2, 3)))]
                if isinstance(items, dict)
                else []
            )
        case "object" if "properties" in schema:
            return {
                name: valued(mutation, inner)
                for name, inner in schema["properties"].items()
                if mutation.odds(0.85)
            }
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return {mutation.some(("a", "b", "x/y", "")): valued(mutation, schema["additionalProperties"])}
    if schema.get("x-kubernetes-embedded-resource"):
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "a", "labels": {"a": "b"}},
            "spec": {"a": 1},
        }
    return mutation.some((*JUNK, 1, "a", {"a": 1}))


def definition(b: Builder, odd: float = 0.1) -> Object:
    """A definition of one or two versions; `odd` as in schema()."""
    group, mutation = f"{b.place}.example.com", b.mutation
    root: Object = {
        "type": "object",
        "properties": {
            "spec": schema(mutation, odd=odd),
            "status": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"replicas": {"type": "integer"}},
            },
            "a": schema(mutation, odd=odd),
        },
    }
    if mutation.odds(0.15):
        root["x-kubernetes-preserve-unknown-fields"] = True
    if mutation.odds(odd):
        root["x-kubernetes-validations"] = [{"rule": mutation.some(RULES)}]
    version: Object = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    if mutation.odds(0.6):
        version["subresources"] = {"status": {}}
    if mutation.odds(0.3):
        version.setdefault("subresources", {})["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    if mutation.odds(0.3):
        version["additionalPrinterColumns"] = [
            {
                "name": "A",
                "type": mutation.some(("string", "integer", "date")),
                "jsonPath": mutation.some((".a", ".spec.a", ".spec[0]", ".spec['x']")),
            }
        ]
    if mutation.odds(odd):
        version["selectableFields"] = [{"jsonPath": mutation.some((".a", ".spec.a"))}]
    versions = [version]
    if mutation.odds(0.3):
        versions.append({**json.loads(json.dumps(version)), "name": "v2beta1", "storage": False})
    names = {"plural": "things", "singular": "thing", "kind": "Thing"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def definitions(b: Builder) -> None:
    """Definitions that are changed at random, created, replaced and patched."""
    path = f"{DEFINITIONS}/things.{b.place}.example.com"
    type = types.for_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    for _ in range(b.mutation.some((2, 3, 4))):
        made = definition(b)
        if b.mutation.odds(0.7):
            b.mutation.mutate(
                made["spec"], type.fields["spec"].type, b.mutation.some((1, 1, 2)), keep=("group",)
            )
        b.step("POST", DEFINITIONS, made, b.write_query(None, dry=0.3))
    b.leave.append(path)
    made = definition(b)
    b.step(
        "PUT", path, made | {"metadata": made["metadata"] | {"resourceVersion": "$RV"}}, b.write_query(None)
    )
    b.step(
        "PUT",
        f"{path}/status",
        made | {"status": b.mutation.some((STATUSES[made["kind"]], {}, *JUNK))},
        b.write_query(None),
    )
    if b.mutation.odds(0.5):
        changed = b.mutation.mutate(json.loads(json.dumps(made)), type, 2)
        b.step(
            "PATCH",
            path,
            merge_patch(made, changed),
            b.write_query(None),
            b.mutation.some((MERGE, STRATEGIC)),
        )
    b.step("GET", path)


def custom(b: Builder) -> None:
    """A definition, and writes of its objects in every way."""
    made = definition(b, b.mutation.some((0, 0, 0.02)))
    root = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    group = made["spec"]["group"]
    b.step("POST", DEFINITIONS, made)
    b.leave.append(f"{DEFINITIONS}/{made['metadata']['name']}")
    version = b.mutation.some([version["name"] for version in made["spec"]["versions"]])
    all = f"/apis/{group}/{version}/namespaces/{b.place}/things"
    b.wait(all)
    obj = _thing(b, root, f"{group}/{version}")
    b.step("POST", all, obj, b.write_query(None, dry=0))
    for _ in range(b.mutation.some((4, 5, 6, 7))):
        new = _thing(b, root, f"{group}/{version}")
        if b.mutation.odds(0.5):
            b.mutation.mutate(new, ANY, b.mutation.some((1, 2)))
        _write(b, f"{all}/web", all, obj, new)
    b.step("GET", all, accept=b.mutation.some((JSON, TABLE, PARTIAL)))


def _thing(b: Builder, root: Object, version: str) -> Object:
    body = valued(b.mutation, root)
    return {"apiVersion": version, "kind": "Thing", "metadata": {"name": "web", "labels": {"a": "b"}}, **body}


def _write(b: Builder, one: str, all: str, obj: Object, new: Object) -> None:
    query = b.write_query(None, dry=0.1)
    path = one + b.mutation.some(("", "", "", "/status", "/scale"))
    if path.endswith("/scale"):
        new = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "web"},
            "spec": b.mutation.some(({"replicas": 2}, *JUNK)),
        }
    match b.mutation.some(
        ("create", "update", "merge", "json", "apply", "yaml", "duplicate", "get", "delete")
    ):
        case "create":
            b.step(
                "POST", all, new | {"metadata": {"name": b.mutation.some(("web", "other", "A", ""))}}, query
            )
        case "update":
            b.step(
                "PUT",
                path,
                new | {"metadata": {"name": "web", **b.mutation.some(({"resourceVersion": "$RV"}, {}))}},
                query,
            )
        case "merge":
            b.step("PATCH", path, merge_patch(obj, new), query, b.mutation.some((MERGE, MERGE, STRATEGIC)))
        case "json":
            operations = (
                list(json_patch(obj, new))
                if b.mutation.odds(0.4)
                else [odd_operation(b.mutation, obj) for _ in range(2)]
            )
            b.step("PATCH", path, operations, query, JSON_PATCH)
        case "apply":
            b.step(
                "PATCH",
                path,
                new,
                query | {"fieldManager": b.mutation.some(("m", "n")), "force": "true"},
                APPLY,
            )
        case "yaml":
            b.step("PUT", path, new, query, YAML)
        case "duplicate":
            body = json.dumps(new)[:-1] + ',"a":1,"spec":{"x":1,"x":2,"a":{"b":1,"b":2}}}'
            b.step(
                "POST",
                all,
                body.encode(),
                {**query, "fieldValidation": b.mutation.some(("Strict", "Warn", "Ignore"))},
            )
        case "get":
            b.step("GET", path, accept=b.mutation.some((JSON, TABLE, PARTIAL)))
        case _:
            b.step("DELETE", one, query={"dryRun": b.mutation.some(("All", "All", ""))})
