"""Plugins run again when an object has changed."""

from harness import Rig, config_map

from pilothouse.admission.reinvocation import Reinvocations
from pilothouse.registry.admission import Reinvocation


def test_a_change_makes_due_what_ran_before_it() -> None:
    state: Reinvocations[str] = Reinvocations()
    state.ran.add("a")
    state.changed()
    state.ran.add("b")
    assert (state.due, state.ran) == ({"a"}, {"b"})


async def test_others_changes_are_seen_in_the_second_round(rig: Rig) -> None:
    for changed in (False, True):
        state: Reinvocations[str] = Reinvocations()
        a = rig.attributes(config_map("a", data={"a": "b"}), resource=("", "v1", "configmaps"))
        assert a.obj is not None
        a.reinvocation = Reinvocation()
        await state.begin(a)
        state.ran.add("a")
        await state.end(a)
        if changed:
            a.obj["data"]["a"] = "c"
        await state.begin(a)
        assert not state.due, "it is the first round still"
        a.reinvocation.again = True
        await state.begin(a)
        assert state.due == ({"a"} if changed else set())


async def test_no_copy_is_kept_for_nothing(rig: Rig) -> None:
    state: Reinvocations[str] = Reinvocations()
    await state.end(rig.attributes(config_map("a"), resource=("", "v1", "configmaps")))
    assert state.output is None
