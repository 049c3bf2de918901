"""The screen of the console's terminal understands what shells send, and nothing else moves it."""

import pathlib
from typing import Any

import pytest
from e2e.consoles import MARKS, Consoles, console_server

pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]

SCREEN = """async ([columns, rows, pieces]) => {
  const { Screen } = await import("./screen.js");
  const screen = Object.assign(new Screen(), { columns, rows });
  for (const piece of pieces) screen.write(piece);
  return [screen.lines, screen.row, screen.column];
}"""

CASES: list[tuple[list[str], list[str], int, int]] = [
    (["one\r\ntwo\nx"], ["one", "two", "   x"], 2, 4),
    (["abcdefghijkl"], ["abcdefghij", "kl"], 1, 2),
    (["abcdefghij\rX"], ["Xbcdefghij"], 0, 1),
    (["abc\b\bX"], ["aXc"], 0, 2),
    (["a\tb"], ["a       b"], 0, 9),
    (["abc\x1b[2D\x1b", "[K"], ["a"], 0, 1),
    (["abc\x1b[1K"], ["    "], 0, 3),
    (["abc\x1b[2K"], [""], 0, 3),
    (["abcdef\x1b[4D\x1b[2P"], ["abef"], 0, 2),
    (["abcd\x1b[2D\x1b[1@x"], ["abxcd"], 0, 3),
    (["abcd\x1b[4G\x1b[3D\x1b[2X"], ["  cd"], 0, 0),
    (["1\r\n2\r\n3\r\n4\x1b[H\x1b[Jx"], ["1", "x", "", ""], 1, 1),
    (["1\r\n2\r\n3\r\n4\x1b[H\x1b[2J\x1b[3J"], ["", "", ""], 0, 0),
    (["1\r\n2\x1b[9A\x1b[9Cx\x1b[9B"], ["1        x", "2", ""], 2, 9),
    (["\x1b[1;31mred\x1b[m\x1b(B\x1b=\x1b>"], ["red"], 0, 3),
    (["\x1b]0;t", "itle\x1b", "\\a\x1b]2;x\x07b"], ["ab"], 0, 2),
    (["\x1b[>4;1m\x1b[?25lx\x1b[6n\x07"], ["x"], 0, 1),
    (["\x1b]" + "o" * 5000], ["]ooooooooo"] + ["o" * 10] * 499 + ["o"], 500, 1),
]
"""The text that is written, the lines, and the row and column of the cursor."""


def test_what_a_program_writes_is_put_on_the_screen(browser: Any, tmp_path: pathlib.Path) -> None:
    """Ten columns and three rows; each piece is written by itself."""
    with console_server(tmp_path) as server, Consoles(browser, server.url) as console:
        page = console("for-root")
        for pieces, lines, row, column in CASES:
            assert page.evaluate(SCREEN, [10, 3, pieces]) == [lines, row, column], pieces
