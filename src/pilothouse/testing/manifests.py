"""Applies objects from YAML and JSON files, by server-side apply."""

import os
import pathlib
import re
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import reader
from pilothouse.testing.client import APPLY, KubeClient, RefusedError
from pilothouse.testing.conditions import wait
from pilothouse.testing.resources import UnknownKind, path_of

MANAGER = "pilothouse.testing"
SUFFIXES = (".json", ".yaml", ".yml")
DEFINITION = "CustomResourceDefinition"
FIRST = ("Namespace", DEFINITION)
"""Kinds that others in the same call need."""
_BORDER = re.compile(rb"^---(?=\s|$)", re.MULTILINE)


class ApplyError(Exception):
    """An object that cannot be applied: the file, the document, and why."""


class Manifest(NamedTuple):
    """An object, and where it stands."""

    object: Object
    place: str


def apply(
    client: KubeClient, paths: Iterable[str | os.PathLike[str]], namespace: str, seconds: float
) -> list[Object]:
    """The objects of files and folders as the server has them now; ApplyError.

    Namespaces and definitions come first. `namespace` is that of objects which name none.
    """
    deadline = time.monotonic() + seconds
    manifests = sorted(_read(paths), key=lambda one: one.object["kind"] not in FIRST)
    defined: set[str] = set()
    out = []
    for obj, place in manifests:
        name = obj["metadata"]["name"]
        try:
            path = _path(client, obj, namespace, deadline if obj["kind"] in defined else 0)
            made = client.call("PATCH", f"{path}?fieldManager={MANAGER}&force=true", obj, APPLY)
            if obj["kind"] == DEFINITION:
                defined.add(obj["spec"]["names"]["kind"])
                made = wait(client, path, "Established", max(0.0, deadline - time.monotonic()))
        except (RefusedError, TimeoutError, UnknownKind) as error:
            raise ApplyError(f"{place} ({obj['kind']} {name}): {error}") from None
        out.append(made)
    return out


def _path(client: KubeClient, obj: Object, namespace: str, deadline: float) -> str:
    """The path of an object. A kind that has just been defined is waited for until `deadline`."""
    metadata = obj["metadata"]
    name, where = quote(metadata["name"], safe=""), metadata.get("namespace") or namespace
    while True:
        try:
            return path_of(client, obj["apiVersion"], obj["kind"], name, where)
        except UnknownKind:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def _read(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Manifest]:
    for path in map(pathlib.Path, paths):
        files = [path]
        if path.is_dir():
            files = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES)
            if not files:
                raise ApplyError(f"{path}: the folder has no file that ends with {', '.join(SUFFIXES)}")
        for file in files:
            for number, text in enumerate(_BORDER.split(file.read_bytes()), 1):
                yield from _objects(text, f"{file}, document {number}")


def _objects(text: bytes, place: str) -> Iterator[Manifest]:
    """The object of a document, the items of a list, or nothing when there are only comments."""
    try:
        document = reader.parse(text)
    except reader.YAMLError as error:
        raise ApplyError(f"{place}: {error}") from None
    if document.repeated:
        raise ApplyError(f"{place}: {document.strict_error()}")
    found = document.value
    if found is None:
        return
    items = found["items"] if isinstance(found, dict) and found.get("kind") == "List" else [found]
    for obj in items:
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            raise ApplyError(f"{place}: no object with apiVersion and kind")
        if not isinstance(obj.get("metadata"), dict) or not obj["metadata"].get("name"):
            raise ApplyError(f"{place} ({obj['kind']}): metadata.name is missing")
        yield Manifest(obj, place)
