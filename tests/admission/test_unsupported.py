"""Warnings and refusals for fields without effect."""

from typing import Any

import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.admission.unsupported import UNSUPPORTED, Unsupported

HOOK = {
    "name": "a.b.c",
    "clientConfig": {"url": "https://a/b"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
CRD = {
    "metadata": {"name": "as.b.c"},
    "spec": {
        "group": "b.c",
        "names": {"plural": "as", "kind": "A"},
        "scope": "Cluster",
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}

ADMISSION = "admissionregistration.k8s.io"
CASES: list[tuple[tuple[str, str, str], dict[str, Any]]] = [
    ((ADMISSION, "v1", "validatingwebhookconfigurations"), {"metadata": {"name": "a"}, "webhooks": [HOOK]}),
    ((ADMISSION, "v1", "mutatingwebhookconfigurations"), {"metadata": {"name": "a"}, "webhooks": [HOOK]}),
]


@pytest.mark.parametrize(("resource", "obj"), CASES)
async def test_what_has_no_effect_is_said_or_refused(rig: Rig, resource: Any, obj: Any) -> None:
    for operation, old in (("CREATE", None), ("UPDATE", {"metadata": obj["metadata"] | {"labels": {}}})):
        asked = rig.attributes(obj, old, resource=resource, operation=operation)
        assert Unsupported().wants(asked)
        Unsupported().validate(asked)
        assert len(asked.warnings) == 1 and "this server does not" in asked.warnings[0]
        with pytest.raises(errors.StatusError, match="and --strict-admission is on") as caught:
            Unsupported(strict=True).validate(rig.attributes(obj, old, resource=resource))
        assert caught.value.code == 403


@pytest.mark.parametrize(("resource", "obj"), CASES)
async def test_what_was_stored_before_may_be_changed_elsewhere(rig: Rig, resource: Any, obj: Any) -> None:
    changed = {**obj, "metadata": {**obj["metadata"], "finalizers": []}}
    asked = rig.attributes(changed, obj, resource=resource)
    Unsupported(strict=True).validate(asked)
    assert len(asked.warnings) == 1


async def test_warnings_may_be_left_out_but_not_refusals(rig: Rig) -> None:
    resource, obj = CASES[0]
    asked = rig.attributes(obj, resource=resource)
    Unsupported(warn=False).validate(asked)
    assert asked.warnings == []
    with pytest.raises(errors.StatusError, match="--strict-admission is on"):
        Unsupported(strict=True, warn=False).validate(asked)


async def test_the_rest_passes(rig: Rig) -> None:
    plugin = Unsupported(strict=True)
    hooks: Any = {"metadata": {"name": "a"}}
    asked = rig.attributes(hooks, resource=(ADMISSION, "v1", "validatingwebhookconfigurations"))
    plugin.validate(asked)
    assert asked.warnings == []
    assert not plugin.wants(rig.attributes(CRD, resource=("", "v1", "pods")))
    resource, policy = CASES[0]
    assert not plugin.wants(rig.attributes(policy, policy, resource=resource, subresource="status"))
    assert not plugin.wants(rig.attributes(None, policy, resource=resource, operation="DELETE"))


async def test_every_row_names_a_resource(rig: Rig) -> None:
    known = {resource.group_resource for resource in rig.catalog.all()}
    assert set(UNSUPPORTED) <= known


async def test_a_client_sees_the_warning_also_of_a_dry_run(rig: Rig) -> None:
    rig.chain.validators.append(Unsupported())
    path = f"/apis/{ADMISSION}/v1/mutatingwebhookconfigurations"
    body = {"metadata": {"name": "q"}, "webhooks": [HOOK]}
    for query, times in (("?dryRun=All", 1), ("", 1)):
        answer = await rig.call("POST", path + query, body)
        assert answer.status == 201 and len(answer.warnings) == times
        assert "the configuration is stored and has no effect" in answer.warnings[0]
    rig.chain.validators[-1] = Unsupported(strict=True)
    refused = await rig.fail(403, "POST", path, {**body, "metadata": {"name": "r"}})
    assert refused.startswith(
        f'mutatingwebhookconfigurations.{ADMISSION} "r" is forbidden: this server does not call'
    )
    patch = {"webhooks": [HOOK | {"name": "d.e.f"}]}
    headers = {"Content-Type": "application/merge-patch+json"}
    assert "strict" in await rig.fail(403, "PATCH", f"{path}/q", patch, headers=headers)
    assert (await rig.call("DELETE", f"{path}/q")).status == 200
