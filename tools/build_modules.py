"""The compiled modules of a tree, and how to compile them, by the variables that setup.py explains."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]

DEBUG = os.environ.get("PILOTHOUSE_DEBUG") == "1"
SANITIZE = os.environ.get("PILOTHOUSE_SANITIZE") == "1"
TRACE = os.environ.get("PILOTHOUSE_TRACE") == "1"
DESCRIBED = os.environ.get("PILOTHOUSE_DESCRIPTIONS") != "0"
ONLY = [name for name in os.environ.get("PILOTHOUSE_ONLY", "").split(",") if name]

if SANITIZE:
    MODE, FLAGS = "", ["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
elif TRACE:
    MODE, FLAGS = "trace", ["-O0"]
elif DEBUG:
    MODE, FLAGS = "debug", ["-O1", "-g", "-UNDEBUG"]
else:
    # What a debugger would need takes a third of the time, warnings about generated C take a tenth.
    MODE, FLAGS = "", ["-O2", "-g0", "-w"]


def sources() -> dict[str, str]:
    """The modules that are to be built: full name -> path of the source, from the root of the tree.

    A module belongs to the package of its folder: `ext/pilothouse/api/_json.pyx` is `pilothouse.api._json`.
    """
    found = (path.relative_to(ROOT) for path in sorted((ROOT / "ext").rglob("*.pyx")))
    return {
        ".".join(path.with_suffix("").parts[1:]): str(path) for path in found if not ONLY or path.stem in ONLY
    }
