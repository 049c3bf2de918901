"""Creates in missing and terminating namespaces are refused."""

from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig, causes, config_map, is_asked

from pilothouse import errors
from pilothouse.admission.namespace import NamespaceLifecycle

NAMESPACES = ("", "v1", "namespaces")


async def test_a_missing_namespace(rig: Rig) -> None:
    assert await rig.fail(404, "POST", "/api/v1/namespaces/none/configmaps", config_map("a")) == (
        'namespaces "none" not found'
    )


async def terminating(rig: Rig) -> Any:
    """A namespace that is being deleted, with an object in it."""
    path = "/api/v1/namespaces/n/configmaps"
    await rig.namespace("n")
    await rig.ok("POST", path, config_map("old"))
    await rig.ok("DELETE", "/api/v1/namespaces/n")
    return path


async def test_a_namespace_that_is_going_takes_nothing_new(rig: Rig) -> None:
    path = await terminating(rig)
    answer = await rig.call("POST", path, config_map("a"))
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")
    assert (
        answer.body["message"]
        == 'configmaps "a" is forbidden: unable to create new content in namespace n because it is being'
        " terminated"
    )
    assert answer.body["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace n is being terminated",
            "field": "metadata.namespace",
        }
    ]
    assert causes(answer.body) == ["metadata.namespace: namespace n is being terminated"]


async def test_what_is_in_it_may_be_changed_and_deleted(rig: Rig) -> None:
    path = await terminating(rig)
    await rig.ok("PUT", path + "/old", config_map("old", data={"k": "v"}))
    await rig.ok("DELETE", path + "/old")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_three_namespaces_stay_for_ever(rig: Rig, name: str) -> None:
    with pytest.raises(errors.Forbidden) as caught:
        NamespaceLifecycle().mutate(
            rig.attributes(None, {}, resource=NAMESPACES, operation="DELETE", name=name)
        )
    assert caught.value.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    other = rig.attributes(None, {}, resource=NAMESPACES, operation="DELETE", name="other")
    NamespaceLifecycle().mutate(other)


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = NamespaceLifecycle()
    assert is_asked(plugin, rig.attributes({}))
    assert not is_asked(plugin, rig.attributes({}, {}, operation="UPDATE"))
    assert not is_asked(plugin, rig.attributes(None, {}, operation="DELETE"))
    assert is_asked(plugin, rig.attributes(None, {}, resource=NAMESPACES, operation="DELETE"))


async def test_a_review_needs_no_namespace(rig: Rig) -> None:
    spec = {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "none"}}
    path = "/apis/authorization.k8s.io/v1/namespaces/none/localsubjectaccessreviews"
    assert (await rig.call("POST", path, {"spec": spec})).status == 201
    assert (await rig.call("GET", CONFIG_MAPS)).status == 200
