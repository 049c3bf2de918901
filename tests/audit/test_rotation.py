"""Rotated files: sizes, numbers and ages of old files, compression, several writers, full disks."""

import gzip
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import pytest
from clocks import Clock

from pilothouse.audit import rotation
from pilothouse.audit.rotation import DAY, RotatedFile, Stdout

NOW = 1_795_723_200.0  # 2026-11-26T20:00:00Z


def rotated(path: pathlib.Path, clock: Clock, now: Clock, **limits: Any) -> RotatedFile:
    return RotatedFile(str(path), clock=clock, now=now, **limits)


def test_a_file_is_rotated_by_its_size(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "logs" / "audit.log"
    now = Clock(NOW)
    file = rotated(path, Clock(), now, most_bytes=100)
    assert path.parent.stat().st_mode & 0o777 == 0o700 and path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    for i in range(3):
        file.write(b"%d" % i * 59 + b"\n")
        now.now += 1
    file.close()
    assert path.read_bytes() == b"2" * 59 + b"\n" and path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in file.old_files()] == [
        "audit-2026-11-26T20-00-02.000.log",
        "audit-2026-11-26T20-00-01.000.log",
    ]
    assert file.old_files()[1].read_bytes() == b"0" * 59 + b"\n"


def test_a_line_that_is_larger_than_a_file_is_written_all_the_same(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit.log"
    file = rotated(path, Clock(), Clock(NOW), most_bytes=10)
    file.write(b"x" * 50 + b"\n")
    assert file.old_files() == []
    file.write(b"y\n")
    assert len(file.old_files()) == 1 and path.read_bytes() == b"y\n"


def test_without_a_size_nothing_is_rotated(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit.log"
    file = rotated(path, Clock(), Clock(NOW))
    for _ in range(100):
        file.write(b"x" * 99 + b"\n")
    assert path.stat().st_size == 10_000 and file.old_files() == []


def test_old_files_are_deleted_by_number_and_by_age(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit.log"
    now = Clock(NOW)
    for days in (0, 1, 2, 30):
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S.000", time.gmtime(NOW - days * DAY))
        (tmp_path / f"audit-{stamp}.log").write_bytes(b"x")
    for other in (
        "audit-notes.log",
        "audit-2026-11-26T20-00-01.000.txt",
        "other-2020-01-01T00-00-00.000.log",
    ):
        (tmp_path / other).write_bytes(b"x")
    file = rotated(path, Clock(), now, most_days=7)
    file.close()
    assert len(file.old_files()) == 3
    file = rotated(path, Clock(), now, most_files=2)
    file.close()
    assert [one.name[6:16] for one in file.old_files()] == ["2026-11-26", "2026-11-25"]
    assert len(list(tmp_path.iterdir())) == 2 + 3 + 1


def test_old_files_are_compressed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit-2026-11-26T20-00-01.000.log"
    path.write_bytes(b"line\n" * 1000)
    path.chmod(0o640)
    os.utime(path, (NOW - 60, NOW - 60))
    file = RotatedFile(str(tmp_path / "audit.log"), compress=True, now=Clock(NOW))
    file.close()
    (made,) = file.old_files()
    assert made.name == path.name + ".gz" and made.stat().st_mode & 0o777 == 0o640
    assert gzip.decompress(made.read_bytes()) == b"line\n" * 1000
    assert sorted(one.name for one in tmp_path.iterdir()) == [made.name, "audit.log"]
    rotation.compress_file(path)  # another process has been faster
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_was_written_just_now_is_not_compressed_yet(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit-2026-11-26T20-00-01.000.log"
    path.write_bytes(b"line\n")
    file = RotatedFile(str(tmp_path / "audit.log"), compress=True)
    file.close()
    assert file.old_files() == [path]


def test_a_file_that_others_move_away_is_made_anew(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit.log"
    clock = Clock()
    file = rotated(path, clock, Clock(NOW))
    file.write(b"1\n")
    path.rename(tmp_path / "moved")
    file.write(b"2\n")
    clock.now += rotation.LOOK
    file.write(b"3\n")
    path.unlink()
    clock.now += rotation.LOOK
    file.write(b"4\n")
    assert (tmp_path / "moved").read_bytes() == b"1\n2\n" and path.read_bytes() == b"4\n"


def test_two_writers_rotate_once(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit.log"
    now = Clock(NOW)
    clocks = Clock(), Clock()
    one, two = (rotated(path, clock, now, most_bytes=100) for clock in clocks)
    one.write(b"a" * 79 + b"\n")
    one.write(b"b" * 79 + b"\n")  # rotates
    two.write(b"c" * 19 + b"\n")  # to the old file: it has not looked for less than a second
    clocks[1].now += rotation.LOOK
    two.write(b"d" * 9 + b"\n")
    two.write(b"e" * 79 + b"\n")  # would make the new file too large
    assert len(one.old_files()) == 2
    assert path.read_bytes() == b"e" * 79 + b"\n"
    newest, oldest = (old.read_bytes() for old in one.old_files())
    assert oldest == b"a" * 79 + b"\n" + b"c" * 19 + b"\n"
    assert newest == b"b" * 79 + b"\n" + b"d" * 9 + b"\n"


WRITER = """
import sys
from pilothouse.audit.rotation import RotatedFile
file = RotatedFile(sys.argv[1], most_bytes=20000)
for i in range(500):
    file.write(f"{sys.argv[2]}-{i:05}-{'x' * 80}\\n".encode())
file.close()
"""


@pytest.mark.slow
def test_no_line_of_several_processes_is_torn_or_lost(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "audit.log"
    started = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [one.wait() for one in started] == [0, 0, 0]
    file = RotatedFile(str(path))
    found = [line for one in (path, *file.old_files()) for line in one.read_text().splitlines()]
    wanted = {f"{name}-{i:05}-{'x' * 80}" for name in "abc" for i in range(500)}
    assert len(found) == len(wanted) and set(found) == wanted


def test_a_full_disk_tears_one_line_only(tmp_path: pathlib.Path) -> None:
    """The first bytes of a line went through, the rest did not: the next line begins on a line of its own."""
    path = tmp_path / "audit.log"
    file = RotatedFile(str(path))
    with pytest.raises(OSError, match="No space left"):
        RotatedFile("/dev/full").write(b"x\n")
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
    code = limit + (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pilothouse.audit.rotation import RotatedFile\n"
        "file = RotatedFile(sys.argv[1])\n"
        "try:\n    file.write(b'0123456789abcdef\\n')\nexcept OSError: pass\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "import os; os.truncate(sys.argv[1], 4)\n"
        "file.write(b'ok\\n')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.read_bytes() == b"0123\nok\n"
    file.close()


def test_standard_output_gets_all_bytes() -> None:
    read, write = os.pipe()
    Stdout(write).write(b"line\n")
    os.close(write)
    assert os.read(read, 100) == b"line\n"
    os.close(read)
