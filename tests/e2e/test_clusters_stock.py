"""A stock kube-controller-manager works in one logical cluster, beside others that it knows nothing of.

PILOTHOUSE_NODE_BIN names the folder that has the program. It runs unmodified, with what docs/clusters.md
gives it: a kubeconfig, the key of the cluster's tokens, the CA.
"""

import base64
import datetime
import os
import pathlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from eventually import eventually
from node.rig.daemons import Daemon

from pilothouse import cli
from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.clusters import LogicalServer
from pilothouse.testing.server import Subprocess

Object = dict[str, Any]

PROGRAM = pathlib.Path(os.environ.get("PILOTHOUSE_NODE_BIN") or "-", "kube-controller-manager").absolute()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not os.access(PROGRAM, os.X_OK),
        reason="on request: PILOTHOUSE_NODE_BIN=/folder/with/kube-controller-manager",
    ),
]

USER = "system:kube-controller-manager"
SECONDS = 120.0
"""How long a controller may take. The longest looks once a minute."""
NEIGHBOURS = ("two", "three", "four")
BASE, APPS, BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RUNNING: Object = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
NODE, MERGE = "node", "application/merge-patch+json"
PERIOD = 5.0
"""Seconds between two heartbeats of the node."""
SPEC: Object = {"containers": [{"name": "c", "image": "c"}]}
REFUSED = re.compile(
    "forbidden|unauthorized|could not find|is invalid|internal ?error|x509|EOF|refused", re.IGNORECASE
)
"""Words of lines in the program's log that tell of answers which no controller should get. Other errors tell
that its cache is a moment behind its own writes."""


class Stock(NamedTuple):
    """A server with a cluster in which the program runs, and others."""

    server: Subprocess
    cluster: LogicalServer
    others: dict[str, LogicalServer]
    program: Daemon
    client: KubeClient

    def items(self, path: str, label: str = "") -> list[Object]:
        """The objects of a list."""
        found: list[Object] = self.client.call("GET", f"{path}?labelSelector={label}")["items"]
        return found

    def has(self, path: str) -> Object | None:
        """An object, None when it is not there."""
        try:
            return self.client.call("GET", path)
        except RefusedError as error:
            if error.code != 404:
                raise
            return None

    def until(self, check: Callable[[], Any], what: str) -> Any:
        """The value of `check` once that is true; an error shows the end of the log."""
        try:
            return eventually(check, what, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.program.tail()}") from None

    def gone(self, path: str) -> None:
        """Wait until an object is not there."""
        self.until(lambda: self.has(path) is None, f"the end of {path}")

    def run(self, namespace: str, label: str, count: int, status: Object = RUNNING) -> None:
        """Give so many pods the node and a status, as scheduler and kubelet do, once they are there."""
        path = f"{BASE}/namespaces/{namespace}/pods"
        pods = self.until(
            lambda: found if len(found := self.items(path, label)) == count else None,
            f"{count} pods of {label}",
        )
        for at, pod in enumerate(pods):
            target = f"{path}/{pod['metadata']['name']}"
            if not pod["spec"].get("nodeName"):
                binding = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"name": NODE}}
                self.client.call("POST", f"{target}/binding", binding)
            told = {"status": status | {"podIP": f"10.1.0.{at + 1}", "podIPs": [{"ip": f"10.1.0.{at + 1}"}]}}
            self.client.call("PATCH", f"{target}/status", told, MERGE)

    def end(self, namespace: str, label: str) -> None:
        """End the pods of a label, as a kubelet does, once all are to be deleted."""
        path = f"{BASE}/namespaces/{namespace}/pods"

        def deleted() -> bool:
            return all(one["metadata"].get("deletionTimestamp") for one in self.items(path, label))

        self.until(deleted, f"the deletion of the pods of {label}")
        for pod in self.items(path, label):
            self.client.call("DELETE", f"{path}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})

    def namespace(self, name: str) -> str:
        """Make a namespace, and wait for its service account; the path of the namespace."""
        path = f"{BASE}/namespaces/{name}"
        self.client.call("POST", f"{BASE}/namespaces", {"metadata": {"name": name}})
        self.until(lambda: self.has(f"{path}/serviceaccounts/default"), "the account")
        return path


def pods_of(app: str) -> Object:
    """The selector and the template of a workload whose pods have the label app=APP."""
    labels = {"app": app}
    return {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": SPEC}}


def flags(data: pathlib.Path, kubeconfig: pathlib.Path, key: pathlib.Path) -> list[str]:
    """The flags that docs/clusters.md names."""
    named = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [
        *(f"--{name}={kubeconfig}" for name in named),
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        f"--service-account-private-key-file={key}",
        f"--root-ca-file={data}/ca.crt",
        "--use-service-account-credentials",
        "--leader-elect=false",
    ]


class Heart(threading.Thread):
    """A node that is ready, and runs nothing, while it is entered."""

    def __init__(self, cluster: LogicalServer) -> None:
        super().__init__()
        self._cluster = cluster
        self._ended = threading.Event()

    def __enter__(self) -> None:
        with self._client() as client:
            client.call("POST", f"{BASE}/nodes", {"metadata": {"name": NODE}})
            self._beat(client)
        self.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Beat until the end."""
        with self._client() as client:
            while not self._ended.wait(PERIOD):
                self._beat(client)

    def _client(self) -> KubeClient:
        return KubeClient(self._cluster.url, self._cluster.context())

    def _beat(self, client: KubeClient) -> None:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "Fine", "lastHeartbeatTime": now}
        client.call("PATCH", f"{BASE}/nodes/{NODE}/status", {"status": {"conditions": [ready]}}, MERGE)


@pytest.fixture(scope="module", params=["alone", "beside the built-in controllers"])
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    folder = tmp_path_factory.mktemp("stock")
    off = ["--controllers=-*"] if request.param == "alone" else []
    with Subprocess(["--clusters", "--storage-backend=sqlite", *off]) as server:
        one, others = LogicalServer(server, "one"), {name: LogicalServer(server, name) for name in NEIGHBOURS}
        for cluster in (one, *others.values()):
            cluster.start()
        data, kubeconfig, key = server.directory, folder / "kubeconfig", folder / "sa.key"
        own = [f"--kubeconfig={server.kubeconfig}", f"--data-dir={data}"]
        written = [f"--user={USER}", f"--write-kubeconfig={kubeconfig}"]
        assert cli.main(["cluster", "kubeconfig", "one", *written, *own]) == 0
        with KubeClient(one.url, one.context()) as client:
            client.call("GET", f"{BASE}/namespaces/default")
            exported = ["cluster", "export", "one", str(folder / "snapshot"), f"--token-key={key}"]
            assert cli.main([*exported, f"--data-dir={data}"]) == 0
            command = [str(PROGRAM), *flags(data, kubeconfig, key)]
            program = Daemon("kube-controller-manager", command, folder)
            program.start()
            try:
                with Heart(one):
                    yield Stock(server, one, others, program, client)
            finally:
                program.stop()


def test_a_namespace_gets_its_account_and_the_ca_and_goes_with_all_that_it_has(stock: Stock) -> None:
    path = stock.namespace("shop")
    stock.until(lambda: stock.has(f"{path}/configmaps/kube-root-ca.crt"), "the CA")
    stock.client.call("POST", f"{path}/configmaps", {"metadata": {"name": "a"}})
    stock.client.call("POST", f"{path}/pods", {"metadata": {"name": "p"}, "spec": SPEC})
    stock.client.call("DELETE", path)
    stock.gone(path)


def test_a_deployment_rolls_out_behind_its_service_and_is_collected(stock: Stock) -> None:
    path = stock.namespace("web")
    spec = {"replicas": 3, **pods_of("web")}
    deployments = f"{APPS}/namespaces/web/deployments"
    service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    stock.client.call("POST", f"{path}/services", {"metadata": {"name": "web"}, "spec": service})
    stock.client.call("POST", deployments, {"metadata": {"name": "web"}, "spec": spec})
    stock.run("web", "app=web", 3)

    def available() -> bool:
        status: Object = stock.client.call("GET", f"{deployments}/web").get("status", {})
        return status.get("availableReplicas") == status.get("updatedReplicas") == 3

    stock.until(available, "the rollout")
    slices = "/apis/discovery.k8s.io/v1/namespaces/web/endpointslices"

    def ready() -> bool:
        found = [point for one in stock.items(slices) for point in one["endpoints"] or ()]
        return len([point for point in found if point["conditions"]["ready"]]) == 3

    stock.until(ready, "the endpoints")
    changed = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "d"}]}}}}
    stock.client.call("PATCH", f"{deployments}/web", changed, "application/strategic-merge-patch+json")
    sets = f"{APPS}/namespaces/web/replicasets"
    stock.until(lambda: len(stock.items(sets)) == 2, "the second revision")
    stock.client.call("DELETE", f"{deployments}/web", {"propagationPolicy": "Foreground"})
    stock.end("web", "app=web")
    stock.gone(f"{deployments}/web")
    assert stock.items(sets) == stock.items(f"{path}/pods") == []


def test_jobs_end_and_cron_jobs_make_them(stock: Stock) -> None:
    path = stock.namespace("batch")
    template = {"spec": SPEC | {"restartPolicy": "Never"}}
    jobs, cron = f"{BATCH}/namespaces/batch/jobs", f"{BATCH}/namespaces/batch/cronjobs"
    about = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}
    stock.client.call("POST", cron, {"metadata": {"name": "often"}, "spec": about})
    once = {"template": template, "ttlSecondsAfterFinished": 0}
    made = stock.client.call("POST", jobs, {"metadata": {"name": "once"}, "spec": once})
    uid = made["metadata"]["uid"]
    ended = {"containerStatuses": [], "phase": "Succeeded"}
    stock.run("batch", "job-name=once", 1, ended)
    stock.gone(f"{jobs}/once")
    assert not [one for one in stock.items(f"{path}/pods") if uid in str(one["metadata"])]
    stock.until(lambda: stock.items(jobs), "a job of the cron job")
    owner = stock.items(jobs)[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("CronJob", "often")


def test_quotas_are_counted(stock: Stock) -> None:
    path = stock.namespace("small")
    stock.client.call(
        "POST",
        f"{path}/resourcequotas",
        {"metadata": {"name": "q"}, "spec": {"hard": {"count/secrets": "1"}}},
    )

    def used() -> str:
        found = stock.client.call("GET", f"{path}/resourcequotas/q").get("status") or {}
        return str((found.get("used") or {}).get("count/secrets", ""))

    stock.until(lambda: used() == "0", "the quota")
    stock.client.call("POST", f"{path}/secrets", {"metadata": {"name": "a"}})
    with pytest.raises(RefusedError, match="exceeded quota"):
        stock.client.call("POST", f"{path}/secrets", {"metadata": {"name": "b"}})
    stock.client.call("DELETE", f"{path}/secrets/a")
    stock.until(lambda: used() == "0", "the count after a delete")


def test_tokens_of_accounts_are_good_in_the_cluster_alone(stock: Stock) -> None:
    about = {"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}}
    secrets = f"{BASE}/namespaces/default/secrets"
    stock.until(lambda: stock.has(f"{BASE}/namespaces/default/serviceaccounts/default"), "the account")
    kind = "kubernetes.io/service-account-token"
    stock.client.call("POST", secrets, {"metadata": about, "type": kind})

    def data() -> Object:
        found: Object = stock.client.call("GET", f"{secrets}/t").get("data") or {}
        return found

    stock.until(lambda: "token" in data(), "the token")
    token = base64.b64decode(data()["token"]).decode()

    def name(cluster: LogicalServer) -> str:
        review = {"spec": {"token": token}}
        with KubeClient(cluster.url, cluster.context()) as client:
            told = client.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        return str(told.get("user", {}).get("username", ""))

    assert name(stock.cluster) == "system:serviceaccount:default:default"
    assert {name(one) for one in stock.others.values()} == {""}


def test_custom_resources_are_collected(stock: Stock) -> None:
    names = {"plural": "toys", "kind": "Toy"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "play.example", "scope": "Namespaced", "names": names, "versions": [version]}
    stock.client.call("POST", CRDS, {"metadata": {"name": "toys.play.example"}, "spec": spec})
    path = "/apis/play.example/v1/namespaces/default/toys"
    stock.until(lambda: stock.has(path), "the definition")
    kind = {"apiVersion": "play.example/v1", "kind": "Toy"}
    box = stock.client.call("POST", path, kind | {"metadata": {"name": "box"}})
    owner = kind | {"name": "box", "uid": box["metadata"]["uid"]}
    for name in ("car", "doll"):
        about = {"name": name, "ownerReferences": [owner]}
        stock.client.call("POST", path, kind | {"metadata": about})
    maps = f"{BASE}/namespaces/default/configmaps"
    stock.client.call("POST", maps, {"metadata": {"name": "rules", "ownerReferences": [owner]}})
    stock.client.call("DELETE", f"{path}/box")
    for target in (f"{path}/car", f"{path}/doll", f"{maps}/rules"):
        stock.gone(target)


def test_sets_volumes_and_budgets(stock: Stock) -> None:
    path = stock.namespace("sets")
    size = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "",
    }
    stateful = {
        "replicas": 2,
        "serviceName": "db",
        **pods_of("db"),
        "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": size}],
    }
    sets = f"{APPS}/namespaces/sets"
    stock.client.call("POST", f"{sets}/statefulsets", {"metadata": {"name": "db"}, "spec": stateful})
    volume = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/v"},
        "claimRef": {"namespace": "sets", "name": "v-db-0"},
    }
    stock.client.call("POST", f"{BASE}/persistentvolumes", {"metadata": {"name": "v"}, "spec": volume})
    claim = f"{path}/persistentvolumeclaims/v-db-0"
    stock.until(lambda: (stock.has(claim) or {}).get("status", {}).get("phase") == "Bound", "the claim")
    stock.run("sets", "app=db", 1)
    stock.run("sets", "app=db", 2)
    budgets = "/apis/policy/v1/namespaces/sets/poddisruptionbudgets"
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}}
    stock.client.call("POST", budgets, {"metadata": {"name": "db"}, "spec": budget})

    def allowed() -> int:
        return int(
            (stock.client.call("GET", f"{budgets}/db").get("status") or {}).get("disruptionsAllowed", 0)
        )

    stock.until(lambda: allowed() == 1, "the budget")
    stock.client.call("POST", f"{sets}/daemonsets", {"metadata": {"name": "d"}, "spec": pods_of("d")})
    stock.until(lambda: stock.items(f"{path}/pods", "app=d"), "the pod of the node")


def test_the_others_know_nothing_of_it_and_it_was_refused_nothing(stock: Stock) -> None:
    for cluster in stock.others.values():
        with KubeClient(cluster.url, cluster.context()) as client:
            names = {one["metadata"]["name"] for one in client.call("GET", f"{BASE}/namespaces")["items"]}
            accounts = client.call("GET", f"{BASE}/namespaces/kube-system/serviceaccounts")["items"]
        assert names == {"default", "kube-node-lease", "kube-public", "kube-system"}
        assert not [one for one in accounts if one["metadata"]["name"].endswith("-controller")]
    log = stock.program.log.read_text(errors="replace")
    assert [line for line in log.splitlines() if REFUSED.search(line)] == []
