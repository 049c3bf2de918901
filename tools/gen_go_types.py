"""Reads how Go declares the API types, for what OpenAPI does not say: omitempty, pointers, names of types.

    python tools/gen_go_types.py DIR [--out FILE]

DIR holds the sources of the Go modules k8s.io/api, apimachinery, kube-aggregator and apiextensions-apiserver
of one release, each under its own import path. `groups` names the API group of each package that registers
kinds. `structs` has one line per struct: `[JSON name, Go type, flags, embedded structs]` of each member;
flags are p (pointer), o (omitempty) and z (omitzero).
"""

import argparse
import json
import re
from pathlib import Path

OUT = Path(__file__).parent / "data/go_types.json"
STRUCT = re.compile(r"^type (\w+) struct \{(.*?)^\}", re.M | re.S)
MEMBER = re.compile(r"^(?:(\w+)\s+)?([\w.*\[\]{}]+)\s+`([^`]*)`")
ALIAS = re.compile(r'^\s*(?:import\s+)?(\w+)?\s*"(k8s\.io/[^"]+)"', re.M)
GROUP = re.compile(r'^(?:const )?\s*GroupName\s*=\s*"([^"]*)"', re.M)
V1 = re.compile(r"v\d+\w*$")
BASIC = {"string", "bool", "int", "int32", "int64", "float64", "uint8", "interface"}

GENERATED = ("_test.go", ".pb.go", "_swagger_doc_generated.go")
PLACES = (
    "api/*",
    "apimachinery/pkg/apis/meta",
    "kube-aggregator/pkg/apis/*",
    "apiextensions-apiserver/pkg/apis/*",
)

Row = tuple[str, str, str, str]


def qualify(text: str, package: str, imports: dict[str, str]) -> str:
    """A type as Go's reflect prints it: every name with the last element of its package's path."""

    def one(match: re.Match[str]) -> str:
        alias, name = match.groups()
        if alias:
            return f"{imports.get(alias, alias).rsplit('/', 1)[-1]}.{name}"
        return name if name in BASIC or name == "map" else f"{package}.{name}"

    text = re.sub(r"\bbyte\b", "uint8", text)
    return re.sub(r"(?:(\w+)\.)?([A-Za-z]\w*)", one, text)


def parse(path: Path, package: str) -> dict[str, list[Row]]:
    """The structs of one file; an embedded struct has no JSON name and its Go name in the last column."""
    code = path.read_text()
    imports = {alias or target.rsplit("/", 1)[-1]: target for alias, target in ALIAS.findall(code)}
    found: dict[str, list[Row]] = {}
    for name, body in STRUCT.findall(code):
        rows: list[Row] = []
        for line in body.splitlines():
            match = MEMBER.match(line.strip())
            tag = re.search(r'json:"([^"]*)"', match.group(3)) if match else None
            if match is None or tag is None or tag.group(1) == "-":
                continue
            go = match.group(2)
            json_name, *options = tag.group(1).split(",")
            flags = "p" * go.startswith("*") + "o" * ("omitempty" in options) + "z" * ("omitzero" in options)
            go = go.lstrip("*")
            embedded = "" if json_name else go.rsplit(".", 1)[-1]
            rows.append((json_name, qualify(go, package, imports), flags, embedded))
        found[name] = rows
    return found


def definition_prefix(directory: str) -> str:
    """`k8s.io/api/core/v1` is `io.k8s.api.core.v1` in OpenAPI."""
    return "io.k8s." + directory.removeprefix("k8s.io/").replace("/", ".")


def source_files(root: Path) -> list[Path]:
    """The hand-written files of the API packages."""
    paths = [path for place in PLACES for path in (root / "k8s.io").glob(f"{place}/v*/*.go")]
    return sorted(p for p in paths if not p.name.startswith("zz_") and not p.name.endswith(GENERATED))


def collect(root: Path) -> dict[str, list[Row]]:
    """Every struct below `root` by its OpenAPI name, embedded structs flattened into their owner."""
    structs: dict[str, list[Row]] = {}
    for path in source_files(root):
        prefix = definition_prefix(str(path.parent.relative_to(root)))
        for name, rows in parse(path, path.parent.name).items():
            structs[f"{prefix}.{name}"] = rows
    return {name: flatten(name, rows, structs) for name, rows in structs.items()}


def flatten(owner: str, rows: list[Row], structs: dict[str, list[Row]]) -> list[Row]:
    prefix = owner.rsplit(".", 1)[0]
    out: list[Row] = []
    for json_name, go, flags, embedded in rows:
        if json_name:
            out.append((json_name, go, flags, ""))
            continue
        if embedded == "TypeMeta":
            out += [("kind", "string", "o", "TypeMeta"), ("apiVersion", "string", "o", "TypeMeta")]
            continue
        alias = f"{V1.sub('v1', prefix)}.{embedded}"
        inner = structs.get(f"{prefix}.{embedded}") or structs[alias]
        for name, inner_go, inner_flags, via in flatten(f"{prefix}.{embedded}", inner, structs):
            out.append((name, inner_go, inner_flags, f"{embedded}.{via}".rstrip(".")))
    return out


def groups(root: Path) -> dict[str, str]:
    """Package (as OpenAPI names it) -> API group, for every package that registers kinds."""
    found = {}
    for path in source_files(root):
        match = GROUP.search(path.read_text()) if path.name == "register.go" else None
        if match:
            found[definition_prefix(str(path.parent.relative_to(root)))] = match.group(1)
    return found


def text(package_groups: dict[str, str], structs: dict[str, list[Row]]) -> str:
    """The content of go_types.json."""
    lines = [f"{json.dumps(n)}: {json.dumps(structs[n], separators=(',', ':'))}" for n in sorted(structs)]
    head = json.dumps(package_groups, indent=0)
    return "\n".join(['{"groups": ' + head, ',"structs": {', ",\n".join(lines), "}}"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate tools/data/go_types.json.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.write_text(text(groups(options.source), collect(options.source)))


if __name__ == "__main__":
    main()
