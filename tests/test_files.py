import pathlib

import pytest
import small_disk

from pilothouse import files


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
