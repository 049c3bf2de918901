"""Descriptions of the built-in types and their fields,
which the build lays beside this package (tools/gen_descriptions.py).

They are more than half of a document, and few servers are asked for one: files are read while a document is
built, and nothing is kept. A server that was built without them serves documents without descriptions.
"""

import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import orjson


class Described(NamedTuple):
    """The description of a definition, and those of its members by name; "" where there is no text."""

    text: str
    members: Mapping[str, str]


NOTHING = Described("", MappingProxyType({}))

Package = dict[str, tuple[str, dict[str, str]]]


FOLDER = Path(__file__).parent.with_name("descriptions")
"""Where a build lays those of the built-in types."""


class Descriptions:
    """The descriptions in a folder: one file of zlib-compressed JSON for each Go package,
    as `schema.load` has it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or FOLDER

    @cached_property
    def digest(self) -> str:
        """A text that differs where the descriptions differ, "" where there are none."""
        found = self._folder / "digest"
        return found.read_text() if found.is_file() else ""

    def reader(self) -> "DescriptionReader":
        """A reader of descriptions for the time that one document is built;
        it keeps the packages that it has read."""
        return DescriptionReader(self._folder)


class DescriptionReader:
    """Finds descriptions by the names of definitions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packages: dict[str, Package] = {}

    def of(self, name: str) -> Described:
        """The descriptions of a built-in definition: `io.k8s.api.core.v1.Pod`."""
        package, _, short = name.rpartition(".")
        found = self._packages.get(package)
        if found is None:
            found = self._packages[package] = self._read(package)
        return Described(*found[short]) if short in found else NOTHING

    def _read(self, package: str) -> Package:
        try:
            data = (self._folder / f"{package.removeprefix('io.k8s.')}.z").read_bytes()
        except OSError:
            return {}
        found: Package = orjson.loads(zlib.decompress(data))
        return found
