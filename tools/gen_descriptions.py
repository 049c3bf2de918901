"""Lays the descriptions of the built-in types beside the package, where `pilothouse.api.openapi.descriptions` finds them.

    python tools/gen_descriptions.py FOLDER

setup.py calls this in each build. The texts are those of a release's OpenAPI definitions, as the package
kubernetes-validate ships them, and are not kept in the repository. FOLDER gets one zlib-compressed JSON file for each Go
package, named as those in api/schemas, and a `digest` that tells them from others:

    short name -> [description of the type, member -> description]
"""

import hashlib
import json
import sys
import zlib
from pathlib import Path
from typing import Any

RELEASE = "v1.36.0-local"

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
        texts = {member: str(of["description"]) for member, of in sorted(members.items()) if of.get("description")}
        out.setdefault(package, {})[short] = (str(found[name].get("description", "")), texts)
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


if __name__ == "__main__":
    write(Path(sys.argv[1]))
