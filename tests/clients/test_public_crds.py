"""Custom resources of cert-manager, Gateway API, Argo CD,
the Prometheus operator and KEDA, as users use them."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from clients import public_crds
from clients.drivers import MANIFESTS, Kubectl, Raw

from pilothouse.testing.server import APIServer, Subprocess

pytestmark = [pytest.mark.slow, pytest.mark.kubectl, pytest.mark.timeout(300)]

Object = dict[str, Any]
Path = tuple[str | int, ...]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY = "application/apply-patch+yaml"
REFUSED = "FieldValueInvalid"
LISTED, TYPE, MISSING = "FieldValueNotSupported", "FieldValueTypeInvalid", "FieldValueRequired"


def steps(path: str) -> Path:
    """`spec.rules.0.name` as keys and indexes."""
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


def read(obj: Any, path: str) -> Any:
    for step in steps(path):
        obj = obj[step]
    return obj


def changed(obj: Object, path: str, value: Any) -> Object:
    """A copy with another value at a path; None takes the member away."""
    out = copy.deepcopy(obj)
    *outer, last = steps(path)
    inner: Any = out
    for step in outer:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return out


def holds(live: Any, sent: Any) -> bool:
    """Whether everything that was sent is there; defaults may have joined it."""
    if isinstance(sent, dict):
        return all(name in live and holds(live[name], value) for name, value in sent.items())
    if isinstance(sent, list):
        return len(live) == len(sent) and all(map(holds, live, sent))
    return bool(live == sent)


def cells(printed: str) -> dict[str, str]:
    """Heading and cell of each column of the one row that kubectl printed."""
    heading, row = printed.splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", heading)]
    ends = [*starts[1:], None]
    return {
        heading[start:end].strip(): row[start:end].strip() for start, end in zip(starts, ends, strict=True)
    }


@dataclass(frozen=True)
class Example:
    """The expectations of one object of the manifests."""

    file: str
    kind: str
    wrong: tuple[str, Any, str, str]
    """A path, a value that must not stand there, and field and reason of the cause that is told."""
    contested: tuple[str, Any]
    """A path, and what a second manager wants there."""
    defaults: dict[str, Any] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)
    """The cells that kubectl prints below the headings that are not NAME and AGE."""

    @property
    def object(self) -> Object:
        documents = yaml.safe_load_all((MANIFESTS / "public" / f"{self.file}.yaml").read_text())
        found: Object = next(document for document in documents if document["kind"] == self.kind)
        return found


SOLVER = "spec.acme.solvers.1.http01.gatewayHTTPRoute.parentRefs.0"
WAITING = {"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "Waiting for controller"}
EXAMPLES = [
    Example(
        "cert-manager",
        "ClusterIssuer",
        (f"{SOLVER}.port", 65536, "spec.acme.solvers[1].http01.gatewayHTTPRoute.parentRefs[0].port", REFUSED),
        ("spec.acme.email", "somebody@example.com"),
        {f"{SOLVER}.group": "gateway.networking.k8s.io", f"{SOLVER}.kind": "Gateway"},
    ),
    Example(
        "cert-manager",
        "Issuer",
        ("spec.ca.secretName", None, "spec.ca.secretName", MISSING),
        ("spec.ca.secretName", "other-ca"),
    ),
    Example(
        "cert-manager",
        "Certificate",
        ("spec.privateKey.algorithm", "DSA", "spec.privateKey.algorithm", LISTED),
        ("spec.dnsNames", ["other.example.com"]),
        printed={"SECRET": "shop-tls"},
    ),
    Example(
        "cert-manager",
        "CertificateRequest",
        ("spec.request", "no base64", "spec.request", TYPE),
        ("spec.duration", "720h"),
        printed={"ISSUER": "letsencrypt", "REQUESTER": "system:serviceaccount:cert-manager:cert-manager"},
    ),
    Example(
        "gateway-api",
        "GatewayClass",
        ("spec.controllerName", "no-domain", "spec.controllerName", REFUSED),
        ("spec.description", "Another"),
        {"status.conditions.0": {**WAITING, "lastTransitionTime": "1970-01-01T00:00:00Z"}},
        {"CONTROLLER": "example.com/gateway-controller", "ACCEPTED": "Unknown"},
    ),
    Example(
        "gateway-api",
        "Gateway",
        ("spec.listeners.0.port", 0, "spec.listeners[0].port", REFUSED),
        ("spec.listeners.1.hostname", "*.example.org"),
        {
            "spec.addresses.0.type": "IPAddress",
            "spec.listeners.0.allowedRoutes": {"namespaces": {"from": "Same"}},
            "spec.listeners.1.tls.mode": "Terminate",
            "spec.listeners.1.tls.certificateRefs.0": {"name": "shop-tls", "group": "", "kind": "Secret"},
        },
        {"CLASS": "example", "PROGRAMMED": "Unknown"},
    ),
    Example(
        "gateway-api",
        "HTTPRoute",
        ("spec.rules.0.matches.0.path.type", "Glob", "spec.rules[0].matches[0].path.type", LISTED),
        ("spec.hostnames", ["www.example.org"]),
        {
            "spec.parentRefs.0.kind": "Gateway",
            "spec.rules.0.matches.0.path": {"type": "PathPrefix", "value": "/cart"},
            "spec.rules.1.matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "spec.rules.1.backendRefs.0.weight": 1,
        },
        {"HOSTNAMES": '["shop.example.com","www.shop.example.com"]'},
    ),
    Example(
        "gateway-api",
        "GRPCRoute",
        ("spec.rules.0.backendRefs.0.weight", -1, "spec.rules[0].backendRefs[0].weight", REFUSED),
        ("spec.hostnames", ["stock.example.org"]),
        {"spec.rules.0.matches.0.method.type": "Exact", "spec.rules.0.backendRefs.0.kind": "Service"},
        {"HOSTNAMES": '["stock.example.com"]'},
    ),
    Example(
        "gateway-api",
        "ReferenceGrant",
        ("spec.from.0.namespace", "Edge", "spec.from[0].namespace", REFUSED),
        ("spec.to", [{"group": "", "kind": "ConfigMap"}]),
    ),
    Example(
        "argocd",
        "AppProject",
        ("spec.roles.0.name", None, "spec.roles[0].name", MISSING),
        ("spec.description", "Something else"),
    ),
    Example(
        "argocd",
        "Application",
        ("spec.destination.server", 5, "spec.destination.server", TYPE),
        ("spec.source.targetRevision", "next"),
    ),
    Example(
        "argocd",
        "ApplicationSet",
        (
            "spec.template.spec.syncPolicy.retry.limit",
            "5",
            "spec.template.spec.syncPolicy.retry.limit",
            TYPE,
        ),
        ("spec.template.spec.source.targetRevision", "next"),
    ),
    Example(
        "prometheus-operator",
        "Prometheus",
        ("spec.retention", "fifteen days", "spec.retention", REFUSED),
        ("spec.replicas", 3),
        {
            "spec.portName": "web",
            "spec.scrapeInterval": "30s",
            "spec.evaluationInterval": "30s",
            "spec.remoteWrite.0.basicAuth.username": {"name": "remote", "key": "user"},
        },
        {"VERSION": "v3.1.0", "REPLICAS": "2"},
    ),
    Example(
        "prometheus-operator",
        "Alertmanager",
        ("spec.replicas", "three", "spec.replicas", TYPE),
        ("spec.version", "v0.27.0"),
        {"spec.portName": "web", "spec.retention": "120h"},
        {"VERSION": "v0.28.0", "REPLICAS": "3"},
    ),
    Example(
        "prometheus-operator",
        "ServiceMonitor",
        ("spec.endpoints.0.scheme", "ftp", "spec.endpoints[0].scheme", LISTED),
        ("spec.endpoints", [{"port": "other"}]),
        {"spec.endpoints.0.relabelings.0.action": "replace"},
    ),
    Example(
        "prometheus-operator",
        "PodMonitor",
        ("spec.podMetricsEndpoints.0.interval", "1 minute", "spec.podMetricsEndpoints[0].interval", REFUSED),
        ("spec.podMetricsEndpoints.0.interval", "2m"),
    ),
    Example(
        "prometheus-operator",
        "PrometheusRule",
        ("spec.groups.0.rules.1.expr", True, "spec.groups[0].rules[1].expr", TYPE),
        ("spec.groups.0.interval", "2m"),
    ),
    Example(
        "prometheus-operator",
        "AlertmanagerConfig",
        ("spec.route.groupWait", "30 seconds", "spec.route.groupWait", REFUSED),
        ("spec.route.receiver", "nobody"),
        {"spec.receivers.0.slackConfigs.0.apiURL": {"name": "slack", "key": "url"}},
    ),
    Example(
        "keda",
        "TriggerAuthentication",
        ("spec.secretTargetRef.0.parameter", None, "spec.secretTargetRef[0].parameter", MISSING),
        ("spec.env.0.name", "OTHER"),
        printed={"SECRET": "rabbitmq", "ENV": "VHOST"},
    ),
    Example(
        "keda",
        "ClusterTriggerAuthentication",
        ("spec.podIdentity.provider", "aws-old", "spec.podIdentity.provider", LISTED),
        ("spec.podIdentity.identityOwner", "keda"),
        printed={"PODIDENTITY": "aws"},
    ),
    Example(
        "keda",
        "ScaledObject",
        ("spec.maxReplicaCount", 2**31, "<nil>", REFUSED),
        ("spec.maxReplicaCount", 30),
        printed={
            "SCALETARGETNAME": "worker",
            "MIN": "1",
            "MAX": "20",
            "TRIGGERS": "rabbitmq",
            "AUTHENTICATION": "queue",
        },
    ),
    Example(
        "keda",
        "ScaledJob",
        (
            "spec.jobTargetRef.template.spec.containers.0.resources.limits.memory",
            "many",
            "spec.jobTargetRef.template.spec.containers[0].resources.limits.memory",
            REFUSED,
        ),
        ("spec.jobTargetRef.template.spec.containers.0.image", "example.org/import:2"),
        {"spec.jobTargetRef.template.spec.containers.0.ports.0.protocol": "TCP"},
        {"MAX": "10", "TRIGGERS": "kafka"},
    ),
]


@pytest.fixture(scope="module")
def definitions(request: pytest.FixtureRequest) -> list[Object]:
    """Every definition of the package."""
    assert request.config.cache is not None
    try:
        return public_crds.definitions(public_crds.schemas(request.config.cache.mkdir("public-crds")))
    except public_crds.Unavailable as why:
        pytest.skip(f"no public definitions: {why}")


@pytest.fixture(scope="module")
def installed(definitions: list[Object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[APIServer]:
    """A server with all of them, applied by kubectl as their projects tell to, and a namespace."""
    home = tmp_path_factory.mktemp("home")
    file = home / "definitions.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": definitions}))
    with Subprocess(["--controllers=-*"]) as server:  # definitions are served without any controller too
        kubectl = Kubectl(server, home)
        said = kubectl(f"apply --server-side -f {file}").splitlines()
        assert len(said) == len(definitions) and all(line.endswith("serverside-applied") for line in said)
        kubectl("wait --for=condition=Established crd --all --timeout=10s")
        kubectl("create namespace public")
        yield server


@pytest.fixture
def kube(installed: APIServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(installed, tmp_path_factory.mktemp("home"))


@pytest.fixture
def raw(installed: APIServer) -> Iterator[Raw]:
    raw = Raw(installed)
    yield raw
    raw.connection.close()


def test_definitions_are_kept_as_sent(definitions: list[Object], raw: Raw) -> None:
    """Nothing of a schema is lost, and no name is refused."""
    stored = {item["metadata"]["name"]: item for item in raw.ok("GET", DEFINITIONS)["items"]}
    assert stored.keys() == {definition["metadata"]["name"] for definition in definitions}
    for definition in definitions:
        live = stored[definition["metadata"]["name"]]
        true = {c["type"] for c in live["status"]["conditions"] if c["status"] == "True"}
        assert {"NamesAccepted", "Established"} <= true
        for sent, kept in zip(definition["spec"]["versions"], live["spec"]["versions"], strict=True):
            assert kept["schema"] == sent["schema"]


def test_discovery_and_openapi_tell_of_them(definitions: list[Object], raw: Raw) -> None:
    index = raw.ok("GET", "/openapi/v3")["paths"]
    for definition in definitions:
        spec = definition["spec"]
        for version in spec["versions"]:
            place = f"apis/{spec['group']}/{version['name']}"
            listed = {entry["name"]: entry for entry in raw.ok("GET", f"/{place}")["resources"]}
            entry = listed[spec["names"]["plural"]]
            assert entry["kind"] == spec["names"]["kind"]
            assert entry.get("shortNames") == spec["names"].get("shortNames")
            assert entry["namespaced"] == (spec["scope"] == "Namespaced")
            below = {name.partition("/")[2] for name in listed if name.startswith(f"{entry['name']}/")}
            assert below == set(version.get("subresources", ()))
            document = raw.ok("GET", index[place]["serverRelativeURL"])
            kinds = [
                kind["kind"]
                for schema in document["components"]["schemas"].values()
                for kind in schema.get("x-kubernetes-group-version-kind", ())
                if kind["group"] == spec["group"] and kind["version"] == version["name"]
            ]
            assert spec["names"]["kind"] in kinds


def test_names_and_explanations(kube: Kubectl) -> None:
    kinds = {line.split()[-1] for line in kube("api-resources --categories=cert-manager").splitlines()[1:]}
    assert kinds == {"Certificate", "CertificateRequest", "Challenge", "ClusterIssuer", "Issuer", "Order"}
    assert "FIELD: algorithm <string>" in kube("explain cert.spec.privateKey.algorithm")
    assert "ENUM:" in kube("explain cert.spec.privateKey.algorithm")
    assert "scrapeInterval" in kube("explain prom.spec --recursive")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind.lower())
def test_an_object_of_each_kind(kube: Kubectl, raw: Raw, example: Example) -> None:
    obj = example.object
    name = obj["metadata"]["name"]
    resources = raw.ok("GET", f"/apis/{obj['apiVersion']}")["resources"]
    resource = next(entry for entry in resources if entry["kind"] == obj["kind"])
    inside = "namespaces/public/" if resource["namespaced"] else ""
    collection = f"/apis/{obj['apiVersion']}/{inside}{resource['name']}"

    # It is created, and has defaults.
    kube("create --validate=strict -f -", stdin=json.dumps(obj))
    live = raw.ok("GET", f"{collection}/{name}")
    assert holds(live, obj)
    assert {place: read(live, place) for place in example.defaults} == example.defaults

    # What is wrong or unknown is refused.
    where, value, named, reason = example.wrong
    other = changed(changed(obj, where, value), "metadata.name", "other")
    status, answer = raw("POST", f"{collection}?fieldValidation=Strict", other)
    assert status == 422, answer
    assert (named, reason) in [(cause["field"], cause["reason"]) for cause in answer["details"]["causes"]]
    other = changed(changed(obj, "spec.noSuchMember", 1), "metadata.name", "other")
    status, answer = raw("POST", f"{collection}?fieldValidation=Strict", other)
    assert status == 400 and 'unknown field "spec.noSuchMember"' in answer["message"], answer

    # It is printed in the columns of its kind.
    group = obj["apiVersion"].split("/")[0]
    row = cells(kube(f"-n public get {resource['name']}.{group} {name}"))
    columns = public_crds.COLUMNS.get(example.kind, (public_crds.AGE,))
    assert list(row) == ["NAME", *(title.upper() for title, _, _, priority in columns if priority == 0)]
    assert re.fullmatch(r"\d+s|\dm\d*s?", row.pop("AGE", "0s"))
    assert {title: cell for title, cell in row.items() if cell} == {"NAME": name, **example.printed}

    # One that is applied stays as it is when it is applied again, and belongs to who applied it.
    obj = changed(obj, "metadata.name", "applied")
    apply, path = "apply --server-side --field-manager=one -f -", f"{collection}/applied"
    kube(apply, stdin=json.dumps(obj))
    first = raw.ok("GET", path)
    if "status" in first:  # by default, and not yet stored: the next write stores it
        kube(apply, stdin=json.dumps(obj))
        stored = raw.ok("GET", path)
        assert stored["status"] == first["status"]
        assert stored["metadata"]["generation"] == first["metadata"]["generation"]
        first = stored
    kube(apply, stdin=json.dumps(obj))
    assert raw.ok("GET", path) == first
    other = changed(obj, *example.contested)
    status, answer = raw("PATCH", f"{path}?fieldManager=two", other, APPLY)
    assert status == 409 and re.search('conflicts? with "one"', answer["message"]), answer
    forced = raw.ok("PATCH", f"{path}?fieldManager=two&force=true", other, APPLY)
    assert holds(forced, other)
    assert forced["metadata"]["generation"] == first["metadata"]["generation"] + 1


def test_scale(kube: Kubectl, raw: Raw) -> None:
    kube("-n public scale alertmanager main --replicas=5")
    live = raw.ok("GET", "/apis/monitoring.coreos.com/v1/namespaces/public/alertmanagers/main")
    assert live["spec"]["replicas"] == 5


def test_other_versions_and_status(raw: Raw) -> None:
    """An object that was written in one version is read in another,
    and a controller reports in the status alone."""
    place = "/apis/gateway.networking.k8s.io/{}/namespaces/public/gateways/edge"
    old = raw.ok("GET", place.format("v1beta1"))
    assert old["apiVersion"] == "gateway.networking.k8s.io/v1beta1"
    address = {"status": {"addresses": [{"value": "192.0.2.10"}]}}
    raw.ok("PATCH", f"{place.format('v1')}/status", address, "application/merge-patch+json")
    live = raw.ok("GET", place.format("v1beta1"))
    assert live["status"]["addresses"] == [{"type": "IPAddress", "value": "192.0.2.10"}]
    assert live["spec"] == old["spec"] and live["metadata"]["generation"] == old["metadata"]["generation"]
