"""The notes about a write."""

from pilothouse import errors
from pilothouse.registry.timeline import MOST, PATHS, TEXT, AdmissionStep, Timeline


def steps(timeline: Timeline) -> list[AdmissionStep]:
    return [AdmissionStep(*step) for step in timeline.steps]


def test_a_plugin_that_changes_nothing() -> None:
    timeline = Timeline()
    timeline.asked("admit", "Priority", 0.5)
    (step,) = steps(timeline)
    assert step == AdmissionStep("admit", "Priority", 0.5) and step.changed == () and step.verdict == ""


def test_changes_belong_to_the_step_that_comes_next() -> None:
    timeline = Timeline()
    timeline.changed += ["spec.a", "spec.b", "spec.a"]
    timeline.asked("admit", "One", 0.5)
    timeline.asked("admit", "Two", 0.5)
    timeline.changed.append("/metadata/labels")
    timeline.called("admit", "Hooks", "hook", "configuration", 0.1)
    timeline.called("admit", "Policies", "p", "b", 0.1, "refused", "no", ("spec.c",))
    timeline.asked("admit", "Hooks", 0.2)
    assert [step.changed for step in steps(timeline)] == [
        ("spec.a", "spec.b"),
        (),
        ("/metadata/labels",),
        ("spec.c",),
        (),
    ]


def test_a_refusal() -> None:
    timeline = Timeline()
    timeline.asked("validate", "PodSecurity", 0.5, errors.Forbidden("x" * 5000))
    (step,) = steps(timeline)
    assert step.verdict == "refused" and len(step.text) == TEXT and step.text.endswith("…")


def test_it_is_bounded() -> None:
    timeline = Timeline()
    timeline.changed += [f"spec.{i}" for i in range(100)]
    for _ in range(MOST + 10):
        timeline.asked("admit", "One", 0.5)
        timeline.called("admit", "One", "w", "c", 0.5)
        timeline.mark("commit")
    assert len(timeline.steps) == MOST and len(timeline.marks) == MOST
    assert len(steps(timeline)[0].changed) == PATHS


def test_marks_and_the_commit() -> None:
    timeline = Timeline()
    timeline.mark("body")
    timeline.committed(7, 0.25)
    timeline.mark("commit")
    assert [name for name, _ in timeline.marks] == ["body", "commit"]
    assert timeline.marks[0][1] <= timeline.marks[1][1]
    assert (timeline.revision, timeline.stored) == (7, 0.25)
