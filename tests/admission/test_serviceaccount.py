"""Pods get an account and its token; forbidden references are refused."""

import re
from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.serviceaccount import ENFORCE, MIRROR, MOUNT_PATH, ServiceAccount

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


async def account(rig: Rig, name: str = "default", *, annotations: Any = None, **members: Any) -> None:
    await rig.ok("POST", ACCOUNTS, {"metadata": {"name": name, "annotations": annotations or {}}, **members})


def admit(rig: Rig, obj: Any) -> Any:
    attributes = rig.attributes(obj)
    plugin = ServiceAccount()
    plugin.mutate(attributes)
    plugin.validate(attributes)
    return obj["spec"]


def refused(rig: Rig, obj: Any) -> str:
    with pytest.raises(errors.Forbidden) as caught:
        admit(rig, obj)
    return caught.value.message.removeprefix('pods "p" is forbidden: ')


async def test_the_default_account_and_its_token(rig: Rig) -> None:
    await account(rig)
    spec = admit(rig, pod("p", spec={"initContainers": [{"name": "i", "image": "x"}]}))
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (volume,) = spec["volumes"]
    assert re.fullmatch("kube-api-access-[a-z0-9]{5}", volume["name"])
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    for container in spec["containers"] + spec["initContainers"]:
        assert container["volumeMounts"] == [
            {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
        ]


@pytest.mark.parametrize("member", ["serviceAccountName", "serviceAccount"])
async def test_an_account_by_name(rig: Rig, member: str) -> None:
    await account(rig, "own")
    spec = admit(rig, pod("p", spec={member: "own"}))
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "own"


async def test_an_account_that_is_missing(rig: Rig) -> None:
    why = 'error looking up service account default/{0}: serviceaccount "{0}" not found'
    assert refused(rig, pod("p")) == why.format("default")
    assert refused(rig, pod("p", spec={"serviceAccountName": "none"})) == why.format("none")
    assert refused(rig, pod("p", spec={"serviceAccountName": "a/b%"})) == (
        "error looking up service account default/a/b%: "
        """invalid resource name "a/b%": [may not contain '/' may not contain '%']"""
    )


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [
        (None, None, True),
        (False, None, False),
        (False, True, True),
        (True, False, False),
        (None, False, False),
    ],
)
async def test_a_token_may_be_declined(
    rig: Rig, of_account: bool | None, of_pod: bool | None, mounted: bool
) -> None:
    members: dict[str, Any] = {} if of_account is None else {"automountServiceAccountToken": of_account}
    await account(rig, **members)
    spec = admit(rig, pod("p", spec={} if of_pod is None else {"automountServiceAccountToken": of_pod}))
    assert ("volumes" in spec) == mounted


async def test_a_mount_of_its_own_is_kept(rig: Rig) -> None:
    await account(rig)
    container = {"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": MOUNT_PATH}]}
    spec = admit(rig, pod("p", spec={"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]}))
    assert [v["name"] for v in spec["volumes"]] == ["v"]
    assert spec["containers"][0]["volumeMounts"] == [{"name": "v", "mountPath": MOUNT_PATH}]


async def test_a_volume_that_is_there_is_used(rig: Rig) -> None:
    await account(rig)
    spec = admit(rig, pod("p", spec={"volumes": [{"name": "kube-api-access-mine", "emptyDir": {}}]}))
    assert [v["name"] for v in spec["volumes"]] == ["kube-api-access-mine"]
    assert spec["containers"][0]["volumeMounts"][0]["name"] == "kube-api-access-mine"


async def test_pull_secrets_of_the_account(rig: Rig) -> None:
    await account(rig, imagePullSecrets=[{"name": "s"}])
    assert admit(rig, pod("p"))["imagePullSecrets"] == [{"name": "s"}]
    assert admit(rig, pod("p", spec={"imagePullSecrets": [{"name": "own"}]}))["imagePullSecrets"] == [
        {"name": "own"}
    ]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, None),
        ({"serviceAccountName": "default"}, "a mirror pod may not reference service accounts"),
        (
            {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
            "a mirror pod may not reference secrets",
        ),
        ({"imagePullSecrets": [{"name": "s"}]}, "a mirror pod may not reference secrets"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            "a mirror pod may not use ServiceAccountToken volume projections",
        ),
    ],
)
async def test_mirror_pods_have_none(rig: Rig, spec: dict[str, Any], why: str | None) -> None:
    obj = pod("p", annotations={MIRROR: "x"}, spec=spec)
    if why is None:
        assert "serviceAccountName" not in admit(rig, obj) and "volumes" not in obj["spec"]
    else:
        assert refused(rig, obj) == why


TAIL = "is not allowed because service account default does not reference that"


def with_env(kind: str, **env: Any) -> dict[str, Any]:
    return {kind: [{"name": "x", "image": "i", **env}]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"volumes": [{"name": "v", "secret": {"secretName": "other"}}]},
            f'volume with secret.secretName="other" {TAIL} secret',
        ),
        (
            with_env("initContainers", env=[{"name": "E", "valueFrom": {"secretKeyRef": {"name": "other"}}}]),
            f'init container x with envVar E referencing secret.secretName="other" {TAIL} secret',
        ),
        (
            with_env("containers", envFrom=[{"secretRef": {"name": "other"}}]),
            f'container x with envFrom referencing secret.secretName="other" {TAIL} secret',
        ),
        (
            {"imagePullSecrets": [{"name": "pull"}, {"name": "other"}]},
            f'imagePullSecrets[1].name="other" {TAIL} imagePullSecret',
        ),
        (with_env("containers", env=[{"name": "E", "valueFrom": {"secretKeyRef": {"name": "mine"}}}]), None),
        (
            {
                "volumes": [{"name": "v", "secret": {"secretName": "mine"}}],
                "imagePullSecrets": [{"name": "pull"}],
            },
            None,
        ),
    ],
)
async def test_secrets_of_an_account_that_limits_them(rig: Rig, spec: Any, why: str | None) -> None:
    await account(
        rig, annotations={ENFORCE: "true"}, secrets=[{"name": "mine"}], imagePullSecrets=[{"name": "pull"}]
    )
    if why is None:
        admit(rig, pod("p", spec=spec))
    else:
        assert refused(rig, pod("p", spec=spec)) == why


async def test_an_ephemeral_container_is_judged_too(rig: Rig) -> None:
    await account(rig, annotations={ENFORCE: "true"})
    env = [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "other"}}}]
    obj = pod("p", spec=with_env("ephemeralContainers", env=env))
    attributes = rig.attributes(obj, pod("p"), subresource="ephemeralcontainers")
    assert is_asked(ServiceAccount(), attributes)
    ServiceAccount().mutate(attributes)
    with pytest.raises(errors.Forbidden, match="ephemeral container x with envVar E"):
        ServiceAccount().validate(attributes)


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = ServiceAccount()
    assert is_asked(plugin, rig.attributes({}))
    assert not is_asked(plugin, rig.attributes({}, {})) and not is_asked(
        plugin, rig.attributes({}, subresource="binding")
    )
    assert not is_asked(plugin, rig.attributes({}, resource=("", "v1", "nodes")))


async def test_the_mutating_half_refuses_as_well(rig: Rig) -> None:
    """So the answer is this 403 and not the 422 of the pod's own rules, which come in between."""
    mirror = pod("p", annotations={MIRROR: "x"}, spec={"serviceAccountName": "default"})
    with pytest.raises(errors.Forbidden, match="a mirror pod may not reference service accounts"):
        ServiceAccount().mutate(rig.attributes(mirror))
    await account(rig, annotations={ENFORCE: "true"})
    volumes = [{"name": "v", "secret": {"secretName": "s"}}]
    with pytest.raises(errors.Forbidden, match="volume with secret"):
        ServiceAccount().mutate(rig.attributes(pod("p", spec={"volumes": volumes})))
