"""Servers of one process that begin with the same state, and then go their own ways."""

import pathlib
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import eventually

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.prepared import LentServer, PreparedState
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"
REDS = "/apis/example.com/v1/namespaces/default/reds"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SCHEMA = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"red": {"type": "integer", "maximum": 255}}}},
}
DEFINITION = {
    "metadata": {"name": "reds.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Red", "plural": "reds"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}


def red(name: str, value: int) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Red",
        "metadata": {"name": name},
        "spec": {"red": value},
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A state with a definition, an object of it and a config map, at a time two hours from now."""
    out = tmp_path_factory.mktemp("state") / "state"
    with InProcess(["--test-api"]) as server:
        server.root.call("POST", CRDS, DEFINITION)
        server.wait(f"{CRDS}/reds.example.com", "Established")
        server.root.call("POST", REDS, red("sky", 1))
        server.root.call("POST", MAPS, {"metadata": {"name": "kept"}, "data": {"a": "1"}})
        server.clock.advance(hours=2)
        server.save_state(out)
    return out


@pytest.fixture(scope="module")
def prepared(file: pathlib.Path) -> Iterator[PreparedState]:
    with PreparedState(file) as state:
        yield state


@pytest.fixture
def pair(prepared: PreparedState) -> Iterator[tuple[LentServer, LentServer]]:
    with prepared.server() as one, prepared.server() as other:
        yield one, other


def names(client: KubeClient, path: str) -> set[str]:
    return {each["metadata"]["name"] for each in client.call("GET", path)["items"]}


def test_each_begins_with_the_state(pair: tuple[LentServer, LentServer]) -> None:
    for server in pair:
        with server._client() as client:
            assert client.call("GET", f"{MAPS}/kept")["data"] == {"a": "1"}
            assert client.call("GET", f"{REDS}/sky")["spec"] == {"red": 1}


def test_neither_sees_what_the_other_writes(pair: tuple[LentServer, LentServer]) -> None:
    one, other = (server._client() for server in pair)
    with one, other:
        before = other.call("GET", f"{MAPS}/kept")["metadata"]["resourceVersion"]
        one.call("POST", MAPS, {"metadata": {"name": "mine"}})
        one.call("DELETE", f"{MAPS}/kept")
        one.call("POST", REDS, red("mine", 2))
        assert names(one, MAPS) & {"kept", "mine"} == {"mine"}
        assert names(other, MAPS) & {"kept", "mine"} == {"kept"}
        assert names(other, REDS) == {"sky"}
        assert other.call("GET", f"{MAPS}/kept")["metadata"]["resourceVersion"] == before


def test_the_definitions_of_the_state_hold(pair: tuple[LentServer, LentServer]) -> None:
    one, other = (server._client() for server in pair)
    with one, other:
        with pytest.raises(RefusedError, match="should be less than or equal to 255"):
            one.call("POST", REDS, red("bright", 256))
        one.call("DELETE", f"{CRDS}/reds.example.com")
        pair[0].wait(f"{CRDS}/reds.example.com", "delete")
        assert names(other, REDS) == {"sky"}
        other.call("POST", REDS, red("bright", 255))


def test_a_definition_that_is_deleted_in_one_goes_on_in_the_other(
    pair: tuple[LentServer, LentServer],
) -> None:
    one, other = (server._client() for server in pair)
    with one, other:
        held = red("held", 1)
        held["metadata"]["finalizers"] = ["example.com/held"]
        one.call("POST", REDS, held)
        one.call("DELETE", f"{CRDS}/reds.example.com")

        def is_held() -> bool:
            conditions = one.call("GET", f"{CRDS}/reds.example.com")["status"]["conditions"]
            return "InstanceDeletionInProgress" in {each["reason"] for each in conditions}

        eventually(is_held, "the deletion", 30)
        with pytest.raises(RefusedError, match="create not allowed while custom resource definition is"):
            one.call("POST", REDS, red("late", 2))
        other.call("POST", REDS, red("late", 2))
        assert names(other, REDS) == {"sky", "late"}


def test_one_that_is_stopped_leaves_the_others(prepared: PreparedState) -> None:
    with prepared.server() as other:
        with prepared.server() as one:
            url, tls = one.url, one.context()
            assert one.kubeconfig.exists()
        assert not one.directory.exists()
        with KubeClient(url, tls) as client, pytest.raises(RefusedError, match="404"):
            client.call("GET", MAPS)
        with other._client() as client:
            assert "kept" in names(client, MAPS)


def test_a_reset_leads_back_to_the_state(prepared: PreparedState) -> None:
    with prepared.server("again") as server:
        with server._client() as client:
            client.call("DELETE", f"{MAPS}/kept")
        before, url = server.context(), server.url
        server.reset()
        assert server.url == url
        with server._client() as client:
            assert "kept" in names(client, MAPS)
        with KubeClient(url, before) as client, pytest.raises(RefusedError, match="401"):
            client.call("GET", MAPS)


def test_an_administrator_of_one_is_nobody_in_the_other(pair: tuple[LentServer, LentServer]) -> None:
    one, other = pair
    with KubeClient(other.url, one.context()) as client, pytest.raises(RefusedError, match="401"):
        client.call("GET", MAPS)


def test_each_is_a_cluster_of_its_own(pair: tuple[LentServer, LentServer]) -> None:
    one, other = (server._client() for server in pair)
    with one, other:
        uids = [
            each.call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"] for each in (one, other)
        ]
    assert uids[0] != uids[1]


def test_the_time_goes_on_from_that_of_the_state(pair: tuple[LentServer, LentServer]) -> None:
    one, other = pair
    begun = other.clock.now()
    assert (begun - one.clock.now()).total_seconds() < 600
    one.clock.advance(hours=5)
    assert (one.clock.now() - other.clock.now()).total_seconds() > 4 * 3600
    with one._client() as client:
        made = client.call("GET", f"{MAPS}/kept")["metadata"]["creationTimestamp"]
    assert f"{begun:%Y-%m-%dT%H}" > made[:13], "the state is two hours older than its time"


def test_the_ca_of_the_state_is_that_of_the_server(pair: tuple[LentServer, LentServer]) -> None:
    one, _ = pair
    with one._client() as client:
        data = client.call("GET", f"{MAPS}/kube-root-ca.crt")["data"]["ca.crt"]
    assert ssl.PEM_cert_to_DER_cert(data) == ssl.PEM_cert_to_DER_cert(one.ca_file.read_text())


def test_a_name_is_taken_once(prepared: PreparedState) -> None:
    with prepared.server("taken"), pytest.raises(ValueError, match="taken"):
        prepared.server("taken").start()


def test_a_file_that_is_no_state(tmp_path: pathlib.Path) -> None:
    (tmp_path / "state").write_text("none")
    with pytest.raises(ValueError, match="is no state"), PreparedState(tmp_path / "state"):
        pass
