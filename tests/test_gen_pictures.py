"""The pictures of the README; that Chromium and `make run` work is said by tests of their own."""

import pathlib
import re
import sys
from xml.etree import ElementTree

from gen_pictures import ROOT, WIDTH, Line, plain, terminal

SVG = "{http://www.w3.org/2000/svg}"


def shown(drawing: str) -> list[str]:
    """The texts of a drawing's terminal, one for each that stands in a line."""
    texts = ElementTree.fromstring(drawing).iter(f"{SVG}text")
    return [text.text.replace("\xa0", " ").rstrip() for text in texts if text.text]


def test_lines_appear_when_they_came() -> None:
    drawing = terminal(
        [Line(0, "$ make run", typed=True), Line(0.5, "ready & <waiting>"), Line(2, "")], "a title"
    )
    assert {"$ make run", "ready & <waiting>", "a title"} <= set(shown(drawing))
    assert '.run-matrix text[clip-path="url(#run-line-1)"] { animation-delay: 0.50s; }' in drawing
    assert drawing.count("animation-delay") == 3 and "http" not in drawing.replace(
        "http://www.w3.org/2000/svg", ""
    )


def test_long_lines_are_wrapped_and_come_together() -> None:
    drawing = terminal([Line(1, "word " * WIDTH)], "a title")
    delays = re.findall(r"animation-delay: (\S+);", drawing)
    assert len(delays) > 4 and set(delays) == {"1.00s"}


def test_the_paths_are_those_of_a_checkout() -> None:
    data = pathlib.Path("/tmp/somewhere/var")
    assert plain(f"export KUBECONFIG={data}/admin.kubeconfig   # in\n", data) == (
        "export KUBECONFIG=$PWD/var/admin.kubeconfig   # in"
    )
    folder = pathlib.Path(sys.executable).parent
    assert (
        plain(f"{folder}/pilothouse serve --data-dir {data}\n", data)
        == ".venv/bin/pilothouse serve --data-dir var"
    )


def test_the_picture_is_of_what_make_run_says() -> None:
    """It shows the commands of the Makefile."""
    texts = "\n".join(shown((ROOT / "docs/run.svg").read_text()))
    assert "$ make run" in texts and "pilothouse serve --data-dir var" in texts
    assert "kube-system" in texts and str(ROOT) not in texts
