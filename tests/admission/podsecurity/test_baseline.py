"""Pods of the level `baseline` are refused what it forbids."""

from typing import Any

import pytest

from pilothouse.admission.podsecurity.checks import Pod
from pilothouse.admission.podsecurity.evaluator import evaluate
from pilothouse.admission.podsecurity.policy import BASELINE, LATEST, LevelVersion

BETA = "container.apparmor.security.beta.kubernetes.io/"
ALPHA = "seccomp.security.alpha.kubernetes.io/pod"
ALPHA_C = "container.seccomp.security.alpha.kubernetes.io/"


def found(spec: Any, annotations: Any = None, version: Any = LATEST) -> list[str]:
    pod = Pod({"annotations": annotations} if annotations else {}, spec)
    return [str(violation) for violation in evaluate(LevelVersion(BASELINE, version), pod)]


def containers(*contexts: Any, **more: Any) -> dict[str, Any]:
    """A pod whose containers a, b, ... have these security contexts."""
    named = [
        {"name": name, "image": "i", "securityContext": c} for name, c in zip("abcd", contexts, strict=False)
    ]
    return {"containers": named, **more}


def probe(host: Any, action: str = "httpGet") -> dict[str, Any]:
    return {action: {"host": host, "port": 80}}


CASES = [
    ({"hostNetwork": True, "hostIPC": True}, "host namespaces (hostNetwork=true, hostIPC=true)"),
    ({"hostPID": True}, "host namespaces (hostPID=true)"),
    (
        {"volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "emptyDir": {}}]},
        'hostPath volumes (volume "v")',
    ),
    (
        {"volumes": [{"name": n, "hostPath": {}} for n in "vw"]},
        'hostPath volumes (volumes "v", "w")',
    ),
    (
        {
            "initContainers": [{"name": "a", "ports": [{"hostPort": 9}, {"hostPort": 80}, {"hostPort": 0}]}],
            "containers": [{"name": "b", "ports": [{"hostPort": 80}]}, {"name": "c", "ports": [{}]}],
        },
        'hostPort (containers "a", "b" use hostPorts 80, 9)',
    ),
    ({"containers": [{"name": "a", "ports": [{"hostPort": 1}]}]}, 'hostPort (container "a" uses hostPort 1)'),
    (
        containers({"privileged": True}, {"privileged": False}),
        'privileged (container "a" must not set securityContext.privileged=true)',
    ),
    (
        {"ephemeralContainers": [{"name": "e", "securityContext": {"privileged": True}}]},
        'privileged (container "e" must not set securityContext.privileged=true)',
    ),
    (
        containers(
            {"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}}, {"capabilities": {"add": ["BPF"]}}
        ),
        (
            'non-default capabilities (containers "a", "b" must not include "BPF", "NET_RAW", "SYS_ADMIN" in '
            "securityContext.capabilities.add)"
        ),
    ),
    (
        containers({"procMount": "Unmasked"}, {"procMount": "Default"}),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        containers(
            {"seLinuxOptions": {"type": "x", "user": "u"}},
            securityContext={"seLinuxOptions": {"role": "r", "type": "container_t"}},
        ),
        (
            'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "x";'
            " user may not be set; role may not be set)"
        ),
    ),
    (
        containers(
            {"seccompProfile": {"type": "Unconfined"}},
            {"seccompProfile": {"type": "Localhost"}},
            securityContext={"seccompProfile": {"type": "Unconfined"}},
        ),
        (
            'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to'
            ' "Unconfined")'
        ),
    ),
    (
        {"securityContext": {"sysctls": [{"name": "b"}, {"name": "kernel.shm_rmid_forced"}, {"name": "a"}]}},
        "forbidden sysctls (b, a)",
    ),
    (
        containers(
            {"windowsOptions": {"hostProcess": True}},
            securityContext={"windowsOptions": {"hostProcess": True}},
        ),
        'hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)',
    ),
    (
        containers(
            {"appArmorProfile": {"type": "Unconfined"}},
            securityContext={"appArmorProfile": {"type": "Other"}},
        ),
        (
            'forbidden AppArmor profiles (pod and container "a" must not set AppArmor profile type to'
            ' "Other", "Unconfined")'
        ),
    ),
    (
        {
            "containers": [
                {"name": "b", "livenessProbe": probe("h"), "lifecycle": {"preStop": probe("i", "tcpSocket")}},
                {"name": "a", "startupProbe": probe("h"), "readinessProbe": {"exec": {}}},
                {"name": "c", "livenessProbe": probe("")},
            ]
        },
        'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "h", "i")',
    ),
]


@pytest.mark.parametrize(("spec", "expected"), CASES)
def test_what_is_forbidden(spec: Any, expected: Any) -> None:
    assert found(spec) == [expected]


@pytest.mark.parametrize(
    ("annotations", "version", "expected"),
    [
        (
            {BETA + "a": "runtime/default", BETA + "b": "localhost/x", BETA + "c": "", "d": "unconfined"},
            LATEST,
            [],
        ),
        (
            {BETA + "b": "unconfined", BETA + "a": 'x"y'},
            LATEST,
            [
                "forbidden AppArmor profiles (annotations must not set AppArmor profile type to "
                f'"{BETA}a="x\\"y"", "{BETA}b="unconfined"")'
            ],
        ),
        ({ALPHA: "runtime/default", ALPHA_C + "a": "docker/default"}, 18, []),
        (
            {ALPHA: "unconfined", ALPHA_C + "a": "unconfined", ALPHA_C + "other": "unconfined"},
            18,
            [
                f'seccompProfile (forbidden annotations {ALPHA_C}a="unconfined", {ALPHA}="unconfined")',
            ],
        ),
        ({ALPHA: "unconfined"}, 19, []),
    ],
)
def test_annotations(annotations: dict[str, Any], version: Any, expected: list[str]) -> None:
    assert found(containers({}), annotations, version) == expected


def names(*sysctls: Any) -> dict[str, Any]:
    return {"securityContext": {"sysctls": [{"name": name} for name in sysctls]}}


@pytest.mark.parametrize(
    ("spec", "version", "later"),
    [
        (names("net.ipv4.ip_local_reserved_ports"), 26, 27),
        (names("net.ipv4.tcp_fin_timeout"), 28, 29),
        (names("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"), 31, 32),
        ({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}, 30, 31),
        (containers({"procMount": "Unmasked"}, hostUsers=False), 34, 35),
    ],
)
def test_what_later_versions_allow(spec: Any, version: int, later: int) -> None:
    assert found(spec, version=version) and not found(spec, version=later) and not found(spec)


def test_what_later_versions_forbid() -> None:
    hosts = {"containers": [{"name": "a", "livenessProbe": probe("h")}]}
    assert not found(hosts, version=33) and found(hosts, version=34)
    profile = containers({"seccompProfile": {"type": "Unconfined"}})
    assert not found(profile, version=18) and found(profile, version=19)


def test_sysctls_of_a_version_to_come() -> None:
    assert found(names("net.ipv4.tcp_notsent_lowat")) and found(
        names("net.ipv4.tcp_notsent_lowat"), version=37
    )


def test_a_harmless_pod() -> None:
    spec = containers({"capabilities": {"add": ["CHOWN"]}, "runAsUser": 0}, hostUsers=False)
    assert found(spec) == found({}) == []
