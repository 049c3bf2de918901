import pytest

from pilothouse.api.yaml.lines import broken_at, line_of

TEXT = b"""kind: Policy
rules:
- level: None
- users: [a,
    b]
  level: What
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("kind", 1),
        ("rules[0].level", 3),
        ("rules[1].level", 6),
        ("rules[1].users[1]", 5),
        ("rules[1].missing.deeper", 4),
        ("rules[7]", 2),
        ("missing", None),
        ("kind.deeper", 1),
    ],
)
def test_the_line_of_a_field(path: str, line: int | None) -> None:
    assert line_of(TEXT, path) == line


def test_json_has_lines_and_no_yaml_has_none() -> None:
    assert line_of(b'{\n "a": {\n  "b": 1}}', "a.b") == 3
    assert line_of(b"a: [", "a") is None
    assert broken_at(b"a: [\n b: }\n") == 2
    assert broken_at(TEXT) is None
    assert line_of(b"", "a") is None
