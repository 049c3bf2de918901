"""The layers and tables of docs/architecture.md and docs/files.md show
pyproject.toml and contain the docstrings of packages and files."""

from pathlib import Path

from generators import load, run


def test_tables_are_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_map")
    run(generator, "--out", str(tmp_path))
    for name in ("architecture.md", "files.md"):
        assert (tmp_path / name).read_text() == (generator.DOCS / name).read_text(), "make map"


def test_layers_are_drawn_with_their_comments() -> None:
    drawn = load("gen_map").layers().splitlines()
    (registry,) = [line for line in drawn if line.startswith("registry ")]
    assert registry.endswith("   what each resource is, the verbs over the store, where Services lead")
    assert (
        drawn.index("Inside `api/`:")
        < drawn.index("Inside `endpoints/`:")
        < drawn.index("Inside `storage/`:")
    )
