"""Docstrings are sentences or noun phrases: none begins with a word that makes a riddle of it.

Words are plain as well.
"""

import ast
import pathlib
import re
from collections.abc import Iterator

from syntax import parsed

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("benchmarks", "ext", "loadtest", "src", "tests", "tools")
KINDS = {".py", ".pyi", ".pyx", ".pxd", ".pxi"}
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*") if path.suffix in KINDS)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")])
OLD = re.compile(r"\b(?:whoever|whomever|mended)\b", re.I)
"""Words that plain modern English does without."""
RIDDLE = re.compile(r"(?:What|Whatever|Who|Whoever|Whom|Whose|As|Those)\b")
QUOTED = re.compile(rf"[\"']\\?\s*{RIDDLE.pattern}")
"""A text that begins with one of the words: files without any are not parsed."""


def of_python(text: str) -> Iterator[tuple[int, str]]:
    """The line and the text of each docstring; an attribute's stands behind its assignment."""
    for node in ast.walk(parsed(text)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(ast.Constant(str(docstring))):
                    yield statement.lineno, docstring


def of_cython(text: str) -> Iterator[tuple[int, str]]:
    """The line and the text of each docstring of a compiled module: each begins a line."""
    for found in re.finditer(r'^[ \t]*"""(.*?)"""', text, re.M | re.S):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def riddles(path: pathlib.Path) -> list[tuple[int, str]]:
    """The docstrings of a file that begin with one of the words."""
    text = path.read_text()
    if not QUOTED.search(text):
        return []
    found = of_python(text) if path.suffix in (".py", ".pyi") else of_cython(text)
    return sorted((line, docstring) for line, docstring in found if RIDDLE.match(docstring.lstrip()))


def test_docstrings_say_what_a_thing_is() -> None:
    found = {str(path.relative_to(ROOT)): riddles(path) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_words_are_plain() -> None:
    found = {str(path.relative_to(ROOT)): OLD.findall(path.read_text()) for path in (*FILES, *PAGES)}
    del found["tests/quality/test_docstrings.py"]
    assert {name: words for name, words in found.items() if words} == {}


def test_riddles_are_found(tmp_path: pathlib.Path) -> None:
    python, compiled = tmp_path / "a.py", tmp_path / "a.pyx"
    python.write_text('''"""The size."""
X = 1
"""What is left."""
def f():
    """As g()."""
class A:
    """
    Those of B.
    """
    x = "What"
    """Whether it is."""
''')
    compiled.write_text('cdef class A:\n    """Whoever waits."""\n    """Whether it waits."""\n')
    assert [line for line, _ in riddles(python)] == [3, 5, 7]
    assert [line for line, _ in riddles(compiled)] == [2]
