"""The tables of docs/architecture.md contain the files' docstrings."""

from pathlib import Path

from generators import load, run


def test_tables_are_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_map")
    out = tmp_path / "architecture.md"
    run(generator, "--out", str(out))
    assert out.read_text() == generator.MAP.read_text(), "make map"
