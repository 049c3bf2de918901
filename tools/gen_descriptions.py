"""Writes the descriptions of the built-in types to where pilothouse.api.openapi.descriptions finds them.

    python tools/gen_descriptions.py [--out DIR]

setup.py does the same in each build. The texts are those of a release's OpenAPI definitions, as the package
kubernetes-validate ships them, and are not kept in the repository. The folder gets one zlib-compressed JSON
file for each Go package, named as those in api/schemas, and a `digest` that tells them from others:

    short name -> [description of the type, member -> description]
"""

import argparse
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

RELEASE = "v1.36.0-local"
OUT = Path(__file__).parent.parent / "src/pilothouse/api/descriptions"

NOT_DESCRIBED = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": (
        "Quantity is a number with a suffix for its magnitude: 100m, 1.5, 64Mi, 2e3. It has at most three "
        "decimal places and is written in one canonical form."
    ),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "IntOrString is an integer of 32 bits or a string.",
}
"""Types of which the package says nothing."""

Package = dict[str, tuple[str, dict[str, str]]]


def definitions() -> dict[str, Any]:
    """The definitions of the release; raises ImportError or OSError when they are not there."""
    import kubernetes_validate

    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / RELEASE
    found: dict[str, Any] = json.loads((folder / "_definitions.json").read_bytes())["$defs"]
    return found


def packages(found: dict[str, Any]) -> dict[str, Package]:
    """The descriptions in definitions, by Go package without `io.k8s.` and by short name."""
    out: dict[str, Package] = {}
    for name in sorted(found):
        package, _, short = name.removeprefix("io.k8s.").rpartition(".")
        members = found[name].get("properties") or {}
        texts = {
            member: str(of["description"]) for member, of in sorted(members.items()) if of.get("description")
        }
        text = found[name].get("description") or NOT_DESCRIBED.get(name, "")
        out.setdefault(package, {})[short] = (str(text), texts)
    return out


def write(folder: Path) -> list[Path]:
    """Write the files and return them. The same texts make the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    files, digest = [], hashlib.sha256()
    for package, texts in packages(definitions()).items():
        data = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
        digest.update(package.encode() + data)
        files.append(folder / f"{package}.z")
        files[-1].write_bytes(zlib.compress(data, 9))
    files.append(folder / "digest")
    files[-1].write_text(digest.hexdigest())
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the descriptions of the built-in types.")
    parser.add_argument("--out", type=Path, default=OUT)
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
