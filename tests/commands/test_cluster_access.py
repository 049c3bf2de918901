"""`pilothouse cluster kubeconfig | use`: credentials for logical clusters, and switching between them."""

import base64
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from cryptography import x509

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess

CLUSTERS = "/apis/pilothouse.dev/v1alpha1/clusters"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    """A server with the clusters one and two."""
    with InProcess(["--clusters"]) as started:
        assert cli.main(["cluster", "create", "one", "two", f"--kubeconfig={started.kubeconfig}"]) == 0
        yield started


class User:
    """Somebody with a home directory, who runs `pilothouse cluster`."""

    def __init__(self, home: pathlib.Path, server: InProcess, capfd: pytest.CaptureFixture[str]) -> None:
        self.config = home / ".kube" / "config"
        self._data = f"--data-dir={server.directory}"
        self._capfd = capfd

    def run(self, *words: str, data: bool = True) -> tuple[int, str]:
        """The exit status and what is printed; `data`: with the server's data directory."""
        status = cli.main(["cluster", *words, *([self._data] if data else [])])
        found = self._capfd.readouterr()
        return status, found.out + found.err

    def document(self) -> Any:
        """The kubeconfig."""
        return yaml.safe_load(self.config.read_text())

    def me(self) -> Any:
        """The user as the server of the current context sees them."""
        return Api(self.config).call("POST", REVIEW, {})["status"]["userInfo"]


@pytest.fixture
def user(
    tmp_path: pathlib.Path,
    server: InProcess,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> User:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return User(tmp_path, server, capfd)


def uid(user: User) -> str:
    """The UID that tells clusters apart."""
    found = Api(user.config).call("GET", "/api/v1/namespaces/kube-system")
    return str(found["metadata"]["uid"])


def test_use_and_back(user: User, server: InProcess) -> None:
    status, said = user.run("use", "one")
    assert (status, said) == (0, f'Logical cluster "one": context "one", {server.url}/clusters/one\n')
    one = uid(user)
    assert set(user.me()["groups"]) == {"system:masters", "system:authenticated"}
    assert user.run("use", "two")[0] == 0
    two = uid(user)
    assert user.run("use") == (0, f'Logical cluster "two": context "two", {server.url}/clusters/two\n')
    assert user.run("use", "..") == (0, f'No logical cluster: context "pilothouse", {server.url}\n')
    own = uid(user)
    assert len({one, two, own}) == 3
    assert user.run("use", "one")[0] == 0 and uid(user) == one
    assert user.run("use", "--root")[0] == 0 and uid(user) == own
    assert [one["name"] for one in user.document()["contexts"]] == ["pilothouse", "one", "two"]


def test_commands_find_the_servers_own_cluster_while_another_is_in_use(user: User) -> None:
    assert user.run("use", "one")[0] == 0
    named = f"--kubeconfig={user.config}"
    listed = json.loads(user.run("list", "-o", "json", named, data=False)[1])
    assert {one["metadata"]["name"] for one in listed["items"]} >= {"one", "two"}
    assert user.run("use", "two", named)[0] == 0
    assert json.loads(user.run("use", "-o", "json", named)[1])["cluster"] == "two"


def test_use_switches_without_the_data_directory_where_a_context_is_there(user: User) -> None:
    assert user.run("kubeconfig", "one", "--merge")[0] == 0
    named = f"--kubeconfig={user.config}"
    assert user.run("use", "..", named)[0] == 1, "there is no way back yet"
    assert user.run("use", "one")[0] == 0
    assert user.run("use", "..")[0] == 0
    assert user.run("use", "one", named, data=False)[0] == 0
    status, said = user.run("use", "two", named, data=False)
    assert status == 1
    assert 'no credentials for the cluster "two": say --data-dir of its server' in said
    assert user.run("use", named, data=False)[1].startswith('Logical cluster "one"')


def test_delete_removes_the_contexts(user: User, server: InProcess) -> None:
    named = f"--kubeconfig={server.kubeconfig}"
    assert user.run("create", "gone")[0] == 0
    assert user.run("use", "one")[0] == user.run("use", "gone")[0] == 0
    assert user.run("kubeconfig", "gone", "--merge", "--context=second")[0] == 0
    status, said = user.run("delete", "gone", named, data=False)
    assert (status, said) == (0, 'cluster "gone" deleted\n'), "that file has no context of it"
    assert user.run("create", "gone")[0] == 0
    status, said = user.run("delete", "gone")
    assert status == 0
    assert said.endswith(f"removed the context gone, second from {user.config}\n")
    document = user.document()
    left = {kind: [entry["name"] for entry in document[kind]] for kind in ("contexts", "clusters", "users")}
    assert left["contexts"] == ["pilothouse", "one"] and "one" in left["clusters"] and "one" in left["users"]
    assert "gone" not in json.dumps(document) and document["current-context"] == "pilothouse"
    assert user.run("use", "one")[0] == 0 and user.me()


def test_kubeconfig_is_for_one_cluster_only(user: User, server: InProcess, tmp_path: pathlib.Path) -> None:
    status, said = user.run("kubeconfig", "one", "--context=mine")
    found = yaml.safe_load(said)
    assert status == 0 and found["current-context"] == "mine"
    (cluster,) = found["clusters"]
    assert cluster["cluster"]["server"] == f"{server.url}/clusters/one"
    for path, accepted in (("/clusters/one", True), ("/clusters/two", False), ("", False)):
        cluster["cluster"]["server"] = f"{server.url}{path}"
        (tmp_path / "elsewhere").write_text(yaml.safe_dump(found))
        if accepted:
            assert Api(tmp_path / "elsewhere").call("GET", "/api/v1/namespaces")["items"]
        else:
            with pytest.raises(ApiError, match="Unauthorized") as caught:
                Api(tmp_path / "elsewhere").call("GET", "/api/v1/namespaces")
            assert caught.value.status == 401


def test_a_kubeconfig_as_json(user: User) -> None:
    status, said = user.run("kubeconfig", "one", "-o", "json")
    assert status == 0 and json.loads(said)["current-context"] == "one"
    assert user.run("kubeconfig", "one", "-o", "json", "--merge") == (
        2,
        "Error: --merge and --output=json exclude each other\nRun 'pilothouse cluster --help' for usage.\n",
    )


def test_contexts_for_many_clusters_in_one_file(user: User, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "fleet"
    assert user.run("kubeconfig", "two", f"--write-kubeconfig={target}") == (0, "")
    status, said = user.run("kubeconfig", "--all", "--merge", f"--write-kubeconfig={target}")
    assert status == 0 and said.startswith(f"{target} has contexts for ")
    document = yaml.safe_load(target.read_text())
    assert document["current-context"] == "two"
    names = [one["name"] for one in document["contexts"]]
    assert names[0] == "two" and set(names) >= {"one", "two"} and "pilothouse" not in names
    uids = {
        Api(target, name).call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"] for name in names
    }
    assert len(uids) == len(names)
    assert not user.config.exists()


def test_kubeconfig_for_another_user(user: User, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "jane"
    flags = ["--user=jane", "--group=dev,ops", "--duration=24h", f"--write-kubeconfig={target}"]
    assert user.run("kubeconfig", "one", *flags) == (0, "")
    assert target.stat().st_mode & 0o777 == 0o600
    document = yaml.safe_load(target.read_text())
    pem = base64.b64decode(document["users"][0]["user"]["client-certificate-data"])
    cert = x509.load_pem_x509_certificate(pem)
    assert (cert.not_valid_after_utc - cert.not_valid_before_utc).days == 1
    me = Api(target).call("POST", REVIEW, {})["status"]["userInfo"]
    assert me["username"] == "jane"
    assert sorted(me["groups"]) == ["dev", "ops", "system:authenticated"]
    assert user.run("kubeconfig", "one", "--user=joe", f"--write-kubeconfig={target}") == (0, "")
    me = Api(target).call("POST", REVIEW, {})["status"]["userInfo"]
    assert (me["username"], me["groups"]) == ("joe", ["system:authenticated"]), "a user is nobody's master"


def test_the_url_of_a_server_behind_another_address(user: User) -> None:
    said = user.run("kubeconfig", "one", "--server=https://lb.example.com:6443/")[1]
    cluster = yaml.safe_load(said)["clusters"][0]["cluster"]
    assert cluster["server"] == "https://lb.example.com:6443/clusters/one"


def test_the_secret_of_a_cluster_is_enough(user: User, server: InProcess, tmp_path: pathlib.Path) -> None:
    """No data directory is needed by those who may read the Secret that the Cluster names."""
    named, target = f"--kubeconfig={server.kubeconfig}", tmp_path / "target"
    assert user.run("create", "three", "--kubeconfig-secret=default/keys", named, data=False)[0] == 0
    assert user.run("kubeconfig", "three", named, f"--write-kubeconfig={target}", data=False) == (0, "")
    me = Api(target).call("POST", REVIEW, {})["status"]["userInfo"]
    assert me["username"] == "kubernetes-admin" and "system:masters" in me["groups"]
    status, said = user.run("kubeconfig", "three", "--user=jane", named, data=False)
    assert status == 2 and "--user needs the CA of the server: say --data-dir" in said


def test_a_secret_that_is_of_no_use(user: User, server: InProcess) -> None:
    api, named = Api(server.kubeconfig), f"--kubeconfig={server.kubeconfig}"
    api.call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "empty"}})
    assert user.run("create", "four", "--kubeconfig-secret=default/empty", named, data=False)[0] == 0
    status, said = user.run("kubeconfig", "four", named, data=False)
    assert (status, said) == (1, 'Error: the Secret default/empty has no kubeconfig for the cluster "four"\n')
    assert user.run("create", "five", "--kubeconfig-secret=nowhere/keys", named, data=False)[0] == 0
    assert user.run("kubeconfig", "five", named, data=False) == (1, 'Error: secrets "keys" not found\n')


def test_the_data_directory_of_another_server(user: User, server: InProcess, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    assert (
        cli.main(["kubeconfig", "--create", f"--data-dir={other}", f"--write-kubeconfig={tmp_path}/x"]) == 0
    )
    flags = [f"--data-dir={other}", f"--kubeconfig={server.kubeconfig}"]
    status, said = user.run("kubeconfig", "one", *flags, data=False)
    assert status == 1
    assert (
        f"does not accept a certificate by the CA in {other}: that is the data directory of another" in said
    )


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (["kubeconfig", "none"], 1, 'clusters.pilothouse.dev "none" not found'),
        (["kubeconfig", "one", "--group=a"], 2, "--group needs --user"),
        (["kubeconfig", "one", "--duration=-1h"], 2, "--duration must be longer than 0"),
        (["kubeconfig", "one", "--all"], 2, "takes the names of clusters, or --all"),
        (["kubeconfig", "one", "two", "--context=a"], 2, "--context is for one cluster"),
        (["use", "none"], 1, 'clusters.pilothouse.dev "none" not found'),
        (["use"], 1, "has no current context"),
        (["use", ".."], 1, "has no current context"),
    ],
)
def test_what_it_does_not_do(user: User, words: list[str], status: int, problem: str) -> None:
    ended, said = user.run(*words)
    assert ended == status and problem in said
    assert not user.config.exists(), "nothing is written for a command that fails"


def test_the_first_file_of_the_environment_is_written(
    user: User, server: InProcess, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mine"
    monkeypatch.setenv("KUBECONFIG", f"{target}:{tmp_path}/second")
    assert user.run("use", "one")[0] == 0
    assert Api(target).call("GET", "/api/v1/namespaces")["items"]
    assert not user.config.exists()
