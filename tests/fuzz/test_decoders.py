"""The fuzzer of the decoders finds planted faults, and a few inputs of each engine show none."""

import json
import os
import pathlib
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Self

import pytest
from fuzz.decoders import ENGINES
from fuzz.engines import Engine, cut

ROOT = pathlib.Path(__file__).parents[2]

PROGRAM = """
import ctypes
import functools
import json
import os
import sys

from fuzz.decoders import main
from fuzz.engine_frames import check_websocket, websocket_frames
from fuzz.engines import Engine, tight
from pilothouse.server._websocket import Reader


class Forgetful(Reader):
    def feed(self, data):
        super().feed(data[:-1] if len(data) == 7 else data)


def parts(chance):
    return [b"good", b"word"]


def mismatch(data):
    assert data.count(b"good") < 2


def crash(data):
    if data.count(b"good") > 1:
        ctypes.string_at(1)


def hang(data):
    while data.count(b"good") > 1:
        pass


def overrun(data):
    with tight(data) as whole:
        ctypes.CDLL(os.environ["OVERRUN"]).last(ctypes.c_char_p(whole), ctypes.c_size_t(len(whole)))


faults = {
    "mismatch": Engine("mismatch", parts, mismatch),
    "crash": Engine("crash", parts, crash),
    "hang": Engine("hang", parts, hang),
    "overrun": Engine("overrun", parts, overrun),
    "forgetful": Engine("forgetful", websocket_frames, functools.partial(check_websocket, reader=Forgetful)),
    "none": Engine("none", parts, lambda data: None),
}
for line in sys.stdin:
    (fault, *sys.argv[1:]), *outputs = json.loads(line)
    child = os.fork()
    if not child:
        for number, path in enumerate(outputs, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        sys.exit(main([faults[fault]]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Takes lines of JSON: the arguments of a run, and the files for what it prints. Tells how each run ended."""

OVERRUN = """
#include <stddef.h>
int last(const unsigned char *data, size_t size) { return data[size]; }
"""


class Program:
    """The program in a process that runs it again and again, for it takes longest to import."""

    def __init__(self, folder: pathlib.Path, **environment: str) -> None:
        program = folder / "program.py"
        program.write_text(PROGRAM)
        path = os.pathsep.join([str(ROOT / "tools"), *sys.path])
        self._outputs = [folder / name for name in ("stdout", "stderr")]
        self._process = subprocess.Popen(
            [sys.executable, program],
            env=os.environ | {"PYTHONPATH": path} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def run(self, fault: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program with these arguments, on the modules that this process has."""
        assert self._process.stdin is not None and self._process.stdout is not None
        for output in self._outputs:
            output.unlink(missing_ok=True)
        given = [fault, *arguments]
        self._process.stdin.write(json.dumps([given, *map(str, self._outputs)]) + "\n")
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(given, code, *(output.read_text() for output in self._outputs))

    def search(self, fault: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
        """A short search for a fault; what shows it is kept in the folder."""
        arguments = ("--seconds=1", "--seed=1", "--jobs=1", "--patience=1", f"--folder={folder}/found")
        return self.run(fault, *arguments)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("program")) as program:
        yield program


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("mismatch", "AssertionError"),
        ("crash", "Segmentation fault"),
        ("hang", "in hang"),
        ("forgetful", "in pieces"),
    ],
)
def test_a_fault_is_found_and_repeated(
    program: Program, tmp_path: pathlib.Path, fault: str, told: str
) -> None:
    found = program.search(fault, tmp_path)
    assert found.returncode == 1 and told in found.stderr, found.stderr[-3000:]
    kept = next((tmp_path / "found").iterdir())
    assert f"make fuzz-decoders REPLAY={kept}" in found.stdout
    assert program.run(fault, f"--replay={kept}", "--patience=1").returncode != 0
    kept.write_bytes(b"")
    assert program.run(fault, f"--replay={kept}").returncode == 0


def test_where_there_is_no_fault_none_is_found(program: Program, tmp_path: pathlib.Path) -> None:
    found = program.search("none", tmp_path)
    assert found.returncode == 0 and "0 found" in found.stdout, found.stderr
    assert int(found.stdout.partition("none: ")[2].partition(" ")[0]) > 10


@pytest.mark.slow
def test_a_read_of_one_byte_too_many_is_found(tmp_path: pathlib.Path) -> None:
    """Python ends bytes with a NUL, which AddressSanitizer alone takes for a part of them."""
    library, source = tmp_path / "overrun.so", tmp_path / "overrun.c"
    source.write_text(OVERRUN)
    subprocess.run(["gcc", "-shared", "-fPIC", "-fsanitize=address", "-o", library, source], check=True)
    asan = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    options = {
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "LD_PRELOAD": asan,
        "OVERRUN": str(library),
    }
    with Program(tmp_path, **options) as program:
        found = program.search("overrun", tmp_path)
    assert "use-after-poison" in found.stderr and found.returncode == 1, found.stderr[-3000:]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_some_inputs(engine: Engine) -> None:
    chance = random.Random(7)
    for _ in range(12):
        engine.check(b"".join(engine.make(chance)))
        engine.check(engine.input(chance))


def test_pieces_make_the_whole() -> None:
    for number in range(100):
        data = random.Random(number).randbytes(number * 7)
        assert b"".join(cut(data)) == data and cut(data) == cut(data)
