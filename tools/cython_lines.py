"""Coverage plugin: counts the lines of compiled modules that were built with PILOTHOUSE_TRACE=1.

Cython's own plugin looks for the C file beside the source and fails when the first line that runs stands in
an included file; here the C files of the build say which lines there are.
"""

import functools
from pathlib import Path
from typing import Any

from coverage import CoveragePlugin, FileReporter, FileTracer
from coverage.plugin_support import Plugins
from Cython.Coverage import Plugin as CythonPlugin

ROOT = Path(__file__).parent.parent
C_FILES = ROOT / "build/cython/trace"


@functools.cache
def executable() -> dict[str, set[int]]:
    """Source file -> the lines of it that a C file has code for.

    A C file names included files from the root and the module itself from ext/.
    """
    found: dict[str, set[int]] = {}
    for c_file in C_FILES.rglob("*.c"):
        for name, lines in CythonPlugin()._parse_cfile_lines(str(c_file)).items():
            for path in (ROOT / name, ROOT / "ext" / name):
                if path.exists():
                    found.setdefault(str(path), set()).update(lines)
    return {name: lines for name, lines in found.items() if lines}


class Source(FileTracer):
    """A file of ext/ whose lines are counted."""

    def __init__(self, name: str) -> None:
        self.name = name

    def source_filename(self) -> str:
        return self.name


class Lines(FileReporter):
    """A file of ext/ in a report."""

    def lines(self) -> set[int]:
        return executable()[self.filename]


class Plugin(CoveragePlugin):
    """Knows the files of ext/."""

    def file_tracer(self, filename: str) -> FileTracer | None:
        return Source(filename) if filename in executable() else None

    def file_reporter(self, filename: str) -> FileReporter:
        return Lines(filename)


def coverage_init(registry: Plugins, options: dict[str, Any]) -> None:
    """Called by coverage when it loads the plugin."""
    registry.add_file_tracer(Plugin())
