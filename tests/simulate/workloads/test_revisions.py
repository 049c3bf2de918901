"""Controller revisions hold the templates that a workload has had."""

import json
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


def test_the_members_are_in_the_order_in_which_stock_controllers_write_them() -> None:
    template = {"spec": {"z": 1, "a": 2}, "metadata": {}}
    assert json.dumps(data_of(template)) == (
        '{"spec": {"template": {"$patch": "replace", "metadata": {}, "spec": {"a": 2, "z": 1}}}}'
    )


async def test_labels_tell_the_hash_where_each_kind_has_it(rig: Any) -> None:
    revisions = Revisions(rig.client())
    revisions.index.follow()
    daemons = (await revisions.current(OWNER, 0, labelled_by_hash=True)).obj["metadata"]
    other = {**OWNER, "metadata": {**OWNER["metadata"], "name": "s", "uid": "5-6"}}
    stateful = (await revisions.current(other, 0, labelled_by_hash=False)).obj["metadata"]
    assert {"app": "d", "controller-revision-hash": daemons["name"].removeprefix("d-")} == daemons["labels"]
    assert {"app": "d", "controller.kubernetes.io/hash": stateful["name"].removeprefix("s-")} == stateful[
        "labels"
    ]
