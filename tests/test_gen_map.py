"""The tables of docs/architecture.md and docs/files.md contain the docstrings of packages and files."""

from pathlib import Path

from generators import load, run


def test_tables_are_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_map")
    run(generator, "--out", str(tmp_path))
    for name in ("architecture.md", "files.md"):
        assert (tmp_path / name).read_text() == (generator.DOCS / name).read_text(), "make map"
