"""Controller revisions hold the templates that a workload has had."""

from typing import Any

from pilothouse.simulate.workloads.revisions import Revisions, data_of, template_of

OWNER: Any = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "d", "namespace": "default", "uid": "1-2"},
    "spec": {"template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": []}}},
}


async def test_a_name_that_is_taken_by_another_template(rig: Any) -> None:
    revisions = Revisions(rig.client())
    revisions.index.follow()
    made = await revisions.current(OWNER, 0, labelled_by_hash=True)
    assert made.collisions == 0 and made.hash == made.obj["metadata"]["labels"]["controller-revision-hash"]
    again = await revisions.current(OWNER, 0, labelled_by_hash=True)
    assert again.name == made.name
    other = {**OWNER, "metadata": {**OWNER["metadata"], "uid": "3-4"}}
    collided = await revisions.current(other, 0, labelled_by_hash=True)
    assert collided.collisions == 1 and collided.name != made.name


def test_the_template_comes_back() -> None:
    template = OWNER["spec"]["template"]
    assert template_of({"data": data_of(template)}) == template
