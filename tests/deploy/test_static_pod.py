"""The static pod in deploy/static-pod."""

import pathlib
from typing import Any

import pytest
import yaml
from clients.drivers import Kubectl

from pilothouse.configuration import options


@pytest.fixture
def manifest(deploy: pathlib.Path) -> pathlib.Path:
    return deploy / "static-pod" / "pilothouse.yaml"


@pytest.fixture
def pod(manifest: pathlib.Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(manifest.read_text())
    return loaded


@pytest.mark.kubectl
def test_a_server_takes_it(kubectl: Kubectl, manifest: pathlib.Path) -> None:
    """Unknown and repeated fields are refused, and so are values that are not valid."""
    assert kubectl("apply --server-side --dry-run=server --validate=strict -f", str(manifest)) == (
        "pod/pilothouse serverside-applied (server dry run)\n"
    )


def test_its_arguments_are_those_of_a_server(pod: dict[str, Any]) -> None:
    """The data is in the volume of the host, and probes ask the port that is served."""
    [container] = pod["spec"]["containers"]
    command, *flags = container["args"]
    config = options.parse(flags)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert command == "serve"
    assert "hostPath" in volumes[mounts[str(config.data.directory)]]
    assert [port["containerPort"] for port in container["ports"]] == [config.serving.secure_port]


def test_it_needs_no_service_account(pod: dict[str, Any]) -> None:
    """A kubelet refuses static pods that refer to objects of the API."""
    assert "serviceAccountName" not in pod["spec"]
    assert all(volume.keys() <= {"name", "hostPath", "emptyDir"} for volume in pod["spec"]["volumes"])
