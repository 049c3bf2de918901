"""Outcomes of undos and restores, as lines."""

from pilothouse.api.values.fields import Object
from pilothouse.commands import outcomes


def test_a_line_for_each_object_and_the_sum() -> None:
    results: list[Object] = [
        {"resource": "pods", "name": "a", "action": "Created", "warnings": ["a new pod", "another node"]},
        {"resource": "pods", "name": "bb", "action": "Failed", "message": "why\x1b"},
        {"resource": "pods", "name": "c", "action": "Created"},
    ]
    assert outcomes.text(results, "7").split("\n") == [
        "created  pods/a   a new pod; another node",
        "failed   pods/bb  why\\x1b",
        "created  pods/c",
        "2 created, 1 failed, as of r7",
    ]
    assert outcomes.text(results, "7", colours=True).split("\n")[1].startswith("\x1b[31mfailed")
    assert outcomes.text([], "7", dry_run=True) == "nothing to do, as of r7 (server dry run)"
