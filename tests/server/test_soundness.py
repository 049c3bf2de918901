from pathlib import Path

import pytest

from pilothouse.server.soundness import Soundness


@pytest.fixture
def sound(tmp_path: Path) -> Soundness:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    made = Soundness(tmp_path / "sound.json", (tmp_path / "a", tmp_path / "b"), ("host",))
    made.keep(10.0, 20.0)
    return made


def test_it_holds_for_a_time(sound: Soundness) -> None:
    assert [sound.holds(now) for now in (9.0, 10.0, 19.9, 20.0)] == [False, True, True, False]


def test_it_holds_elsewhere_for_the_same_files(sound: Soundness, tmp_path: Path) -> None:
    names = ("sound.json", "a", "b")
    (tmp_path / "other").mkdir()
    for name in names:
        (tmp_path / "other" / name).write_bytes((tmp_path / name).read_bytes())
    path, *files = (tmp_path / "other" / name for name in names)
    assert Soundness(path, files, ("host",)).holds(15.0)
    assert Soundness(path, files, ()).holds(15.0), "it is good for more"
    assert not Soundness(path, files, ("another",)).holds(15.0)
    assert not Soundness(path, files, ("host", "another")).holds(15.0)
    assert not Soundness(path, files[:1], ("host",)).holds(15.0)
    assert not Soundness(path, files[::-1], ("host",)).holds(15.0)


def test_changed_and_missing_files_are_not_known(sound: Soundness, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "b").write_bytes(b"")
    assert not sound.holds(15.0)
    (tmp_path / "b").unlink()
    assert not sound.holds(15.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"since":"0","until":30,"for":[],"digest":""}',
        '{"since":0,"until":30,"for":7}',
    ],
)
def test_a_record_that_cannot_be_read_says_nothing(sound: Soundness, tmp_path: Path, text: str) -> None:
    assert sound.holds(15.0)
    (tmp_path / "sound.json").write_text(text)
    assert not sound.holds(15.0)
