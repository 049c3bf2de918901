"""Draws docs/clusters.svg from what benchmarks/many_clusters.py has measured.

usage: python tools/gen_curve.py MEASURED.json

Four small charts over the number of clusters, each with a scale of its own.
"""

import json
import math
import pathlib
import sys
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

OUT = pathlib.Path(__file__).parents[1] / "docs" / "clusters.svg"
WIDTH, HEIGHT, LEFT, TOP = 360, 190, 46, 40
GAP = 20
CHARTS: tuple[tuple[str, Sequence[tuple[str, str]]], ...] = (
    ("KB of memory for each cluster", (("woken_kb", "woken"), ("new_kb", "just filled"))),
    ("clusters created in a second", (("created_a_second", ""),)),
    ("milliseconds until a suspended cluster answers", (("wake_ms", ""),)),
    ("microseconds of processor for a GET", (("get_us", "in a cluster"), ("lone_get_us", "beside them"))),
)
STYLE = """
text { font: 12px sans-serif; fill: #444 } .title { font-weight: bold } .axis { stroke: #bbb; fill: none }
.a { stroke: #2f6fdb; fill: none; stroke-width: 2 } .b { stroke: #d9822b; fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #ccc } .axis { stroke: #555 } }
"""


def drawn(rows: list[dict[str, Any]]) -> str:
    """The picture of some measurements, in the order of their numbers of clusters."""
    parts = [f"<style>{STYLE}</style>"]
    for at, (title, lines) in enumerate(CHARTS):
        x, y = at % 2 * (WIDTH + GAP), at // 2 * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x},{y})">{"".join(_chart(title, lines, rows))}</g>')
    wide, high = 2 * WIDTH + GAP, 2 * HEIGHT + GAP
    box = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    name = "Logical clusters in one server, measured"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{name}">'
    return head + "\n".join(parts) + "</svg>\n"


def _chart(title: str, lines: Sequence[tuple[str, str]], rows: list[dict[str, Any]]) -> Iterator[str]:
    most = 1.15 * max(row[name] for name, _ in lines for row in rows)
    right, bottom = WIDTH - 16, HEIGHT - 26
    counts = [math.log10(row["clusters"]) for row in rows]
    span = max(counts[-1] - counts[0], 1e-9)

    def place(count: float, value: float) -> tuple[float, float]:
        x = LEFT + (count - counts[0]) / span * (right - LEFT)
        return round(x, 1), round(bottom - value / most * (bottom - TOP), 1)

    yield f'<text class="title" x="0" y="14">{escape(title)}</text>'
    yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
    for row, count in zip(rows, counts, strict=True):
        x = place(count, 0)[0]
        yield f'<text x="{x}" y="{HEIGHT - 8}" text-anchor="middle">{row["clusters"]:,}</text>'
    for value in (0, most / 2.3, most / 1.15):
        y = place(counts[0], value)[1]
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:,.0f}</text>'
    for style, (name, label) in zip("ab", lines, strict=False):
        points = [place(count, row[name]) for row, count in zip(rows, counts, strict=True)]
        yield f'<polyline class="{style}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'
        if label:
            x, y = points[-1]
            yield f'<text x="{x}" y="{y - 6}" text-anchor="end">{escape(label)}</text>'


def main(arguments: Sequence[str]) -> None:
    """Write the picture."""
    rows = json.loads(pathlib.Path(arguments[0]).read_text())
    OUT.write_text(drawn(sorted(rows, key=lambda row: row["clusters"])))


if __name__ == "__main__":
    main(sys.argv[1:])
