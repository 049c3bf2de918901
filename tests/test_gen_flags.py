"""docs/flags.md tells of every flag, and why some have no effect."""

from pathlib import Path

from generators import load, run

from pilothouse.configuration.config import all_flags


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_flags")
    run(generator, "--out", str(tmp_path))
    assert (tmp_path / "flags.md").read_text() == (generator.DOCS / "flags.md").read_text(), "make map"


def test_every_flag_without_effect_has_a_reason_and_no_other_has_one() -> None:
    idle = {flag.name for flag in all_flags() if not flag.effective}
    assert idle == load("gen_flags").REASONS.keys(), "REASONS in tools/gen_flags.py"
