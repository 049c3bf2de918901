"""Import rules between layers, and import of each module alone."""

import pathlib
import subprocess
import sys

SRC = pathlib.Path(__file__).parents[2] / "src"
MODULES = sorted(
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
    for path in (SRC / "pilothouse").rglob("*.py")
    if path.name != "__main__.py"
)
ALONE = """
import os, sys
import aiohttp, cryptography.x509, httptools, joserfc.jwt, orjson, re2, uvloop, yaml  # they take longest
for module in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            __import__(module)
        except BaseException as err:
            print(f"{module}: {err!r}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_layers() -> None:
    program = pathlib.Path(sys.executable).with_name("lint-imports")
    root = SRC.parent
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_module_can_be_imported_alone() -> None:
    """In a process that has imported nothing else of ours, with warnings as errors."""
    done = python("-W", "error", "-c", ALONE, *MODULES)
    assert not done.stderr
