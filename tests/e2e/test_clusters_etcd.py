"""Servers that share an etcd divide the logical clusters: any server answers for each of them."""

import http.client
import json
import pathlib
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from clients.cluster_streams import PODS, fill
from clients.drivers import Raw
from e2e.sharing import MAPS, PATIENCE, SharedCluster, Sharers, awake, config_map, is_ready, retried, sharing
from eventually import eventually
from streaming_kubelet import StreamingKubelet
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from pilothouse.clusters.guests import PATH
from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.clusters import CLUSTERS, LogicalServer
from pilothouse.testing.etcd import BINARY

pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
V5 = "v5.channel.k8s.io"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sharers]:
    """Two servers for tests that stop neither."""
    with sharing(tmp_path_factory.mktemp("etcd"), 2) as servers:
        yield servers


def claimed(two: Sharers, name: str) -> SharedCluster:
    """A cluster that the first server has in memory."""
    cluster = two.cluster(name, two.servers[0])
    retried(lambda: cluster.client(two.servers[0]).call("GET", MAPS))
    eventually(lambda: cluster.owner() is two.servers[0], "the claim of the first server")
    return cluster


def whoami(client: KubeClient) -> Any:
    """The user that a server takes a client for."""
    return client.call("POST", REVIEWS, {})["status"]["userInfo"]


def test_a_write_and_a_watch_through_the_other_server(two: Sharers) -> None:
    first, second = two.servers
    cluster = claimed(two, "reached")
    here, there = cluster.client(first), cluster.client(second)
    forwarded = second.metric("pilothouse_clusters_forwarded_requests_total")
    made = there.call("POST", MAPS, config_map("a", n="1"))
    assert here.call("GET", f"{MAPS}/a") == made == there.call("GET", f"{MAPS}/a")
    assert cluster.owner() is first
    assert second.metric("pilothouse_clusters_forwarded_requests_total") == forwarded + 2
    since = made["metadata"]["resourceVersion"]
    events = there.events(f"{MAPS}?watch=1&resourceVersion={since}", time.monotonic() + PATIENCE)
    writer = threading.Timer(0.0, lambda: here.call("POST", MAPS, config_map("b")))
    writer.start()
    event = next(events)
    writer.join()
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "b")
    assert "reached" in {one["metadata"]["name"] for one in second.root.call("GET", CLUSTERS)["items"]}


def test_users_are_the_same_through_both(two: Sharers) -> None:
    """Certificates and tokens; headers that only servers may send mean nothing of a client."""
    first, second = two.servers
    cluster = claimed(two, "users")
    here, there = cluster.client(first), cluster.client(second)
    assert whoami(here) == whoami(there)
    assert whoami(there)["username"] == "kubernetes-admin"
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = there.call("POST", path, {"spec": {}})["status"]["token"]
    leaf = f":{''.join(cluster.made.client_cert.read_text().split()[2:-2])}:"
    for server in two.servers:
        answers = [
            ask(server.port, cluster, {"Authorization": f"Bearer {token}"}),
            ask(server.port, cluster, {"X-Pilothouse-Forwarded": "1", "Client-Cert": leaf}),
            ask(server.port, cluster, {"X-Remote-User": "jane", "X-Remote-Group": "system:masters"}),
            ask(server.port, cluster, {"Authorization": "Bearer of-nobody"}),
        ]
        assert [status for status, _ in answers] == [201, 403, 403, 401]
        assert answers[0][1]["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"


def ask(port: int, cluster: SharedCluster, headers: dict[str, str]) -> tuple[int, Any]:
    """The answer to a client without a certificate."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=anonymous(cluster))
    try:
        body = json.dumps({}).encode()
        target = f"/clusters/{cluster.name}{REVIEWS}"
        connection.request("POST", target, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_long_body_through_the_other_server(two: Sharers) -> None:
    """Its head is judged by both servers before it is read."""
    first, second = two.servers
    cluster = claimed(two, "long")
    made = cluster.client(second).call("POST", MAPS, config_map("long", text="x" * 900_000))
    assert cluster.client(first).call("GET", f"{MAPS}/long") == made
    assert cluster.owner() is first
    with pytest.raises(RefusedError) as refused, KubeClient(second.url, anonymous(cluster)) as stranger:
        stranger.call("POST", f"/clusters/long{MAPS}", config_map("longer", text="x" * 900_000))
    assert refused.value.code in (401, 403)


def anonymous(cluster: SharedCluster) -> ssl.SSLContext:
    """TLS settings of a client without a certificate."""
    return ssl.create_default_context(cafile=str(cluster.made.ca_file))


def test_a_connection_is_upgraded_through_the_other_server(two: Sharers, tmp_path: pathlib.Path) -> None:
    """A command in a pod, with input and output."""
    first, second = two.servers
    cluster = claimed(two, "upgraded")
    there = cluster.at(second)
    with StreamingKubelet(tmp_path) as kubelet:
        raw = Below(there)
        fill(raw, kubelet)
        raw.connection.close()
        url = there.url.replace("https", "wss")
        target = f"{url}{PODS}/new/exec?command=cat&stdin=1&stdout=1"
        with connect(target, ssl=there.context(), subprotocols=[Subprotocol(V5)], compression=None) as socket:
            socket.send(b"\x00through two servers")
            said = b""
            while len(said) < len(b"through two servers"):  # an empty message comes first
                message = socket.recv(timeout=PATIENCE)
                assert isinstance(message, bytes) and message[:1] == b"\x01"
                said += message[1:]
            assert said == b"through two servers"
    assert cluster.owner() is first


class Below(Raw):
    """Requests to a logical cluster."""

    def __init__(self, there: LogicalServer) -> None:
        self.connection = http.client.HTTPSConnection("127.0.0.1", there.port, context=there.context())
        self._prefix = f"{PATH}{there.name}"

    def __call__(self, method: str, path: str, *rest: Any, **more: Any) -> tuple[int, dict[str, Any]]:
        return super().__call__(method, self._prefix + path, *rest, **more)


def test_clusters_stay_apart(two: Sharers) -> None:
    """One cluster at each server; clients of each come to both servers with credentials of the other."""
    first, second = two.servers
    one, other = claimed(two, "apart"), two.cluster("aside", second)
    retried(lambda: other.client(second).call("POST", MAPS, config_map("of-other", secret="2")))
    one.client(second).call("POST", MAPS, config_map("of-one", secret="1"))
    eventually(lambda: (one.owner(), other.owner()) == (first, second), "a cluster for each server")
    for server in two.servers:
        names = {item["metadata"]["name"] for item in one.client(server).call("GET", MAPS)["items"]}
        assert names == {"kube-root-ca.crt", "of-one"}
        for mine, theirs in ((one, other), (other, one), (one, None)):
            path = f"/clusters/{theirs.name}{MAPS}" if theirs is not None else MAPS
            with KubeClient(server.url, mine.made.context()) as stranger:
                with pytest.raises(RefusedError) as refused:
                    stranger.call("GET", path)
                assert refused.value.code == 401
        with pytest.raises(RefusedError) as refused:
            server.root.call("GET", f"/clusters/{one.name}{MAPS}")
        assert refused.value.code == 401


def test_a_cluster_is_changed_through_either_server(two: Sharers) -> None:
    """The server that has the cluster in memory suspends it, though the other one was asked to; so it is with
    limits, copies and deletes."""
    first, second = two.servers
    cluster = claimed(two, "changed")
    cluster.client(first).call("POST", MAPS, config_map("kept"))
    path = f"{CLUSTERS}/changed"
    second.root.call("PATCH", path, {"spec": {"limits": {"objects": 1}}}, MERGE)

    def refused() -> int:
        try:
            cluster.client(second).call("POST", MAPS, {"metadata": {"generateName": "more-"}})
        except RefusedError as error:
            return error.code
        return 0

    eventually(lambda: refused() == 507, "the limit", PATIENCE)
    second.root.call("PATCH", path, {"spec": {"limits": None}}, MERGE)
    copy = two.cluster("copied", second, copy_of="changed")
    retried(lambda: copy.client(second).call("GET", f"{MAPS}/kept"))
    second.root.call("PATCH", path, {"spec": {"suspend": True}}, MERGE)
    eventually(lambda: cluster.owner() is None, "the suspension", PATIENCE)
    assert retried(lambda: cluster.client(second).call("GET", f"{MAPS}/kept"))["metadata"]["name"] == "kept"
    eventually(lambda: cluster.owner() is second, "the claim of the second server")
    first.root.call("DELETE", path)
    eventually(lambda: '"changed"' not in awake(second), "the end of the cluster", PATIENCE)

    def gone() -> bool:
        try:
            first.root.call("GET", path)
        except RefusedError as error:
            return error.code == 404
        return False

    eventually(gone, "the end of the object", PATIENCE)
    with pytest.raises(RefusedError) as missing:
        cluster.client(first).call("GET", MAPS)
    assert missing.value.code == 404


class Writers:
    """Threads that write into a cluster through its servers, until they are told to end."""

    def __init__(self, cluster: SharedCluster, servers: Sharers) -> None:
        self.acknowledged: dict[str, int] = {}
        """The names of objects, and their last number that was acknowledged."""
        self.begun: dict[str, int] = {}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(cluster.client(server), f"w{number}"))
            for number, server in enumerate(servers.servers)
        ]
        for one in self._threads:
            one.start()

    def _run(self, client: KubeClient, name: str) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            self.begun[name] = number
            try:
                client.call("PATCH", f"{MAPS}/{name}?fieldManager=w", _applied(name, number), APPLY)
                self.acknowledged[name] = number
            except (RefusedError, OSError, http.client.HTTPException):
                client.close()
                self._over.wait(0.02)

    def number(self, name: str) -> int:
        """The last number of an object that was acknowledged, 0 for none."""
        return self.acknowledged.get(name, 0)

    def end(self) -> None:
        """Have the threads end."""
        self._over.set()
        for one in self._threads:
            one.join()


APPLY = "application/apply-patch+yaml"


def _applied(name: str, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"n": str(number)},
    }


def test_a_dead_servers_clusters_are_taken_over(tmp_path: Any) -> None:
    """All that was acknowledged is there, the controller of clusters goes on at the other server, and
    revisions do not go back."""
    with sharing(tmp_path, 2) as servers:
        first, second = servers.servers
        cluster = claimed(servers, "orphan")
        writers = Writers(cluster, servers)
        eventually(lambda: min(writers.number(name) for name in ("w0", "w1")) >= 5, "writes", PATIENCE)
        before = int(cluster.client(second).call("GET", MAPS)["metadata"]["resourceVersion"])
        first.close_root()
        first.crash()
        began, known = time.monotonic(), writers.acknowledged["w1"]
        eventually(lambda: writers.acknowledged["w1"] > known, "a write after the take-over", PATIENCE)
        print(f"served again after {time.monotonic() - began:.1f} s")
        writers.end()
        found = cluster.client(second).call("GET", MAPS)
        assert int(found["metadata"]["resourceVersion"]) > before
        items = {item["metadata"]["name"]: item for item in found["items"]}
        for name, number in writers.acknowledged.items():
            assert number <= int(items[name]["data"]["n"]) <= writers.begun[name]
        assert "A cluster of a server that has gone was taken over" in second.told()
        assert second.metric("pilothouse_clusters_taken_over_total") == 1
        servers.cluster("later", second)
        assert is_ready(second, "later")


def test_a_paused_server_writes_and_reads_nothing(tmp_path: Any) -> None:
    """It is stopped until its lease has ended and the other server has changed its cluster. Requests that
    came to it meanwhile are answered by the state of the other, and those that wait for it end."""
    with sharing(tmp_path, 2) as servers:
        first, second = servers.servers
        cluster = claimed(servers, "paused")
        here, there = cluster.client(first), cluster.client(second)
        made = here.call("POST", MAPS, config_map("a", by="first"))
        since = made["metadata"]["resourceVersion"]
        ends = time.monotonic() + 2 * PATIENCE
        events = there.events(f"{MAPS}?watch=1&resourceVersion={since}", ends)
        here.call("PATCH", f"{MAPS}/a", {"data": {"by": "first again"}}, MERGE)
        assert next(events)["type"] == "MODIFIED"
        first.close_root()
        first.pause()
        answers: list[Any] = []

        def late() -> None:
            answers.append(retried(lambda: here.call("GET", f"{MAPS}/a")))
            answers.append(retried(lambda: here.call("POST", MAPS, config_map("late"))))

        thread = threading.Thread(target=late)
        thread.start()
        patch = {"data": {"by": "second"}}
        other = cluster.client(second)
        retried(lambda: other.call("PATCH", f"{MAPS}/a", patch, MERGE))
        assert list(events) == [] and time.monotonic() < ends  # the other server has ended the watch
        first.go_on()
        thread.join()
        assert answers[0]["data"] == {"by": "second"}
        eventually(lambda: cluster.owner() is second, "the claim of the second server", PATIENCE)
        assert retried(lambda: there.call("GET", f"{MAPS}/late")) == answers[1]
        assert "The lease of etcd has ended" in first.told()
        revisions = [int(one["metadata"]["resourceVersion"]) for one in (answers[0], answers[1])]
        assert revisions == sorted(set(revisions))


def test_a_server_that_stops_leaves_its_clusters_at_once(tmp_path: Any) -> None:
    with sharing(tmp_path, 2) as servers:
        first, second = servers.servers
        cluster = claimed(servers, "left")
        cluster.client(first).call("POST", MAPS, config_map("a"))
        first.end()
        assert cluster.client(second).call("GET", f"{MAPS}/a")["metadata"]["name"] == "a"
        assert second.metric("pilothouse_clusters_taken_over_total") == 0
