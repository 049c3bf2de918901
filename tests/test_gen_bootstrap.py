"""The objects of a fresh cluster equal the dumps in tools/data/bootstrap."""

from pathlib import Path

from generators import load, run


def test_data_is_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_bootstrap")
    run(generator, "--out", str(tmp_path))
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in generator.OUT.glob("*.json")}


def test_what_a_server_measured_is_left_out() -> None:
    generator = load("gen_bootstrap")
    assert generator.without({"kind": "FlowSchema", "status": {}}, "status") == {"kind": "FlowSchema"}
