"""docs/metrics.md tells of every metric that is declared."""

from pathlib import Path

from generators import load, run


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_metrics")
    run(generator, "--out", str(tmp_path))
    assert (tmp_path / "metrics.md").read_text() == (generator.DOCS / "metrics.md").read_text(), "make map"


def test_what_is_declared_is_not_said_to_be_absent() -> None:
    text = (load("gen_metrics").DOCS / "metrics.md").read_text()
    rows = [line.split(" | ")[0].strip("| `") for line in text.splitlines() if line.startswith("| `")]
    names = [row for row in rows if not row.startswith("--")]
    assert len(names) == len(set(names))
