"""A public class has a name of its own: a reader who meets it elsewhere need not ask which one is meant."""

import ast
import pathlib
from collections import defaultdict
from collections.abc import Iterable

from syntax import parsed

SOURCE = pathlib.Path(__file__).parents[2] / "src" / "pilothouse"
FILES = [path for path in sorted(SOURCE.rglob("*.*")) if path.suffix in (".py", ".pyi")]
SHARED = {
    "AlwaysDeny": (2, "upstream's name of an admission plugin, and of a mode of authorization"),
    "Connection": (2, "each version of HTTP has one"),
    "Kind": (2, "of SPDY frames, and of an object whose rules are written"),
    "Level": (2, "a priority level, and how bad a finding of checkup is"),
    "Line": (3, "those who wait for a seat or a turn, and a line of a table of rules"),
    "Reader": (2, "each protocol of frames has one, which implements server.frames.FrameReader"),
    "Readers": (2, "plugins of packages see a part of those of the registry (admission/api.py)"),
    "Refused": (
        2,
        "a request that is not read, and one that a plugin of a package refuses (admission/api.py)",
    ),
    "Server": (2, "an API server, and the process of one that is measured"),
    "Shape": (2, "of a name, and of a value in an expression"),
    "Stream": (2, "_pump implements server.request.Stream"),
    "Words": (2, "the writer of rules' code, and the words that complete a command"),
}
"""How many classes share a name, and why they may. The list only shrinks."""


def shared_names(sources: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The files that define a public class of a name, where it has several."""
    places: dict[str, list[str]] = defaultdict(list)
    for where, text in sources:
        for node in parsed(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(where)
    return {name: files for name, files in places.items() if len(files) > 1}


def test_a_public_class_has_a_name_of_its_own() -> None:
    found = shared_names((str(path.relative_to(SOURCE)), path.read_text()) for path in FILES)
    allowed = {name: count for name, (count, _) in SHARED.items()}
    assert {name: files for name, files in found.items() if len(files) > allowed.get(name, 1)} == {}
    assert {name: len(found.get(name, ())) for name in SHARED} == allowed, (
        "fewer share a name than the list says"
    )


def test_shared_names_are_found() -> None:
    sources = [("a", "class A: ...\nclass _B: ..."), ("b", "class _B: ...\nclass A: ...\nclass C: ...")]
    assert shared_names(sources) == {"A": ["a", "b"]}
