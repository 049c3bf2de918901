"""A server whose files change while it serves:
each kind comes into force, and each broken one changes nothing."""

import base64
import http.client
import http.server
import json
import pathlib
import signal
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eventually import eventually
from front_proxy import HEADERS

from pilothouse.pki import CertificateAuthority, pem
from pilothouse.reload import POLL
from pilothouse.testing.server import InProcess, Subprocess

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
PODS = "/api/v1/namespaces/default/pods"
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
TRUST = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


class Service(http.server.ThreadingHTTPServer):
    """A webhook for tokens, access and audit, which knows one user: the token and the name are `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.events: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mine, spec = self.server.name, sent.get("spec") or {}
        if sent["kind"] == "TokenReview":
            sent["status"] = {"authenticated": spec["token"] == mine, "user": {"username": mine}}
        elif sent["kind"] == "SubjectAccessReview":
            sent["status"] = {"allowed": spec["user"] == mine}
        else:
            self.server.events += [event["auditID"] for event in sent["items"]]
        body = json.dumps(sent).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def kubeconfig(service: Service) -> str:
    cluster = {"server": f"http://127.0.0.1:{service.server_address[1]}/"}
    return json.dumps(
        {
            "current-context": "w",
            "contexts": [{"name": "w", "context": {"cluster": "w"}}],
            "clusters": [{"name": "w", "cluster": cluster}],
        }
    )


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Service, Service]]:
    both = Service("one"), Service("two")
    threads = [threading.Thread(target=one.serve_forever) for one in both]
    for thread in threads:
        thread.start()
    yield both
    for one, thread in zip(both, threads, strict=True):
        one.shutdown()
        thread.join()
        one.server_close()


def document(kind: str, group: str = "apiserver.config.k8s.io/v1", **members: Any) -> str:
    return json.dumps({"apiVersion": group, "kind": kind, **members})


def audit_policy(level: str) -> str:
    return document("Policy", "audit.k8s.io/v1", rules=[{"level": level}])


def encryption(name: str, *others: str) -> str:
    keys = [{"name": one, "secret": base64.b64encode(b"k" * 32).decode()} for one in (name, *others)]
    rule = {"resources": ["secrets"], "providers": [{"aesgcm": {"keys": keys}}, {"identity": {}}]}
    return document("EncryptionConfiguration", resources=[rule])


def pod_security(level: str) -> str:
    return document(
        "PodSecurityConfiguration", "pod-security.admission.config.k8s.io/v1", defaults={"enforce": level}
    )


def abac(user: str) -> str:
    return json.dumps({"user": user, "resource": "*", "namespace": "*", "apiGroup": "*"}) + "\n"


class Site:
    """The server and its files, by name in `folder`."""

    def __init__(self, folder: pathlib.Path, service: Service) -> None:
        self.folder = folder
        self.authority = CertificateAuthority.create("clients")
        self.proxies = CertificateAuthority.create("proxies")
        self.serving = CertificateAuthority.create("serving")
        for name, text in (
            ("tokens.csv", "first,jane,1,system:masters\n"),
            ("audit.yaml", audit_policy("Metadata")),
            ("encryption.yaml", encryption("a")),
            ("pod-security.yaml", pod_security("privileged")),
            ("abac.jsonl", abac("nobody")),
            ("authn.kubeconfig", kubeconfig(service)),
            ("authz.kubeconfig", kubeconfig(service)),
            ("audit.kubeconfig", kubeconfig(service)),
            ("kubelet-ca.crt", pem(self.serving.certificate).decode()),
            ("clients.crt", pem(self.authority.certificate).decode()),
            ("proxies.crt", pem(self.proxies.certificate).decode()),
            (
                "admission.yaml",
                document(
                    "AdmissionConfiguration", plugins=[{"name": "PodSecurity", "path": "pod-security.yaml"}]
                ),
            ),
        ):
            (folder / name).write_text(text)
        self.pair("server", "localhost", "first")
        self.pair("sni", "sni.example", "first")
        self.server = InProcess(self.flags())

    def flags(self) -> list[str]:
        at = self.folder
        return [
            f"--tls-cert-file={at}/server.crt",
            f"--tls-private-key-file={at}/server.key",
            f"--tls-sni-cert-key={at}/sni.crt,{at}/sni.key",
            f"--client-ca-file={at}/clients.crt",
            f"--requestheader-client-ca-file={at}/proxies.crt",
            *(f"--requestheader-{name}=X-Remote-{value}" for name, value in HEADERS),
            f"--token-auth-file={at}/tokens.csv",
            f"--audit-policy-file={at}/audit.yaml",
            f"--audit-log-path={at}/audit.log",
            f"--audit-webhook-config-file={at}/audit.kubeconfig",
            "--audit-webhook-batch-max-wait=10ms",
            f"--authentication-token-webhook-config-file={at}/authn.kubeconfig",
            "--authorization-mode=Node,RBAC,ABAC,Webhook",
            f"--authorization-policy-file={at}/abac.jsonl",
            f"--authorization-webhook-config-file={at}/authz.kubeconfig",
            f"--admission-control-config-file={at}/admission.yaml",
            f"--encryption-provider-config={at}/encryption.yaml",
            "--encryption-provider-config-automatic-reload",
            f"--kubelet-certificate-authority={at}/kubelet-ca.crt",
        ]

    def pair(self, name: str, host: str, common: str) -> None:
        """Write a certificate of the listener and its key."""
        cert, key = self.serving.issue(common, hosts=[host], server=True)
        for suffix, data in (("crt", cert), ("key", key)):
            (self.folder / f"{name}.{suffix}").write_bytes(data)

    # Changes

    @property
    def reloads(self) -> Any:
        return self.server._server.host.reloads

    def count(self, kind: str, status: str) -> int:
        return int(self.reloads.total.values.get((kind, status), 0))

    def change(self, kind: str, write: Callable[[], object], status: str = "success") -> None:
        """Change files, ask for a look as SIGHUP does, and wait for its outcome."""
        before = self.count(kind, status)
        write()
        self.server._loop.call_soon_threadsafe(self.server._server.reload)
        eventually(lambda: self.count(kind, status) > before, f"{status} of {kind}")

    def put(self, kind: str, name: str, text: str, status: str = "success") -> None:
        self.change(kind, lambda: (self.folder / name).write_text(text), status)

    # Requests

    def context(self, issued: tuple[bytes, bytes] | None = None) -> ssl.SSLContext:
        made = ssl.create_default_context(cadata=pem(self.serving.certificate).decode())
        made.check_hostname = False
        if issued is not None:
            path = self.folder / "client.pem"
            path.write_bytes(b"".join(issued))
            made.load_cert_chain(path)
        return made

    def connection(self, issued: tuple[bytes, bytes] | None = None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "127.0.0.1", self.server.port, context=self.context(issued), timeout=10
        )

    def ask(
        self,
        token: str = "",
        path: str = REVIEW,
        body: Any = None,
        over: http.client.HTTPSConnection | None = None,
        issued: tuple[bytes, bytes] | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer; on a connection of its own unless one is given."""
        connection = over or self.connection(issued)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        method, data = ("POST", body or {"spec": {}}) if path == REVIEW or body is not None else ("GET", None)
        text = json.dumps(data) if data is not None else None
        connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"null")
        if over is None:
            connection.close()
        return answer.status, found

    def who(self, token: str = "", over: http.client.HTTPSConnection | None = None, **more: Any) -> str:
        """The name of the user, "" when there is none."""
        code, found = self.ask(token, over=over, **more)
        return found["status"]["userInfo"]["username"] if code == 201 else ""

    def read(self, path: str, token: str = "first") -> Any:
        code, found = self.ask(token, path)
        assert code == 200, found
        return found


@pytest.fixture(scope="module")
def site(services: tuple[Service, Service], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    before = signal.getsignal(signal.SIGHUP)
    made = Site(tmp_path_factory.mktemp("site"), services[0])
    with made.server:
        assert signal.getsignal(signal.SIGHUP) is before, "a server within a program leaves its signals alone"
        yield made


def test_tokens(site: Site) -> None:
    connection = site.connection()
    assert site.who("first", connection) == site.who("first") == "jane"
    site.put("token-file", "tokens.csv", "second,joe,1,system:masters\n")
    assert site.who("first", connection) == "" == site.who("first"), "nor is it remembered"
    assert site.who("second", connection) == "joe"
    site.put("token-file", "tokens.csv", "only-two-columns,joe\n", "failure")
    assert site.who("second") == "joe"
    site.put("token-file", "tokens.csv", "first,jane,1,system:masters\n")
    connection.close()


def served(site: Site, name: str) -> str:
    raw = socket.create_connection(("127.0.0.1", site.server.port))
    with site.context().wrap_socket(raw, server_hostname=name) as sock:
        certificate: Any = sock.getpeercert()
    return str(dict(part[0] for part in certificate["subject"])["commonName"])


def test_serving_certificates(site: Site) -> None:
    connection = site.connection()
    assert (served(site, "localhost"), served(site, "sni.example")) == ("first", "first")
    assert site.who("first", connection) == "jane"
    site.change("serving-certificates", lambda: site.pair("sni", "sni.example", "second"))
    assert (served(site, "localhost"), served(site, "sni.example")) == ("first", "second")
    old = (site.folder / "server.key").read_text()
    site.put("serving-certificates", "server.key", (site.folder / "sni.key").read_text(), "failure")
    assert served(site, "localhost") == "first", "the key is another certificate's"
    (site.folder / "server.key").write_text(old)
    sock = connection.sock
    assert site.who("first", connection) == "jane" and connection.sock is sock
    connection.close()


def test_client_authorities(site: Site) -> None:
    """Handshake, authenticator and config map go by the same CAs;
    open connections stay, and are judged anew."""
    other = CertificateAuthority.create("others")
    old, new = site.authority.issue("old", server=False), other.issue("new", server=False)
    former, unknown = site.connection(old), site.connection(new)
    assert (site.who(over=former), site.who(over=unknown)) == ("old", "")
    bundle = pem(site.authority.certificate).decode()
    site.put("client-ca", "clients.crt", bundle + pem(other.certificate).decode())
    late = site.connection(new)
    assert (site.who(over=former), site.who(over=late)) == ("old", "new")
    eventually(
        lambda: pem(other.certificate).decode() in site.read(TRUST)["data"]["client-ca-file"],
        "the config map",
    )
    site.put("client-ca", "clients.crt", bundle[:-40], "failure")
    assert site.who(over=late) == "new"
    site.put("client-ca", "clients.crt", pem(other.certificate).decode())
    sock = former.sock
    assert (site.who(over=former), site.who(over=late)) == ("", "new")
    assert former.sock is sock, "the connection stays, the certificate no longer counts"
    assert site.who(issued=old) == ""
    site.put("client-ca", "clients.crt", bundle)
    for one in (former, unknown, late):
        one.close()


def test_front_proxies(site: Site) -> None:
    other = CertificateAuthority.create("other-proxies")
    old, new = site.proxies.issue("p", server=False), other.issue("p", server=False)
    connection = site.connection(old)
    named: Any = {"X_Remote_User": "kim"}
    assert site.who(over=connection, **named) == "kim"
    site.put("requestheader-client-ca", "proxies.crt", pem(other.certificate).decode())
    assert site.who(over=connection, **named) == ""
    assert site.who(issued=new, **named) == "kim"
    site.put("requestheader-client-ca", "proxies.crt", pem(site.proxies.certificate).decode())
    connection.close()


def test_audit_policy(site: Site) -> None:
    def lines() -> str:
        return (site.folder / "audit.log").read_text()

    site.ask("first", Audit_ID="one")
    eventually(lambda: "one" in lines(), "a line")
    site.put("audit-policy", "audit.yaml", audit_policy("None"))
    site.ask("first", Audit_ID="two")
    site.put("audit-policy", "audit.yaml", audit_policy("Wrong"), "failure")
    site.ask("first", Audit_ID="three")
    site.put("audit-policy", "audit.yaml", audit_policy("Metadata"))
    site.ask("first", Audit_ID="four")
    eventually(lambda: "four" in lines(), "a line")
    assert "two" not in lines() and "three" not in lines()


def test_webhooks(site: Site, services: tuple[Service, Service]) -> None:
    """A user of one webhook asks the other one at once; answers of the first are forgotten."""
    one, two = services
    assert (site.who("one"), site.who("two")) == ("one", "")
    site.put("authentication-webhook", "authn.kubeconfig", kubeconfig(two))
    assert (site.who("one"), site.who("two")) == ("", "two")
    assert site.ask("two", PODS)[0] == 403
    site.put("authorization-webhook", "authz.kubeconfig", kubeconfig(two))
    assert site.ask("two", PODS)[0] == 200, (
        "a no is remembered for 30 seconds, but not that of another service"
    )
    site.put("audit-webhook", "audit.kubeconfig", kubeconfig(two))
    site.ask("first", Audit_ID="of-two")
    eventually(lambda: "of-two" in two.events, "the event")
    assert "of-two" not in one.events
    for kind, name in (("authentication", "authn"), ("authorization", "authz"), ("audit", "audit")):
        site.put(f"{kind}-webhook", f"{name}.kubeconfig", "{", "failure")
    assert site.who("two") == "two"
    for kind, name in (("authentication", "authn"), ("authorization", "authz"), ("audit", "audit")):
        site.put(f"{kind}-webhook", f"{name}.kubeconfig", kubeconfig(one))


def test_abac(site: Site) -> None:
    site.put("token-file", "tokens.csv", "first,jane,1,system:masters\nplain,kim,2\n")
    assert site.ask("plain", PODS)[0] == 403
    site.put("abac", "abac.jsonl", abac("kim"))
    assert site.ask("plain", PODS)[0] == 200
    site.put("abac", "abac.jsonl", "{broken\n", "failure")
    assert site.ask("plain", PODS)[0] == 200
    site.put("abac", "abac.jsonl", abac("nobody"))
    assert site.ask("plain", PODS)[0] == 403


def test_admission(site: Site) -> None:
    """The configuration names a file for the plugin, which is followed as well."""
    dry = f"{PODS}?dryRun=All"
    assert site.ask("first", dry, POD)[0] == 201
    site.put("admission", "pod-security.yaml", pod_security("restricted"))
    code, found = site.ask("first", dry, POD)
    assert code == 403 and "violates PodSecurity" in found["message"]
    site.put("admission", "pod-security.yaml", pod_security("nonsense"), "failure")
    assert site.ask("first", dry, POD)[0] == 403
    site.put("admission", "admission.yaml", document("AdmissionConfiguration", plugins=[]))
    assert site.ask("first", dry, POD)[0] == 201
    assert "pod-security.yaml" not in " ".join(site.reloads.followed["admission"])


def stored(site: Site, name: str) -> bytes:
    body = {"metadata": {"name": name}, "stringData": {"a": "b"}}
    assert site.ask("first", "/api/v1/namespaces/default/secrets", body)[0] == 201
    storage = site.server._server.cluster.registry.storage
    kv = site.server.run(storage.inner.get(f"/registry/secrets/default/{name}"))
    return bytes(kv.value)


def test_encryption(site: Site) -> None:
    assert stored(site, "a").startswith(b"k8s:enc:aesgcm:v1:a:")
    site.put("encryption", "encryption.yaml", encryption("b", "a"))
    assert stored(site, "b").startswith(b"k8s:enc:aesgcm:v1:b:")
    site.put("encryption", "encryption.yaml", "resources: [", "failure")
    assert stored(site, "c").startswith(b"k8s:enc:aesgcm:v1:b:")
    text = site_metrics(site)
    assert 'apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:' in text
    assert "apiserver_encryption_config_controller_last_config_info{" in text


def site_metrics(site: Site) -> str:
    request = urllib.request.Request(site.server.url + "/metrics", headers={"Authorization": "Bearer first"})
    with urllib.request.urlopen(request, context=site.context(), timeout=10) as answer:
        return str(answer.read().decode())


def test_kubelet_authorities(site: Site) -> None:
    """The connections themselves are tested in endpoints/streams/test_kubelet.py."""
    other = pem(CertificateAuthority.create("kubelets").certificate)
    kubelets = site.server._server.cluster.handlers.streams.kubelets
    site.put("kubelet-ca", "kubelet-ca.crt", other.decode())
    assert kubelets._trust.ca == other
    site.put("kubelet-ca", "kubelet-ca.crt", "none", "failure")
    assert kubelets._trust.ca == other


def test_every_change_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A metric, a log line and an Event about this server's lease tell of every change;
    the Event counts repetitions."""
    good = "first,jane,1,system:masters\n"
    for _ in range(2):
        site.put("token-file", "tokens.csv", "a,b\n", "failure")
        site.put("token-file", "tokens.csv", good + "\n")
        site.put("token-file", "tokens.csv", good)
    [lease] = [
        one["metadata"]
        for one in site.read("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")["items"]
        if one["metadata"]["name"].startswith("apiserver-")
    ]

    def events(reason: str) -> list[Any]:
        found = site.read("/api/v1/namespaces/kube-system/events")["items"]
        return [one for one in found if one["reason"] == reason and "token-file" in one["message"]]

    eventually(lambda: [one for one in events("ConfigurationRejected") if one["count"] >= 2], "both refusals")
    eventually(lambda: [one for one in events("ConfigurationReloaded") if one["count"] >= 4], "the changes")
    [reloaded] = events("ConfigurationReloaded")
    assert reloaded["involvedObject"] == {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "name": lease["name"],
        "namespace": "kube-system",
        "uid": lease["uid"],
    }
    assert reloaded["source"] == {"component": "kube-apiserver"} and reloaded["type"] == "Normal"
    assert reloaded["firstTimestamp"] <= reloaded["lastTimestamp"]
    rejected = next(one for one in events("ConfigurationRejected") if "at least 3 columns" in one["message"])
    assert rejected["type"] == "Warning" and str(site.folder / "tokens.csv") in rejected["message"]
    text = site_metrics(site)
    assert 'pilothouse_reloads_total{kind="token-file",status="failure"}' in text
    assert 'pilothouse_reload_last_timestamp_seconds{kind="token-file",status="success"}' in text
    assert 'pilothouse_reload_refused{kind="token-file"} 0' in text


@pytest.mark.slow
def test_a_process_looks_at_its_files_at_sighup(tmp_path: pathlib.Path) -> None:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text("first,jane,1\n")

    def code(token: str) -> int:
        request = urllib.request.Request(server.url + PODS, headers={"Authorization": f"Bearer {token}"})
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        try:
            with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as err:
            with err:
                return err.code

    with Subprocess([f"--token-auth-file={tokens}"]) as server:
        assert (code("first"), code("second")) == (403, 401)
        tokens.write_text("second,jane,1\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: code("second") == 403, "the new token", POLL / 2)
        assert code("first") == 401 and server.process.poll() is None
        (tmp_path / "new").write_text("third,jane,1\n")
        (tmp_path / "new").rename(tokens)
        eventually(lambda: code("third") == 403, "the next one, without a signal", 4 * POLL)
