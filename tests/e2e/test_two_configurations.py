"""Two servers in one process with different configurations do not affect each other."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pilothouse.testing.server import InProcess

Object = dict[str, Any]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
PODS = "/api/v1/namespaces/default/pods"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Any


class Side:
    """One of the servers, as its administrator or as the user of a token sees it."""

    def __init__(self, server: InProcess, token: str) -> None:
        self.server = server
        self.token = token
        self._admin = server.context()

    def anonymous(self) -> ssl.SSLContext:
        """TLS settings of who trusts the server and shows no certificate."""
        return ssl.create_default_context(cafile=str(self.server.ca_file))

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Answer:
        headers = {"Content-Type": "application/json"}
        context = self._admin
        if token:
            headers["Authorization"] = f"Bearer {token}"
            context = self.anonymous()
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.server.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=15) as answer:
                found, status, told = answer.read(), answer.status, answer.headers
        except urllib.error.HTTPError as err:
            with err:
                found, status, told = err.read(), err.code, err.headers
        return Answer(status, json.loads(found) if found[:1] in b"{[" else found.decode(), told)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: Object) -> Answer:
        return self.ask("POST", path, body)


class Pair(NamedTuple):
    one: Side
    two: Side


FLAGS: tuple[tuple[str, ...], tuple[str, ...]] = (
    (
        "--allow-privileged",
        "--service-cluster-ip-range=10.1.0.0/24",
        "--service-node-port-range=30000-30009",
        "--disable-admission-plugins=PodTolerationRestriction,Priority",
        "--runtime-config=node.k8s.io/v1=false",
        "--cache-memory-mb=4",
        "--service-account-issuer=https://one.example.com",
    ),
    (
        "--service-cluster-ip-range=10.2.0.0/24",
        "--service-node-port-range=31000-31009",
        "--disable-admission-plugins=NamespaceLifecycle",
        "--runtime-config=batch/v1=false,autoscaling/v1=false",
        "--cache-memory-mb=32",
        "--authorization-mode=AlwaysAllow",
        "--anonymous-auth=false",
        "--service-account-issuer=https://two.example.com",
    ),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("tokens")
    for name in ("one", "two"):
        (folder / name).write_text(f"token-of-{name},user-of-{name},1,dev\n")
    one, two = (
        [*flags, f"--token-auth-file={folder / n}"] for n, flags in zip(("one", "two"), FLAGS, strict=True)
    )
    with InProcess(one) as first, InProcess(two) as second:
        yield Pair(Side(first, "token-of-one"), Side(second, "token-of-two"))


def pod(name: str, *, privileged: bool) -> Object:
    container = {"name": "c", "image": "i", "securityContext": {"privileged": privileged}}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


def template(privileged: bool) -> Object:
    return {"metadata": {"labels": {"a": "b"}}, "spec": pod("", privileged=privileged)["spec"]}


def workload(kind: str) -> tuple[str, Object]:
    """A path and an object with a privileged container in its template."""
    selector = {"matchLabels": {"a": "b"}}
    once = {**template(True), "spec": {**template(True)["spec"], "restartPolicy": "Never"}}
    apps, batch = "/apis/apps/v1/namespaces/default", "/apis/batch/v1/namespaces/default"
    path, spec = {
        "PodTemplate": ("/api/v1/namespaces/default/podtemplates", {}),
        "ReplicationController": (
            "/api/v1/namespaces/default/replicationcontrollers",
            {"selector": {"a": "b"}, "template": template(True)},
        ),
        "Deployment": (f"{apps}/deployments", {"selector": selector, "template": template(True)}),
        "ReplicaSet": (f"{apps}/replicasets", {"selector": selector, "template": template(True)}),
        "DaemonSet": (f"{apps}/daemonsets", {"selector": selector, "template": template(True)}),
        "StatefulSet": (
            f"{apps}/statefulsets",
            {"serviceName": "s", "selector": selector, "template": template(True)},
        ),
        "Job": (f"{batch}/jobs", {"template": once}),
        "CronJob": (
            f"{batch}/cronjobs",
            {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": once}}},
        ),
    }[kind]
    out: Object = {"metadata": {"name": kind.lower()}}
    return path, out | ({"template": template(True)} if kind == "PodTemplate" else {"spec": spec})


def test_privileged_pods(pair: Pair) -> None:
    assert pair.one.post(PODS, pod("privileged", privileged=True)).status == 201
    answer = pair.two.post(PODS, pod("privileged", privileged=True))
    assert answer.status == 422
    assert answer.body["details"]["causes"][0]["message"] == "Forbidden: disallowed by cluster policy"
    assert pair.one.post(PODS, pod("once-more", privileged=True)).status == 201


@pytest.mark.parametrize(
    "kind", ["PodTemplate", "ReplicationController", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"]
)
def test_privileged_templates(pair: Pair, kind: str) -> None:
    path, obj = workload(kind)
    made = pair.one.post(path, obj)
    assert made.status == 201, made.body
    changed = made.body | {"metadata": made.body["metadata"] | {"labels": {"x": "y"}}}
    assert pair.one.ask("PUT", f"{path}/{kind.lower()}", changed).status == 200
    refused = pair.two.post(path, obj)
    assert refused.status == 422 and "disallowed by cluster policy" in refused.body["message"]


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_privileged_jobs(pair: Pair, kind: str) -> None:
    path, obj = workload(kind)
    assert pair.one.post(path, obj).status == 201
    assert pair.two.post(path, obj).status == 404  # batch/v1 is off there


def definition(field: str, kind: str, versions: tuple[str, ...]) -> Object:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {field: {"type": kind}}}},
    }
    return {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [
                {
                    "name": v,
                    "served": True,
                    "storage": v == versions[0],
                    "schema": {"openAPIV3Schema": schema},
                }
                for v in versions
            ],
        },
    }


def until(found: Callable[[], bool]) -> None:
    """Ask until it is so; each question is a request, so no pause is needed."""
    for _ in range(2000):
        if found():
            return
    raise AssertionError("it never came")


def test_definitions_of_the_same_kind(pair: Pair) -> None:
    for side, made in (
        (pair.one, definition("size", "integer", ("v1",))),
        (pair.two, definition("color", "string", ("v1", "v2"))),
    ):
        answer = side.post(DEFINITIONS, made)
        assert answer.status == 201, answer.body
        until(lambda side=side: side.get(WIDGETS).status == 200)  # type: ignore[misc]
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": 3, "color": "red"},
    }
    assert pair.one.post(WIDGETS, widget).body["spec"] == {"size": 3}
    assert pair.two.post(WIDGETS, widget).body["spec"] == {"color": "red"}
    second = WIDGETS.replace("v1/", "v2/")
    assert pair.one.get(second).status == 404
    assert pair.two.get(f"{second}/w").body["apiVersion"] == "example.com/v2"
    documents = [side.get("/openapi/v3").body["paths"] for side in pair]
    names = [{name for name in found if "example.com" in name} for found in documents]
    assert names == [{"apis/example.com/v1"}, {"apis/example.com/v1", "apis/example.com/v2"}]
    assert pair.one.ask("DELETE", f"{DEFINITIONS}/widgets.example.com").status == 200
    until(lambda: pair.one.get(WIDGETS).status == 404)
    assert pair.two.get(f"{WIDGETS}/w").status == 200


def test_versions_that_are_served(pair: Pair) -> None:
    assert [side.get("/apis/node.k8s.io/v1").status for side in pair] == [404, 200]
    assert [side.get("/apis/autoscaling/v1").status for side in pair] == [200, 404]
    assert [side.get("/apis/batch/v1").status for side in pair] == [200, 404]


def test_managed_fields_of_a_version_that_one_server_does_not_serve(pair: Pair) -> None:
    """Records and what they know of each other are the same on both servers."""
    scaler = {
        "metadata": {"name": "h"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
        },
    }
    older = {
        "manager": "old",
        "operation": "Update",
        "apiVersion": "autoscaling/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:maxReplicas": {}}},
    }
    for side in pair:
        live = side.post(AUTOSCALERS, scaler).body
        live["metadata"]["managedFields"].append(older)
        live["metadata"]["labels"] = {"a": "b"}
        assert side.ask("PUT", f"{AUTOSCALERS}/h", live).status == 200
        owners = {
            entry["manager"] for entry in side.get(f"{AUTOSCALERS}/h").body["metadata"]["managedFields"]
        }
        assert "old" in owners


def test_admission_plugins(pair: Pair) -> None:
    maps = "/api/v1/namespaces/nowhere/configmaps"
    assert [side.post(maps, {"metadata": {"name": "c"}}).status for side in pair] == [404, 201]
    plain = [side.post(PODS, pod("plain", privileged=False)).body["spec"] for side in pair]
    assert ["priority" in spec for spec in plain] == [False, True]


def test_service_ranges(pair: Pair) -> None:
    services = "/api/v1/namespaces/default/services"
    made = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    specs = [side.post(services, made).body["spec"] for side in pair]
    assert [spec["clusterIP"].rpartition(".")[0] for spec in specs] == ["10.1.0", "10.2.0"]
    assert [spec["ports"][0]["nodePort"] // 1000 for spec in specs] == [30, 31]
    addresses = "/apis/networking.k8s.io/v1/ipaddresses"
    for side, spec, other in zip(pair, specs, reversed(specs), strict=True):
        assert side.get(f"{addresses}/{spec['clusterIP']}").status == 200
        assert side.get(f"{addresses}/{other['clusterIP']}").status == 404


def test_credentials(pair: Pair) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    for side, other, status in ((pair.one, pair.two, 403), (pair.two, pair.one, 200)):
        assert side.ask("GET", path, token=side.token).status == status  # RBAC here, AlwaysAllow there
        assert side.ask("GET", path, token=other.token).status == 401
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(side.server.url, context=other.anonymous(), timeout=15)


def test_tokens_of_service_accounts(pair: Pair) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    tokens = [side.post(path, {"spec": {}}).body["status"]["token"] for side in pair]
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    for i, side in enumerate(pair):
        assert side.ask("POST", review, {}, token=tokens[i]).status == 201
        assert side.ask("POST", review, {}, token=tokens[1 - i]).status == 401


def test_flow_schemas(pair: Pair) -> None:
    schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
    rule = {
        "subjects": [{"kind": "Group", "group": {"name": "dev"}}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/version"]}],
    }
    spec = {"matchingPrecedence": 2, "priorityLevelConfiguration": {"name": "workload-low"}, "rules": [rule]}
    made = pair.one.post(schemas, {"metadata": {"name": "first"}, "spec": spec})
    assert made.status == 201, made.body
    uid = made.body["metadata"]["uid"]
    header = "X-Kubernetes-Pf-Flowschema-Uid"
    until(lambda: pair.one.ask("GET", "/version", token=pair.one.token).headers[header] == uid)
    assert pair.two.ask("GET", "/version", token=pair.two.token).headers[header] != uid


def test_metrics_and_caches(pair: Pair) -> None:
    def count(side: Side) -> int:
        lines = side.get("/metrics").body.splitlines()
        found = [line for line in lines if "apiserver_request_total{" in line and 'resource="leases"' in line]
        return sum(int(float(line.rpartition(" ")[2])) for line in found if 'verb="LIST"' in line)

    before = [count(side) for side in pair]
    for _ in range(5):
        pair.one.get("/apis/coordination.k8s.io/v1/namespaces/kube-public/leases")
    after = [count(side) for side in pair]
    assert after[0] >= before[0] + 5
    assert after[1] < before[1] + 5
    assert [side.server._server.host.caches.total >> 20 for side in pair] == [4, 32]


def test_a_pod_that_another_server_found_valid_is_judged_anew() -> None:
    """A store that was copied: the pod has its UID here too,
    and what is allowed there is not allowed here."""
    flags = ["--controllers=-*", "--disable-admission-plugins=ServiceAccount"]
    with InProcess(["--allow-privileged", *flags]) as one, InProcess(flags) as two:
        sides = Side(one, ""), Side(two, "")
        made = sides[0].post(PODS, pod("p", privileged=True)).body
        copied = one.run(one._server.cluster.registry.storage.get("/registry/pods/default/p"))
        two.run(two._server.cluster.registry.storage.create("/registry/pods/default/p", copied.value))
        two.run(two._server.cluster.registry.cacher.wait_for(two._server.cluster.registry.storage.revision))
        path = f"{PODS}/p"
        for side, status in zip(sides, (200, 422), strict=True):
            live = side.get(path).body
            assert live["metadata"]["uid"] == made["metadata"]["uid"]
            live["metadata"]["labels"] = {"a": "b"}
            assert side.ask("PUT", path, live).status == status
