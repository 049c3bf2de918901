"""The text of the difference between two objects."""

from pilothouse.api.validate.diff import MAX_LENGTH, MAX_VALUE, diff


def test_lines() -> None:
    old = {"a": 1, "b": [1, 2, 3], "c": {"d": None, "e": "x"}, "gone": "y"}
    new = {"a": 1, "b": [1, 4], "c": {"d": {"f": 1}, "e": "x"}, "new": True}
    assert diff(old, new, "T") == (
        "  T{\n"
        "  \tB: {\n- \t\t2,\n+ \t\t4,\n- \t\t3,\n  \t\t... // 1 identical elements\n  \t},\n"
        '  \tC: {\n+ \t\tD: {"f": 1},\n  \t\t... // 1 identical fields\n  \t},\n'
        '- \tGone: "y",\n'
        "+ \tNew: true,\n"
        "  \t... // 1 identical fields\n"
        "  },\n"
    )


def test_much_is_cut_short() -> None:
    text = diff({"a": list(range(100_000))}, {"a": "x" * 100_000})
    assert len(text) < 3 * MAX_VALUE
    text = diff({"a": [0] * 100_000}, {"a": [1] * 100_000})
    assert MAX_LENGTH < len(text) < 2 * MAX_LENGTH
    assert text.endswith("...\n")
