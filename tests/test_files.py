import getpass
import pathlib
import subprocess
import sys
import tempfile

import pytest
import small_disk

from pilothouse import files
from pilothouse.files import make_private


def test_files_are_written_whole(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "a" / "b"
    files.write_file(target, b"one")
    files.write_file(target, b"two")
    assert target.read_bytes() == b"two" and [p.name for p in target.parent.iterdir()] == ["b"]
    target.unlink()
    target.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write_file(target, b"three")
    assert files.said(caught.value) == f"{target}: Is a directory"
    assert [p.name for p in target.parent.iterdir()] == ["b"]


def test_errors_name_the_file_that_is_to_be_written(tmp_path: pathlib.Path) -> None:
    """Neither the one beside it nor a number."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "x" / "y"):
        with pytest.raises(NotADirectoryError) as caught:
            files.write_file(path, b"one")
        assert files.said(caught.value) == f"{path}: Not a directory"
    assert files.said(OSError("words")) == "words" and files.said(ValueError("x")) == "x"
    assert files.said(OSError(5, "an error")) == "an error"


ON_A_FULL_DISK = """
import pathlib, sys
from pilothouse import files

path = pathlib.Path(sys.argv[1]) / "a"
assert files.try_to_write(path, b"one")
try:
    with path.with_name("ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError:
    pass
assert not files.try_to_write(path, b"two") and path.read_bytes() == b"one"
try:
    files.write_file(path, b"two")
except OSError as error:
    assert error.errno in files.NO_SPACE and error.filename == str(path)
else:
    raise AssertionError("there is space")
assert sorted(p.name for p in path.parent.iterdir()) == ["a", "ballast"]
"""


@pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces")
def test_a_full_disk_keeps_what_was_there(tmp_path: pathlib.Path) -> None:
    said = small_disk.run(tmp_path, 1, "-c", ON_A_FULL_DISK, str(tmp_path))
    assert said.count("The disk is full, a file was not written") == 1


def test_the_data_directory_is_closed_to_others(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    new, old, shared = tmp_path / "a" / "new", tmp_path / "old", tmp_path / "shared"
    make_private(new)
    assert new.stat().st_mode & 0o777 == 0o700
    make_private(new)
    assert not caplog.records
    old.mkdir()
    old.chmod(0o755)
    with caplog.at_level("INFO"):
        make_private(old)
    assert old.stat().st_mode & 0o777 == 0o700
    assert [r.getMessage() for r in caplog.records] == ["The data directory was closed to others"]
    shared.mkdir()
    shared.chmod(0o1777)
    make_private(shared)
    assert shared.stat().st_mode & 0o7777 == 0o1777
    assert caplog.records[-1].getMessage() == "Others can enter the data directory"


def test_a_data_directory_that_cannot_be_used_is_told_with_its_owner() -> None:
    """The process of the test is the user nobody, because the tests may run as root."""
    script = """
import os, pathlib, sys
from pilothouse.files import make_private
there = pathlib.Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
for path in (there, there / "deep" / "er"):
    try:
        make_private(path)
    except PermissionError as error:
        print(error.strerror)
"""
    with tempfile.TemporaryDirectory() as name:
        there = pathlib.Path(name)
        there.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", script, name], capture_output=True, text=True, check=True
        ).stdout
    owner = f"{name} is owned by {getpass.getuser()} with mode 0555"
    first, second = done.splitlines()
    assert first.startswith(f"data directory {name} can not be used: Permission denied; {owner}, and this")
    assert second.startswith(f"data directory {name}/deep/er can not be used: Permission denied; {owner}")


@pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces")
def test_a_read_only_file_system_is_called_so(tmp_path: pathlib.Path) -> None:
    """access(2) says only that one may not write."""
    script = """
import pathlib, subprocess, sys
from pilothouse.files import make_private
there = pathlib.Path(sys.argv[1])
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
for path in (there, there / "deep"):
    try:
        make_private(path)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
"""
    first, second = small_disk.run(tmp_path, 1, "-c", script, str(tmp_path)).splitlines()
    assert first.startswith(f"data directory {tmp_path} can not be used: Read-only file system;")
    assert second.startswith(f"data directory {tmp_path}/deep can not be used: Read-only file system;")
