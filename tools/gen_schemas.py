"""Turns the OpenAPI definitions of a release into the type data in src/pilothouse/api/schemas.

    python tools/gen_schemas.py [--out DIR] [--facts defaults.json resources.json protobuf.json]

The definitions come from the package kubernetes-validate, what OpenAPI does not say from tools/data:
go_types.json (see gen_go_types.py), defaults.json (the defaults that a field's schema states),
protobuf_numbers.json and resources.json (what discovery lists); `--facts` refreshes the last three. One
zlib-compressed JSON file per Go package, besides the index of kinds and the protobuf field numbers:

    definitions: short name -> OpenAPI v3 definition without descriptions
    members: short name -> [member, flags, Go type, embedded structs] of each in Go's order; trailing empty
        parts are left out
"""

import argparse
import json
import zlib
from pathlib import Path
from typing import Any

RELEASE = "v1.36.0-local"
ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
OUT = ROOT / "src/pilothouse/api/schemas"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
ZERO = {"string": "", "integer": 0, "number": 0, "boolean": False}
NO_STRUCT = {"Time", "MicroTime", "RawExtension", "FieldsV1", "JSON", "Quantity", "IntOrString"}
MEMBERS_OF_EVERY_VERSION = 20
"""A kind with more group versions than this (DeleteOptions, WatchEvent) is registered in all of them."""

Json = dict[str, Any]


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def source() -> Json:
    """The release's definitions as the package ships them."""
    import kubernetes_validate

    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / RELEASE
    definitions: Json = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return definitions


def clean(schema: Json) -> Json:
    """A schema in plain OpenAPI: without texts, null types and the enums that name a kind."""
    out: Json = {}
    for key, value in schema.items():
        if key in ("description", "enum"):
            continue
        if key == "type":
            types = [t for t in ([value] if isinstance(value, str) else value) if t != "null"]
            out[key] = types[0]
        elif key == "$ref":
            out[key] = "#/components/schemas/" + value.rsplit("/", 1)[-1]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = clean(value)
        elif key == "properties":
            out[key] = {name: clean(value[name]) for name in sorted(value)}
        elif key == "oneOf":
            out[key] = [clean(one) for one in value]
        else:
            out[key] = value
    return out


def add_defaults(name: str, definition: Json, rows: list[list[str]], defaults: Json) -> None:
    """Members that Go always writes have their zero value as default (kube-openapi's rule)."""
    stated = defaults["nonTrivial"].get(name, {})
    stated_zeros = defaults["zeroDefaults"].get(name, [])
    for member, _go, flags, _via in rows:
        schema = definition.get("properties", {}).get(member)
        if schema is None:
            continue
        reference = schema.get("$ref", "").rsplit(".", 1)[-1]
        has_zero = schema.get("type") in ZERO and schema.get("format") != "byte"
        if member in stated:
            schema["default"] = stated[member]
        elif "p" not in flags and reference and reference not in NO_STRUCT:
            schema["default"] = {}
        elif has_zero and (member in stated_zeros or not set("po") & set(flags)):
            schema["default"] = ZERO[schema["type"]]


def derived(schema: Json) -> str:
    """The Go type that a schema implies when nothing is named."""
    if "$ref" in schema:
        return go_name(schema["$ref"].rsplit("/", 1)[-1])
    match schema.get("type"):
        case "array":
            return "[]" + derived(schema["items"])
        case "object" if "additionalProperties" in schema:
            return "map[string]" + derived(schema["additionalProperties"])
        case "boolean":
            return "bool"
        case "integer":
            return str(schema.get("format", "int64"))
        case "number":
            return "float64"
        case "string":
            return "[]uint8" if schema.get("format") == "byte" else "string"
    return ""


def go_name(definition: str) -> str:
    """`io.k8s.api.core.v1.Pod` is printed as `v1.Pod`."""
    return ".".join(definition.rsplit(".", 2)[-2:])


def members(definition: Json, rows: list[list[str]]) -> list[list[str]]:
    out: list[list[str]] = []
    for member, go, flags, via in rows:
        schema = definition.get("properties", {}).get(member)
        if schema is not None:
            parts = [flags, "" if go == derived(schema) else go, via]
            while parts and not parts[-1]:
                parts.pop()
            out.append([member, *parts])
    return out


def build() -> dict[str, bytes]:
    """File name -> content."""
    defaults, go_types, resources = load("defaults.json"), load("go_types.json"), load("resources.json")
    packages: dict[str, Json] = {}
    kinds: dict[str, dict[str, str]] = {}
    everywhere: dict[str, str] = {}
    for name, raw in sorted(source().items()):
        definition = clean(raw)
        if name == INT_OR_STRING:  # as its Go type says it to version 3; the source is made of version 2
            definition |= {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
        rows = go_types["structs"].get(name, [])
        add_defaults(name, definition, rows, defaults)
        package, short = name.rsplit(".", 1)
        content = packages.setdefault(package, {"definitions": {}, "members": {}})
        content["definitions"][short] = definition
        content["members"][short] = members(definition, rows)
        versions = definition.get("x-kubernetes-group-version-kind", [])
        for gvk in versions:
            if len(versions) > MEMBERS_OF_EVERY_VERSION:
                everywhere[gvk["kind"]] = name
            else:
                group_version = f"{gvk['group']}/{gvk['version']}".removeprefix("/")
                kinds.setdefault(group_version, {})[gvk["kind"]] = name
    index = {
        "everywhere": everywhere,
        "kinds": kinds,
        "registered": registered(go_types),
        "resources": resources,
    }
    files = {f"{package.removeprefix('io.k8s.')}.z": pack(content) for package, content in packages.items()}
    return files | {"index.z": pack(index), "numbers.z": pack(load("protobuf_numbers.json"))}


def registered(go_types: Json) -> Json:
    """Group version -> package and every kind that Go registers there, served or not."""
    out: Json = {}
    for package, group in go_types["groups"].items():
        group_version = f"{group}/{package.rsplit('.', 1)[-1]}".removeprefix("/")
        out[group_version] = {"package": package, "kinds": []}
    for name, rows in sorted(go_types["structs"].items()):
        package, short = name.rsplit(".", 1)
        group = go_types["groups"].get(package)
        if group is not None and any(via == "TypeMeta" for _, _, _, via in rows):
            out[f"{group}/{package.rsplit('.', 1)[-1]}".removeprefix("/")]["kinds"].append(short)
    return out


def field_numbers(messages: list[Json]) -> list[tuple[str, dict[str, list[int]]]]:
    """Definition name -> member -> its field number, after those of the embedded messages it stands in."""
    by_name = {f"{m['package']}.{m['message']}": m["fields"] for m in messages}

    def numbers(fields: list[Any]) -> dict[str, list[int]]:
        out: dict[str, list[int]] = {}
        for name, number, kind, _label, *extra in fields:
            if extra and extra[0].get("inline"):
                inner = numbers(by_name[kind])
                out |= {member: [number, *path] for member, path in inner.items()}
            else:
                out[name] = [number]
        return out

    def definition(name: str) -> str:
        return "io.k8s." + name.removeprefix("k8s.io.").replace("_", "-")

    return [(definition(name), numbers(by_name[name])) for name in sorted(by_name)]


def pack(content: Json) -> bytes:
    return zlib.compress(json.dumps(content, separators=(",", ":"), sort_keys=True).encode(), 9)


def refresh(paths: list[Path]) -> None:
    """Copy the facts that the data needs into tools/data, one line per entry."""
    for path in paths:
        facts = json.loads(path.read_text())
        if path.name == "protobuf.json":
            lines = [f"{json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in field_numbers(facts)]
            (DATA / "protobuf_numbers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
            continue
        if isinstance(facts, list):
            text = "[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in facts) + "\n]\n"
        else:
            text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
        (DATA / path.name).write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate src/pilothouse/api/schemas.")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--facts", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    refresh(options.facts)
    for name, content in build().items():
        (options.out / name).write_bytes(content)


if __name__ == "__main__":
    main()
