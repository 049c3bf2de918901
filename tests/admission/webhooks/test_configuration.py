"""The credentials with which webhooks are called."""

import pathlib
from typing import Any

import pytest

from pilothouse.admission.webhooks.configuration import read
from pilothouse.api.configfile import ConfigurationError

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration"}


def test_no_section_and_no_file_mean_no_credentials() -> None:
    assert not read(None).users and not read(HEAD).users


def test_the_users_of_a_kubeconfig(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "k"
    path.write_text("{users: [{name: '*', user: {token: t}}]}")
    assert list(read({**HEAD, "kubeConfigFile": str(path)}).users) == ["*"]


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"kind": "WebhookAdmission"}, 'no kind "WebhookAdmission" is registered'),
        ({"kubeConfig": "x"}, 'unknown field "kubeConfig"'),
        ({"kubeConfigFile": "k"}, 'kubeConfigFile: Invalid value: "k": must be an absolute file path'),
        ({"kubeConfigFile": "/does/not/exist"}, "No such file"),
        ({"staticManifestsDir": "/x"}, "ManifestBasedAdmissionControlConfig feature gate is not enabled"),
    ],
)
def test_what_cannot_be_used(section: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read({**HEAD, **section})
