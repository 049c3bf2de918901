from pathlib import Path

import pytest
import small_disk

from pilothouse.storage.sqlite.reserve import Reserve


@pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces")
@pytest.mark.parametrize("durability", ["strict", "relaxed"])
def test_a_full_disk_lets_keys_be_deleted_and_comes_back(tmp_path: Path, durability: str) -> None:
    program = str(Path(__file__).with_name("full_disk.py"))
    said = small_disk.run(tmp_path, 64, program, str(tmp_path), durability)
    assert "The disk is full" in said and "Traceback" not in said


def test_a_disk_without_space_for_twice_the_reserve_is_full(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 1 << 60)
    assert not reserve.take() and reserve.full
    assert not (tmp_path / "reserve").exists()


def test_the_reserve_takes_its_space(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 1 << 20)
    assert reserve.take() and not reserve.full
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 1 << 20
    assert not reserve.exhausted(ValueError("not of the disk"))
    assert (tmp_path / "reserve").exists()
