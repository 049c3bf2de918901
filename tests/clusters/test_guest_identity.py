"""A cluster reaches other servers as nobody: its users choose the addresses, this server's own among them."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from backend import own_address
from clusters.rig import DOMAIN, MAPS, ClusterRig
from clusters.wire import Connection
from cryptography import x509
from cryptography.x509.oid import NameOID
from eventually import aeventually

ADDRESS = own_address()
TENANT = "ident-a"
HOOKS = "/apis/admissionregistration.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
SERVICE = {"namespace": "default", "name": "outside"}


class Recorder:
    """A TLS server that notes which client certificate each connection shows: common names, "" for none."""

    def __init__(self, rig: ClusterRig) -> None:
        self.rig = rig
        self.port = 0
        self.shown: list[str] = []
        self.heads: list[str] = []
        """The heads of the requests, in the same order."""
        self._server: asyncio.Server

    async def start(self) -> None:
        hosts = [ADDRESS, "127.0.0.1", "localhost", "outside.default.svc"]
        cert, key = self.rig.authority().issue("recorder", hosts=hosts, server=True)
        path = self.rig.data / f"recorder-{id(self)}.pem"
        path.write_bytes(cert + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.verify_mode = ssl.CERT_OPTIONAL
        for ca in ("ca.crt", "front-proxy-ca.crt"):
            context.load_verify_locations(self.rig.data / ca)
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        name = ""
        if certificate:
            subject = x509.load_der_x509_certificate(certificate).subject
            name = str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            self.shown.append(name)
            writer.write(
                b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()


@pytest.fixture(scope="module")
def recorders(runner: asyncio.Runner, rig: ClusterRig) -> Iterator[dict[str, Recorder]]:
    """One for the tenant and one for the root: requests of one may come late."""
    recorders = {name: Recorder(rig) for name in (TENANT, "")}

    async def begin() -> None:
        await rig.make(TENANT)
        for cluster, recorder in recorders.items():
            await recorder.start()
            await outfit(recorder, cluster)

    runner.run(begin())
    yield recorders
    for recorder in recorders.values():
        recorder.stop()


async def outfit(recorder: Recorder, cluster: str) -> None:
    """Make a service that leads outside, and a node and a pod with the recorder's address."""
    rig, port = recorder.rig, recorder.port
    spec: Any = {"type": "ExternalName", "externalName": "localhost"}
    await rig.ok("POST", SERVICES, {"metadata": {"name": "outside"}, "spec": spec}, cluster=cluster)
    spec = {"ports": [{"port": port}]}
    await rig.ok("POST", SERVICES, {"metadata": {"name": "inside"}, "spec": spec}, cluster=cluster)
    subset = {"addresses": [{"ip": ADDRESS}], "ports": [{"port": port}]}
    path = SERVICES.replace("services", "endpoints")
    await rig.ok("POST", path, {"metadata": {"name": "inside"}, "subsets": [subset]}, cluster=cluster)
    slice_ = {
        "metadata": {"name": "inside-1", "labels": {"kubernetes.io/service-name": "inside"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS]}],
        "ports": [{"port": port, "name": ""}],
    }
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    await rig.ok("POST", path, slice_, cluster=cluster)
    status = {
        "addresses": [{"type": "InternalIP", "address": ADDRESS}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}, "status": status}, cluster=cluster)
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": "n1"}
    await rig.ok("POST", PODS, {"metadata": {"name": "p"}, "spec": spec}, cluster=cluster)
    live = await rig.ok("GET", f"{PODS}/p", cluster=cluster)
    live["status"] = {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}], "phase": "Running"}
    await rig.ok("PUT", f"{PODS}/p/status", live, cluster=cluster)


Way = Callable[[Recorder, str], Awaitable[Any]]


async def _hook(recorder: Recorder, cluster: str, kind: str, client: Any) -> None:
    rig = recorder.rig
    bundle = base64.b64encode((rig.data / "ca.crt").read_bytes()).decode()
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    hook = {
        "name": "hook.example.com",
        "clientConfig": {"caBundle": bundle} | client,
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    path = f"{HOOKS}/{kind.lower()}s"
    made = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "h"}}
    await rig.ok("POST", path, made | {"webhooks": [hook]}, cluster=cluster)
    try:
        await asked(recorder, lambda: rig.keep(cluster, "hooked", n=str(len(recorder.shown))))
    finally:
        await rig.ok("DELETE", f"{path}/h", cluster=cluster)


async def validating_by_url(recorder: Recorder, cluster: str) -> None:
    client = {"url": f"https://127.0.0.1:{recorder.port}/"}
    await _hook(recorder, cluster, "ValidatingWebhookConfiguration", client)


async def mutating_by_service(recorder: Recorder, cluster: str) -> None:
    client = {"service": SERVICE | {"port": recorder.port}}
    await _hook(recorder, cluster, "MutatingWebhookConfiguration", client)


async def api_service(recorder: Recorder, cluster: str) -> None:
    group = f"{cluster or 'root'}.remote.example"
    spec = {
        "group": group,
        "version": "v1",
        "service": SERVICE | {"port": recorder.port},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 1000,
        "versionPriority": 10,
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    made = {"metadata": {"name": f"v1.{group}"}, "spec": spec}
    await recorder.rig.ok("POST", path, made, cluster=cluster)
    try:
        await asked(recorder, lambda: recorder.rig.call("GET", f"/apis/{group}/v1/things", cluster=cluster))
    finally:
        await recorder.rig.ok("DELETE", f"{path}/v1.{group}", cluster=cluster)


async def node_proxy(recorder: Recorder, cluster: str) -> None:
    await asked(recorder, lambda: recorder.rig.call("GET", "/api/v1/nodes/n1/proxy/pods", cluster=cluster))


async def node_port_proxy(recorder: Recorder, cluster: str) -> None:
    path = f"/api/v1/nodes/https:n1:{recorder.port}/proxy/pods"
    await asked(recorder, lambda: recorder.rig.call("GET", path, cluster=cluster))


async def log(recorder: Recorder, cluster: str) -> None:
    await asked(recorder, lambda: recorder.rig.call("GET", f"{PODS}/p/log", cluster=cluster))


async def insecure_log(recorder: Recorder, cluster: str) -> None:
    path = f"{PODS}/p/log?insecureSkipTLSVerifyBackend=true"
    await asked(recorder, lambda: recorder.rig.call("GET", path, cluster=cluster))


async def execution(recorder: Recorder, cluster: str) -> None:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
        "sec-websocket-protocol": "v5.channel.k8s.io",
    }
    path = f"{PODS}/p/exec?command=id&stdout=true"
    prefix, rig = f"/clusters/{cluster}" if cluster else "", recorder.rig

    async def call() -> None:
        async with Connection(rig.port, rig.context(rig.identity(cluster))) as connection:
            await connection.send("GET", prefix + path, headers=headers)
            await connection.answer()

    await asked(recorder, call)


async def pod_proxy(recorder: Recorder, cluster: str) -> None:
    path = f"{PODS}/https:p:{recorder.port}/proxy/x"
    await asked(recorder, lambda: recorder.rig.call("GET", path, cluster=cluster))


async def service_proxy(recorder: Recorder, cluster: str) -> None:
    path = f"{SERVICES}/https:inside:{recorder.port}/proxy/x"
    await asked(recorder, lambda: recorder.rig.call("GET", path, cluster=cluster))


async def conversion(recorder: Recorder, cluster: str) -> None:
    rig = recorder.rig
    bundle = base64.b64encode((rig.data / "ca.crt").read_bytes()).decode()
    schema = {"openAPIV3Schema": {"type": "object"}}
    client = {"caBundle": bundle, "url": f"https://127.0.0.1:{recorder.port}/"}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v2")
    ]
    spec = {
        "group": "convert.example",
        "scope": "Cluster",
        "names": {"plural": "cars", "kind": "Car"},
        "versions": versions,
        "conversion": {
            "strategy": "Webhook",
            "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await rig.ok("POST", path, {"metadata": {"name": "cars.convert.example"}, "spec": spec}, cluster=cluster)
    body = {"apiVersion": "convert.example/v2", "kind": "Car", "metadata": {"name": "c"}}
    await asked(recorder, lambda: rig.call("POST", "/apis/convert.example/v2/cars", body, cluster=cluster))


async def asked(recorder: Recorder, call: Callable[[], Awaitable[Any]]) -> None:
    """Call until the recorder has been asked."""
    before = len(recorder.shown)

    async def reached() -> bool:
        await call()
        return len(recorder.shown) > before

    await aeventually(reached, "a request")


KUBELET, PROXY = "kube-apiserver-kubelet-client", "front-proxy-client"


@pytest.mark.parametrize(
    ("way", "root"),
    [
        (validating_by_url, ""),
        (mutating_by_service, ""),
        (conversion, ""),
        (api_service, PROXY),
        (node_proxy, KUBELET),
        (node_port_proxy, KUBELET),
        (log, KUBELET),
        (insecure_log, KUBELET),
        (execution, KUBELET),
        (pod_proxy, ""),
        (service_proxy, ""),
    ],
)
async def test_a_cluster_shows_no_certificate(recorders: dict[str, Recorder], way: Way, root: str) -> None:
    before = len(recorders[""].shown)
    await way(recorders[""], "")
    assert root in recorders[""].shown[before:]  # the root shows what it has: the recorder sees it
    recorder = recorders[TENANT]
    await way(recorder, TENANT)
    assert set(recorder.shown) == {""}, recorder.heads
    assert not any("authorization:" in head.lower() for head in recorder.heads)


async def test_a_clusters_aggregation_is_no_front_proxy_of_the_root(
    recorders: dict[str, Recorder], rig: ClusterRig
) -> None:
    """An aggregated server may be this server itself: the tenant's name does not count there."""
    spec = {
        "group": "rbac.loop.example",
        "version": "v1",
        "service": SERVICE | {"port": rig.port},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 1000,
        "versionPriority": 10,
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    made = {"metadata": {"name": "v1.rbac.loop.example"}, "spec": spec}
    await rig.ok("POST", path, made, cluster=TENANT)

    async def judged() -> Any:
        live = await rig.ok("GET", f"{path}/v1.rbac.loop.example", cluster=TENANT)
        conditions = (live.get("status") or {}).get("conditions") or [{}]
        return "bad status" in conditions[0].get("message", "") and conditions[0]["message"]

    message = await aeventually(judged, "an answer")
    assert "403" in message
    assert (await rig.call("GET", MAPS, cluster=TENANT)).status == 200


async def test_pages_of_clusters_that_share_an_origin_have_none(
    recorders: dict[str, Recorder], rig: ClusterRig
) -> None:
    """A page of a tenant is no page of the console, nor of another cluster: they have one address."""
    path = f"{PODS}/https:p:{{}}/proxy/x"
    page = await rig.call("GET", path.format(recorders[TENANT].port), cluster=TENANT)
    assert page.status == 503  # the answer of the recorder
    assert page.headers["content-security-policy"].startswith("sandbox ")
    by_kubectl = await rig.call(
        "GET", path.format(recorders[TENANT].port), cluster=TENANT, x_forwarded_for="127.0.0.1"
    )
    assert "content-security-policy" not in by_kubectl.headers
    named = await rig.send(
        "GET",
        path.format(recorders[TENANT].port),
        identity=rig.identity(TENANT),
        host=f"{TENANT}.{DOMAIN}",
    )
    assert named.status == 503
    assert "content-security-policy" not in named.headers
    own = await rig.call("GET", path.format(recorders[""].port))
    assert own.status == 503
    assert "content-security-policy" not in own.headers
