"""The picture of the measurements of logical clusters."""

import xml.etree.ElementTree as ET

from gen_curve import CHARTS, drawn

SVG = "{http://www.w3.org/2000/svg}"


def row(clusters: int, **values: float) -> dict[str, float]:
    names = [name for _, lines in CHARTS for name, _ in lines]
    return {"clusters": clusters} | dict.fromkeys(names, 10.0) | values


def test_each_line_has_a_point_for_each_measurement() -> None:
    root = ET.fromstring(drawn([row(10), row(100, woken_kb=20.0), row(1000)]))
    lines = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")]
    assert len(lines) == sum(len(names) for _, names in CHARTS)
    assert all(len(points) == 3 for points in lines)
    first, second, third = (tuple(map(float, point.split(","))) for point in lines[0])
    assert second[0] - first[0] == third[0] - second[0], "the scale is that of powers"
    assert second[1] < first[1] == third[1], "more is higher"


def test_the_numbers_are_told() -> None:
    texts = {text.text for text in ET.fromstring(drawn([row(10), row(1000)])).iter(f"{SVG}text")}
    assert {"10", "1,000", "woken", *(title for title, _ in CHARTS)} <= texts
