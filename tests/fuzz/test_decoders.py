"""The fuzzer of the decoders finds planted faults, and a few inputs of each engine show none."""

import os
import pathlib
import random
import subprocess
import sys

import pytest
from fuzz.decoders import ENGINES
from fuzz.engines import Engine, cut

ROOT = pathlib.Path(__file__).parents[2]

PROGRAM = """
import ctypes
import functools
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
sys.exit(main([faults[sys.argv.pop(1)]]))
"""

OVERRUN = """
#include <stddef.h>
int last(const unsigned char *data, size_t size) { return data[size]; }
"""


def run(tmp_path: pathlib.Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program with these arguments, on the modules that this process has."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT / "tools"), *sys.path])
    return subprocess.run(
        [sys.executable, program, *arguments],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def search(tmp_path: pathlib.Path, fault: str, **environment: str) -> subprocess.CompletedProcess[str]:
    arguments = (fault, "--seconds=1", "--seed=1", "--jobs=1", "--patience=1", f"--folder={tmp_path}/found")
    return run(tmp_path, *arguments, **environment)


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
def test_a_fault_is_found_and_repeated(tmp_path: pathlib.Path, fault: str, told: str) -> None:
    found = search(tmp_path, fault)
    assert found.returncode == 1 and told in found.stderr, found.stderr[-3000:]
    kept = next((tmp_path / "found").iterdir())
    assert f"make fuzz-decoders REPLAY={kept}" in found.stdout
    assert run(tmp_path, fault, f"--replay={kept}", "--patience=1").returncode != 0
    kept.write_bytes(b"")
    assert run(tmp_path, fault, f"--replay={kept}").returncode == 0


def test_where_there_is_no_fault_none_is_found(tmp_path: pathlib.Path) -> None:
    found = search(tmp_path, "none")
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
    found = search(tmp_path, "overrun", **options)
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
