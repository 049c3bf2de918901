"""The behaviour of simulated containers."""

from typing import Any

import pytest

from pilothouse.api.configfile import ConfigurationError
from pilothouse.configuration.simulation.stages import (
    LONGEST_LOG,
    NEVER,
    Behaviour,
    changed,
    rules_for,
    said_by,
    stage,
)


def test_what_is_said_changes_a_behaviour() -> None:
    base = Behaviour(logs="x")
    made = changed(base, {"start-after": "1m30s", "ready-after": "0.5", "exit-after": "never"})
    assert made == Behaviour(start_after=90, ready_after=0.5, exit_after=NEVER, logs="x")
    assert changed(base, {}) is base


def test_a_container_whose_exit_code_is_said_ends() -> None:
    assert changed(Behaviour(), {"exit-code": "1,0"}) == Behaviour(exit_after=0, exit_codes=(1, 0))
    assert changed(Behaviour(exit_after=NEVER), {"exit-code": "1"}).exit_after == NEVER
    assert [Behaviour(exit_codes=(3, 0)).exit_code(run) for run in range(3)] == [3, 0, 0]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("exit-code", "256", 'exit-code: "256": it must be a number between 0 and 255'),
        ("exit-code", "-1", 'exit-code: "-1": it must be a number between 0 and 255'),
        ("exit-after", "-1s", 'exit-after: "-1s": it must be between 0 and 1e9 seconds'),
        ("ready-after", "soon", 'ready-after: "soon": time: invalid duration "soon"'),
        ("exit", "1", 'there is no "exit": want one of start-after'),
        ("logs", "x" * (LONGEST_LOG + 1), "logs: "),
    ],
)
def test_what_cannot_be_read_is_named(name: str, text: str, fault: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 -- the text is looked at
        changed(Behaviour(), {name: text})
    assert str(error.value).startswith(fault)


def test_annotations_with_the_name_of_a_container_count_more() -> None:
    prefix = "simulate.pilothouse.dev/"
    notes = {
        f"{prefix}logs": "all",
        f"{prefix}logs.x": "own",
        f"{prefix}exit-code.y": "1",
        "other/logs": "no",
    }
    assert said_by(notes, "x") == {"logs": "own"}
    assert said_by(notes, "y") == {"logs": "all", "exit-code": "1"}


def container(name: str = "c", image: str = "nginx:1") -> dict[str, Any]:
    return {"name": name, "image": image}


def pod(namespace: str = "default", **labels: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "labels": labels}}


def test_a_stage_selects_containers() -> None:
    one = stage(
        {
            "namespace": "team-*",
            "selector": {"matchLabels": {"app": "web"}},
            "container": "c?",
            "image": "*nginx:*",
            "exitCode": 1,
            "readyAfter": "2s",
        },
        "stages[0]",
    )
    fits = pod("team-a", app="web"), container("c1", "x/nginx:1")
    assert list(rules_for((one,), *fits)) == [{"exit-code": "1", "ready-after": "2s"}]
    for other in (
        (pod("other", app="web"), fits[1]),
        (pod("team-a"), fits[1]),
        (fits[0], container("c", "x/nginx:1")),
        (fits[0], container("c1", "x/apache:1")),
    ):
        assert list(rules_for((one,), *other)) == []


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"exit": 1}, 'strict decoding error: unknown field "stages[0].exit"'),
        ({"exitCode": "x"}, 'stages[0]: exit-code: "x": it must be a number'),
        ({"selector": {"matchLabels": {"a b": "c"}}}, "stages[0].selector: "),
        ({"selector": 1}, "stages[0].selector: "),
    ],
)
def test_a_fault_of_a_stage_is_named(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        stage(given, "stages[0]")
    assert str(error.value).startswith(fault)
