"""Settings of the plugin."""

from typing import Any

import pytest

from pilothouse.admission.podsecurity.configuration import VERSIONS, Configuration, read
from pilothouse.admission.podsecurity.policy import LevelVersion, PodSecurityLevels
from pilothouse.api.configfile import ConfigurationError

HEAD = {"apiVersion": VERSIONS[0], "kind": "PodSecurityConfiguration"}


def test_without_any() -> None:
    assert read(None) == read(HEAD) == Configuration()


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_everything(version: str) -> None:
    found = read(
        {
            **HEAD,
            "apiVersion": f"pod-security.admission.config.k8s.io/{version}",
            "defaults": {"enforce": "baseline", "enforce-version": "v1.20", "warn": "restricted"},
            "exemptions": {"usernames": ["jane"], "namespaces": ["n"], "runtimeClasses": ["r.x"]},
        }
    )
    policy = PodSecurityLevels(LevelVersion("baseline", 20), warn=LevelVersion("restricted"))
    assert found == Configuration(policy, frozenset(("jane",)), frozenset(("n",)), frozenset(("r.x",)))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "Other", "apiVersion": "v1"}, 'no kind "Other" is registered for version "v1"'),
        ({**HEAD, "default": {}}, 'strict decoding error: unknown field "default"'),
        ({**HEAD, "defaults": {"enforced": "x"}}, 'strict decoding error: unknown field "defaults.enforced"'),
        (
            {**HEAD, "defaults": {"enforce": "x", "audit-version": "y"}},
            (
                '[defaults.enforce: Invalid value: "x": must be one of privileged, baseline, restricted, '
                'defaults.audit-version: Invalid value: "y": must be "latest" or "v1.x"]'
            ),
        ),
        (
            {**HEAD, "exemptions": {"usernames": ["", "a", "a"]}},
            (
                '[exemptions.usernames[0]: Invalid value: "": username must not be empty,'
                ' exemptions.usernames[2]: Duplicate value: "a"]'
            ),
        ),
        (
            {**HEAD, "exemptions": {"namespaces": ["a.b"]}},
            'exemptions.namespaces[0]: Invalid value: "a.b": must not contain dots',
        ),
        (
            {**HEAD, "exemptions": {"runtimeClasses": ["A"]}},
            'exemptions.runtimeClasses[0]: Invalid value: "A": a ',
        ),
    ],
)
def test_what_is_wrong(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(section)
    assert str(caught.value).startswith(message)
