"""The client of commands."""

import pathlib
from collections.abc import Iterator

import pytest
import yaml

from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess() as started:
        yield started


def changed(running: InProcess, directory: pathlib.Path, **cluster: str) -> Api:
    config = yaml.safe_load(running.kubeconfig.read_text())
    config["clusters"][0]["cluster"] |= {name.replace("_", "-"): value for name, value in cluster.items()}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return Api(path)


def test_requests_and_refusals(server: InProcess) -> None:
    api = Api(server.kubeconfig)
    body = {"metadata": {"name": "a"}}
    api.ensure("/api/v1/namespaces/default/configmaps", body)
    api.ensure("/api/v1/namespaces/default/configmaps", body)
    assert api.call("GET", "/api/v1/namespaces/default/configmaps/a")["metadata"]["name"] == "a"
    with pytest.raises(ApiError, match='configmaps "b" not found') as caught:
        api.call("GET", "/api/v1/namespaces/default/configmaps/b")
    assert caught.value.status == 404
    with pytest.raises(ApiError, match="Invalid"):
        api.ensure("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "B"}})


def test_servers_that_are_not_trusted(server: InProcess, tmp_path: pathlib.Path) -> None:
    assert changed(server, tmp_path, tls_server_name="kubernetes").call("GET", "/version")
    with pytest.raises(ApiError, match="Hostname mismatch"):
        changed(server, tmp_path, tls_server_name="other").call("GET", "/version")
    with pytest.raises(ValueError, match="is no https URL"):
        changed(server, tmp_path, server="http://127.0.0.1:1")
    with pytest.raises(ApiError, match="refused"):
        changed(server, tmp_path, server="https://127.0.0.1:1").call("GET", "/version")
    below = changed(server, tmp_path, server=f"{server.url}/api/").call("GET", "/v1")
    assert below["kind"] == "APIResourceList"


def test_a_connection_that_is_held(server: InProcess) -> None:
    api = Api(server.kubeconfig)
    held = api.held()
    opened = []
    for _ in range(3):
        assert held.call("GET", "/version")
        opened.append(held._connection)
    with pytest.raises(ApiError, match="page not found"):
        held.call("GET", "/nope")
    assert opened[0] is not None and opened[0] is opened[1] is opened[2] is held._connection
    assert api._connection is None and held.held()._connection is None
    held.close()
    assert held._connection is None and opened[0].sock is None
    assert held.call("GET", "/version") and held._connection is not opened[0]
    held.close()


def test_settings_that_were_read_before(server: InProcess) -> None:
    config = Api(server.kubeconfig).config
    assert Api(config).call("GET", "/api/v1/namespaces/default")["kind"] == "Namespace"
    with pytest.raises(ValueError, match=r"^the server 'http://a' is no https URL$"):
        Api(config._replace(server="http://a"))
