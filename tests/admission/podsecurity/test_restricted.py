"""Pods of the level `restricted` must have what it requires."""

from typing import Any

import pytest

from pilothouse.admission.podsecurity.checks import Pod
from pilothouse.admission.podsecurity.evaluator import evaluate
from pilothouse.admission.podsecurity.policy import LATEST, RESTRICTED, LevelVersion

GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def found(spec: Any, version: Any = LATEST) -> list[str]:
    return [str(violation) for violation in evaluate(LevelVersion(RESTRICTED, version), Pod({}, spec))]


def without(*members: Any, **more: Any) -> Any:
    return {k: v for k, v in GOOD.items() if k not in members} | more


def containers(*contexts: Any, **more: Any) -> dict[str, Any]:
    named = [{"name": name, "securityContext": c} for name, c in zip("abcd", contexts, strict=False)]
    return {"containers": named, **more}


CASES = [
    (
        containers(without("allowPrivilegeEscalation"), without(allowPrivilegeEscalation=True)),
        (
            "allowPrivilegeEscalation != false "
            '(containers "a", "b" must set securityContext.allowPrivilegeEscalation=false)'
        ),
    ),
    (
        containers(
            without("capabilities"), without(capabilities={"add": ["CHOWN", "NET_BIND_SERVICE", "BPF"]})
        ),
        (
            'unrestricted capabilities (containers "a", "b" must set'
            ' securityContext.capabilities.drop=["ALL"]; container "b" must not include "BPF", "CHOWN" in'
            " securityContext.capabilities.add)"
        ),
    ),
    (
        containers(without("runAsNonRoot"), GOOD),
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
    ),
    (
        containers(
            without(runAsNonRoot=False), without("runAsNonRoot"), securityContext={"runAsNonRoot": False}
        ),
        'runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)',
    ),
    (
        containers(without(runAsUser=0), without(runAsUser=1), securityContext={"runAsUser": 0}),
        'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
    ),
    (
        containers(without("seccompProfile"), GOOD),
        (
            'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to'
            ' "RuntimeDefault" or "Localhost")'
        ),
    ),
    (
        containers(
            without(seccompProfile={"type": "Unconfined"}),
            securityContext={"seccompProfile": {"type": "Unconfined"}},
        ),
        (
            'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to'
            ' "Unconfined")'
        ),
    ),
    (
        containers(without(procMount="Unmasked"), hostUsers=False),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        containers(GOOD, volumes=[{"name": "v", "nfs": {}}, {"name": "w", "hostPath": {}}, {"name": "x"}]),
        (
            'restricted volume types (volumes "v", "w", "x" use restricted volume types "hostPath", "nfs",'
            ' "unknown")'
        ),
    ),
    (
        containers(GOOD, volumes=[{"name": "v", "rbd": {}}, {"name": "w", "emptyDir": {}}]),
        'restricted volume types (volume "v" uses restricted volume type "rbd")',
    ),
    (
        {"initContainers": [{"name": "i"}], "ephemeralContainers": [{"name": "e"}]},
        (
            'allowPrivilegeEscalation != false (containers "i", "e" must set'
            ' securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "i", "e"'
            ' must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers'
            ' "i", "e" must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers "i",'
            ' "e" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
        ),
    ),
]


@pytest.mark.parametrize(("spec", "expected"), CASES)
def test_what_is_forbidden(spec: Any, expected: Any) -> None:
    assert ", ".join(found(spec)) == expected


def test_a_good_pod() -> None:
    allowed = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim")
    volumes = [{"name": kind, kind: {}} for kind in (*allowed, "projected", "secret")]
    assert found(containers(GOOD, volumes=volumes)) == []
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}}
    assert found(containers(without("runAsNonRoot", "seccompProfile"), securityContext=pod)) == []


def test_the_pod_does_not_excuse_a_container() -> None:
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}}
    bad = without(runAsNonRoot=False, seccompProfile={"type": "Unconfined"})
    assert len(found(containers(bad, securityContext=pod))) == 2


def test_users_of_a_namespace_of_their_own_may_be_root() -> None:
    spec = containers(without("runAsNonRoot", runAsUser=0), hostUsers=False)
    assert found(spec) == [] and len(found(spec, 34)) == 2
    assert len(found({**spec, "hostUsers": True})) == 2


def test_windows_has_other_means() -> None:
    spec = containers(
        without("allowPrivilegeEscalation", "capabilities", "seccompProfile"), os={"name": "windows"}
    )
    assert found(spec) == found(spec, 25) == [] and len(found(spec, 24)) == 3
    assert len(found({**spec, "os": {"name": "linux"}})) == 3


@pytest.mark.parametrize(
    ("context", "since"),
    [
        (without("allowPrivilegeEscalation"), 8),
        (without("capabilities"), 22),
        (without("seccompProfile"), 19),
        (without("runAsNonRoot"), 0),
        (without(runAsUser=0), 23),
    ],
)
def test_since_when(context: Any, since: int) -> None:
    assert [version for version in range(37) if found(containers(context), version)] == list(range(since, 37))


def test_old_versions_keep_the_checks_of_baseline() -> None:
    spec = containers(without(capabilities={"add": ["BPF"]}))
    assert found(spec, 21)[0].startswith("non-default capabilities")
    assert [text.partition(" (")[0] for text in found(spec, 22)] == ["unrestricted capabilities"]
    volumes = containers(GOOD, volumes=[{"name": "v", "hostPath": {}}])
    assert [text.partition(" (")[0] for text in found(volumes, 0)] == ["restricted volume types"]
