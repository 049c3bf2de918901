"""The file of --admission-control-config-file."""

import json
from pathlib import Path
from typing import Any

import pytest

from pilothouse.admission.configuration import load
from pilothouse.api.configfile import ConfigurationError

HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n"


def test_no_file() -> None:
    assert load("").section("PodSecurity") is None


def test_inline_and_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("limits: []\n")
    (tmp_path / "config.yaml").write_text(
        HEAD
        + "plugins:\n- name: A\n  configuration: {kind: K}\n  path: absent\n- name: B\n  path: b.yaml\n"
        + "- name: C\n- name: A\n  configuration: {kind: L}\n"
    )
    found = load(str(tmp_path / "config.yaml"))
    assert [found.section(name) for name in "ABCD"] == [{"kind": "K"}, {"limits": []}, None, None]


def test_json_of_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    plugins = [{"name": "A", "configuration": {"a": 1}}]
    config = {"apiVersion": "apiserver.k8s.io/v1alpha1", "kind": "AdmissionConfiguration", "plugins": plugins}
    path.write_text(json.dumps(config))
    assert load(str(path)).section("A") == {"a": 1}


def test_a_file_that_is_the_configuration_of_one_plugin(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("podNodeSelectorPluginConfig:\n  clusterDefaultNodeSelector: a=b\n")
    assert load(str(path)).section("PodNodeSelector") == {
        "podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "a=b"}
    }
    assert load(str(path)).section("ImagePolicyWebhook") is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "unable to read admission control configuration from"),
        ("[]", "it must be an object"),
        ("a: 1\na: 2", 'key "a" already set in map'),
        ("kind: AdmissionConfiguration\napiVersion: v1\n", 'is registered for version "v1"'),
        (HEAD + "plugin: []\n", 'strict decoding error: unknown field "plugin"'),
        (HEAD + "plugins: [{name: A, config: {}}]\n", 'unknown field "plugins[0].config"'),
        (HEAD + "plugins: [{path: a}]\n", "plugins[0].name: Required value"),
        (
            HEAD + "plugins: [{name: A, path: absent}]\n",
            "couldn't open admission plugin configuration absent",
        ),
        (HEAD + "plugins: [{name: A, configuration: 1}]\n", "plugins[0].configuration: it must be an object"),
        (HEAD + "plugins: [1]\n", "plugins[0]: it must be an object"),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: Any, part: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(str(path))
    assert part in str(caught.value)


def test_a_file_that_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="unable to read admission control configuration"):
        load("/absent")
