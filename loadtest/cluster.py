"""The requests of a real cluster to its API server: kubelets, controllers, people,
and those who overdo it. For Locust.

usage: make load-ha (against `make ha`), or
       locust -f loadtest/cluster.py --headless -u 40 -r 10 -t 60s [Kubelet Controller ...]
Names of user classes choose a mix. The bounds of locustfile.py hold: loopback, few users, one namespace.
"""

import json
import random
import time
from typing import Any

from locust import HttpUser, between, constant, task
from locustfile import NAMESPACE, SETTINGS

API = f"/api/v1/namespaces/{NAMESPACE}"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = {"Content-Type": "application/merge-patch+json"}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
LONGEST_WATCH = 20


class Someone(HttpUser):
    """A client with the administrator's certificate."""

    abstract = True
    host = SETTINGS["server"]

    def on_start(self) -> None:
        self.client.verify, self.client.cert = SETTINGS["ca"], SETTINGS["cert"]
        self.id = f"{random.getrandbits(40):010x}"

    def put_away(self, path: str) -> None:
        self.client.delete(path, name="clean up")

    def watch(self, path: str, name: str, pause: float = 0.0) -> int:
        """Read a watch of some seconds to its end; how many events came."""
        seconds = random.randint(5, LONGEST_WATCH)
        sign = "&" if "?" in path else "?"
        url = f"{path}{sign}watch=1&allowWatchBookmarks=1&timeoutSeconds={seconds}"
        count = 0
        with self.client.get(url, name=name, stream=True, catch_response=True) as answer:
            for line in answer.iter_lines():
                if json.loads(line)["type"] == "ERROR":
                    answer.failure(line.decode())
                    break
                count += 1
                if pause:
                    time.sleep(pause)
        return count


class Kubelet(Someone):
    """A node: renews its lease every ten seconds and its status every minute, sped up tenfold."""

    weight = 10
    wait_time = constant(1)

    def on_start(self) -> None:
        super().on_start()
        self.name = f"load-{self.id}"
        self.client.post("/api/v1/nodes", json={"metadata": {"name": self.name}}, name="node: join")
        lease = {"metadata": {"name": self.name}, "spec": {"holderIdentity": self.name}}
        self.client.post(LEASES, json=lease, name="node: lease")

    def on_stop(self) -> None:
        self.put_away(f"/api/v1/nodes/{self.name}")
        self.put_away(f"{LEASES}/{self.name}")

    @task(6)
    def renew(self) -> None:
        spec = {"spec": {"renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())}}
        self.client.patch(f"{LEASES}/{self.name}", json=spec, headers=MERGE, name="node: renew")

    @task(1)
    def status(self) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "reason": "KubeletReady"}
        body = {"status": {"conditions": [condition]}}
        path = f"/api/v1/nodes/{self.name}/status"
        self.client.patch(path, json=body, headers=MERGE, name="node: status")

    @task(2)
    def pods(self) -> None:
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}&resourceVersion=0"
        self.client.get(path, name="node: my pods")


class Controller(Someone):
    """Lists once, watches from there, and writes a status now and then."""

    weight = 4
    wait_time = constant(0)

    @task
    def list_and_watch(self) -> None:
        answer = self.client.get(f"{API}/configmaps?limit=500&resourceVersion=0", name="controller: list")
        if answer.ok:
            since = answer.json()["metadata"]["resourceVersion"]
            self.watch(f"{API}/configmaps?resourceVersion={since}", "controller: watch")


class Kubectl(Someone):
    """A person: tables, one object, an edit, discovery."""

    weight = 4
    wait_time = between(0.5, 2)

    @task(4)
    def get(self) -> None:
        self.client.get(f"{API}/configmaps?limit=500", headers=TABLE, name="kubectl: get")

    @task(1)
    def discovery(self) -> None:
        self.client.get("/apis", name="kubectl: discovery")
        self.client.get("/openapi/v3", name="kubectl: schema")

    @task(3)
    def edit(self) -> None:
        path = f"{API}/configmaps/{self.id}"
        query = "?fieldManager=kubectl&force=true"
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.id}}
        body["data"] = {"at": str(time.time()), "text": "x" * 500}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        self.client.patch(path + query, data=json.dumps(body), headers=headers, name="kubectl: apply")


class ListStorm(Someone):
    """Everybody has restarted and lists everything, without a version."""

    weight = 2
    wait_time = between(0.1, 0.5)

    @task
    def everything(self) -> None:
        kind = random.choice(("configmaps", "pods", "secrets", "serviceaccounts", "events"))
        self.client.get(f"/api/v1/{kind}", name="storm: list")


class WatchFanOut(Someone):
    """Many watch the same."""

    weight = 8
    wait_time = constant(0)

    @task
    def all_of_it(self) -> None:
        self.watch("/api/v1/configmaps", "fan-out: watch")


class SlowReader(Someone):
    """Takes its time with every event; the server must not keep its backlog for ever."""

    weight = 1
    wait_time = constant(0)

    @task
    def slowly(self) -> None:
        self.watch("/api/v1/configmaps", "slow: watch", pause=0.2)


class CrdFlood(Someone):
    """Makes a kind, uses it, takes it away."""

    weight = 1
    wait_time = between(1, 3)

    @task
    def one_kind(self) -> None:
        plural, group = f"things{self.id}", "load.example.com"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        kind = f"Thing{self.id}"
        names = {"plural": plural, "singular": plural, "kind": kind, "listKind": f"{kind}List"}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        body = {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}
        if not self.client.post(CRDS, json=body, name="crd: make").ok:
            return
        path = f"/apis/{group}/v1/namespaces/{NAMESPACE}/{plural}"
        for _ in range(50):
            with self.client.get(path, name="crd: wait", catch_response=True) as answer:
                answer.success()
                if answer.status_code == 200:
                    break
            time.sleep(0.1)
        for number in range(10):
            obj = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": f"a{number}"}}
            self.client.post(path, json=obj, name="crd: object")
        self.put_away(f"{CRDS}/{plural}.{group}")
