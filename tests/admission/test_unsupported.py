"""What is stored and not carried out."""

import pytest

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
CASES = [
    ((ADMISSION, "v1", "validatingwebhookconfigurations"), {"metadata": {"name": "a"}, "webhooks": [HOOK]}),
    ((ADMISSION, "v1", "mutatingwebhookconfigurations"), {"metadata": {"name": "a"}, "webhooks": [HOOK]}),
    (("", "v1", "resourcequotas"), {"metadata": {"name": "a"}, "spec": {"hard": {"pods": "0"}}}),
    (
        ("", "v1", "namespaces"),
        {"metadata": {"name": "a", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    ),
]


@pytest.mark.parametrize(("resource", "obj"), CASES)
async def test_what_has_no_effect_is_said_or_refused(rig, resource, obj):
    for operation, old in (("CREATE", None), ("UPDATE", {"metadata": obj["metadata"] | {"labels": {}}})):
        asked = rig.attributes(obj, old, resource=resource, operation=operation)
        assert Unsupported().wants(asked)
        Unsupported().validate(asked)
        assert len(asked.warnings) == 1 and "this server does not" in asked.warnings[0]
        with pytest.raises(Exception, match="and --strict-admission is on") as caught:
            Unsupported(strict=True).validate(rig.attributes(obj, old, resource=resource))
        assert caught.value.code == 403


@pytest.mark.parametrize(("resource", "obj"), CASES)
async def test_what_was_stored_before_may_be_changed_elsewhere(rig, resource, obj):
    changed = {**obj, "metadata": {**obj["metadata"], "finalizers": []}}
    asked = rig.attributes(changed, obj, resource=resource)
    Unsupported(strict=True).validate(asked)
    assert len(asked.warnings) == 1


async def test_warnings_may_be_left_out_but_not_refusals(rig):
    resource, obj = CASES[2]
    asked = rig.attributes(obj, resource=resource)
    Unsupported(warn=False).validate(asked)
    assert asked.warnings == []
    with pytest.raises(Exception, match="--strict-admission is on"):
        Unsupported(strict=True, warn=False).validate(asked)


async def test_the_rest_passes(rig):
    plugin = Unsupported(strict=True)
    for resource, obj in (
        (("", "v1", "namespaces"), {"metadata": {"name": "a", "labels": {"b": "c"}}}),
        (
            ("", "v1", "namespaces"),
            {
                "metadata": {
                    "name": "a",
                    "labels": {
                        "pod-security.kubernetes.io/enforce": "privileged",
                        "pod-security.kubernetes.io/enforce-version": "latest",
                    },
                }
            },
        ),
        (("", "v1", "resourcequotas"), {"metadata": {"name": "a"}, "spec": {}}),
    ):
        asked = rig.attributes(obj, resource=resource)
        plugin.validate(asked)
        assert asked.warnings == []
    assert not plugin.wants(rig.attributes(CRD, resource=("", "v1", "pods")))
    quota = CASES[2][1]
    assert not plugin.wants(
        rig.attributes(quota, quota, resource=("", "v1", "resourcequotas"), subresource="status")
    )
    assert not plugin.wants(
        rig.attributes(None, quota, resource=("", "v1", "resourcequotas"), operation="DELETE")
    )


async def test_every_row_names_a_resource(rig):
    known = {resource.group_resource for resource in rig.catalog.all()}
    assert set(UNSUPPORTED) <= known


async def test_a_client_sees_the_warning_also_of_a_dry_run(rig):
    rig.chain.validators.append(Unsupported())
    path = "/api/v1/namespaces/default/resourcequotas"
    body = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    for query, times in (("?dryRun=All", 1), ("", 1)):
        answer = await rig.call("POST", path + query, body)
        assert answer.status == 201 and len(answer.warnings) == times
        assert "the quota is stored and limits nothing" in answer.warnings[0]
    rig.chain.validators[-1] = Unsupported(strict=True)
    refused = await rig.fail(403, "POST", path, {**body, "metadata": {"name": "r"}})
    assert refused.startswith('resourcequotas "r" is forbidden: this server does not carry out')
    patch = {"spec": {"hard": {"pods": "1"}}}
    headers = {"Content-Type": "application/merge-patch+json"}
    assert "strict" in await rig.fail(403, "PATCH", f"{path}/q", patch, headers=headers)
    assert (await rig.call("DELETE", f"{path}/q")).status == 200
