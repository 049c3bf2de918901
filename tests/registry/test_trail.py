"""The notes about a write."""

from pilothouse import errors
from pilothouse.registry.trail import MOST, PATHS, TEXT, Step, Trail


def steps(trail: Trail) -> list[Step]:
    return [Step(*step) for step in trail.steps]


def test_a_plugin_that_changes_nothing() -> None:
    trail = Trail()
    trail.asked("admit", "Priority", 0.5)
    (step,) = steps(trail)
    assert step == Step("admit", "Priority", 0.5) and step.changed == () and step.verdict == ""


def test_changes_belong_to_the_step_that_comes_next() -> None:
    trail = Trail()
    trail.changed += ["spec.a", "spec.b", "spec.a"]
    trail.asked("admit", "One", 0.5)
    trail.asked("admit", "Two", 0.5)
    trail.changed.append("/metadata/labels")
    trail.called("admit", "Hooks", "hook", "configuration", 0.1)
    trail.called("admit", "Policies", "p", "b", 0.1, "refused", "no", ("spec.c",))
    trail.asked("admit", "Hooks", 0.2)
    assert [step.changed for step in steps(trail)] == [
        ("spec.a", "spec.b"),
        (),
        ("/metadata/labels",),
        ("spec.c",),
        (),
    ]


def test_a_refusal() -> None:
    trail = Trail()
    trail.asked("validate", "PodSecurity", 0.5, errors.Forbidden("x" * 5000))
    (step,) = steps(trail)
    assert step.verdict == "refused" and len(step.text) == TEXT and step.text.endswith("…")


def test_it_is_bounded() -> None:
    trail = Trail()
    trail.changed += [f"spec.{i}" for i in range(100)]
    for _ in range(MOST + 10):
        trail.asked("admit", "One", 0.5)
        trail.called("admit", "One", "w", "c", 0.5)
        trail.mark("commit")
    assert len(trail.steps) == MOST and len(trail.marks) == MOST
    assert len(steps(trail)[0].changed) == PATHS


def test_marks_and_the_commit() -> None:
    trail = Trail()
    trail.mark("body")
    trail.committed(7, 0.25)
    trail.mark("commit")
    assert [name for name, _ in trail.marks] == ["body", "commit"]
    assert trail.marks[0][1] <= trail.marks[1][1]
    assert (trail.revision, trail.stored) == (7, 0.25)
