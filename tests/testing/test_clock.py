"""The clock of a server that tests move: what expires, runs and goes on."""

import base64
import datetime
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from pilothouse.testing.client import KubeClient, RefusedError, context
from pilothouse.testing.server import InProcess

CORE = "/api/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"
SIMULATE = "simulate.pilothouse.dev/"
FLAGS = (
    "--simulate=nodes=2",
    "--enable-bootstrap-token-auth=true",
    "--controllers=*,tokencleaner,csrsigning,csrcleaner",
)
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def _shared() -> Iterator[InProcess]:
    with InProcess(FLAGS) as server:
        yield server


@pytest.fixture
def kube(_shared: InProcess) -> Iterator[InProcess]:
    yield _shared
    _shared.reset()


def call(kube: InProcess, method: str, path: str, body: Any = None, media: str = "application/json") -> Any:
    return kube.root.call(method, path, body, media)


def as_user_of(token: str, kube: InProcess, path: str = "/api/v1/namespaces") -> int:
    """The status of a GET with a token."""
    tls = context(kube.ca_file, kube.client_cert, kube.client_key)
    plain = type(tls)(tls.protocol)
    plain.load_verify_locations(kube.ca_file)
    with KubeClient(kube.url, plain) as client:
        client._connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = client._connection.getresponse()
        answer.read()
        return answer.status


def template(**annotations: str) -> dict[str, Any]:
    """The template of pods whose container does what annotations say."""
    said = {SIMULATE + name.replace("_", "-"): text for name, text in annotations.items()}
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "nginx"}]}
    return {"metadata": {"annotations": said}, "spec": spec}


def cron_job(name: str, **spec: Any) -> dict[str, Any]:
    job = {"spec": {"template": template()}}
    more = {"schedule": "*/10 * * * *", "jobTemplate": job, "successfulJobsHistoryLimit": 50, **spec}
    return {"metadata": {"name": name}, "spec": more}


def jobs(kube: InProcess) -> list[Any]:
    found: list[Any] = call(kube, "GET", f"{BATCH}/jobs")["items"]
    return found


def test_objects_have_its_time(kube: InProcess) -> None:
    call(kube, "POST", f"{CORE}/configmaps", {"metadata": {"name": "old"}})
    before = kube.clock.now()
    after = kube.clock.advance(hours=2)
    assert datetime.timedelta(hours=2) <= after - before < datetime.timedelta(hours=2, seconds=30)
    path = f"{CORE}/configmaps?fieldManager=t"
    made = call(kube, "POST", path, {"metadata": {"name": "new"}, "data": {"a": "b"}})["metadata"]
    created = datetime.datetime.fromisoformat(made["creationTimestamp"])
    assert abs((created - after).total_seconds()) < 30
    assert datetime.datetime.fromisoformat(made["managedFields"][0]["time"]) == created
    with kube._client() as client:
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        client._connection.request("GET", f"{CORE}/configmaps/old", headers=accept)
        assert b'"120m"' in (data := client._connection.getresponse().read()), data


def test_a_token_of_a_service_account_expires(kube: InProcess) -> None:
    spec = {"spec": {"expirationSeconds": 600}}
    path = f"{CORE}/serviceaccounts/default/token"
    status = call(kube, "POST", path, spec)["status"]
    assert as_user_of(status["token"], kube) == 403, "known, and may not"
    kube.clock.advance(minutes=9)
    assert as_user_of(status["token"], kube) == 403
    kube.clock.advance(minutes=3)
    assert as_user_of(status["token"], kube) == 401
    assert as_user_of(call(kube, "POST", path, spec)["status"]["token"], kube) == 403


def test_a_bootstrap_token_expires_and_is_deleted(kube: InProcess) -> None:
    ends = f"{kube.clock.now() + datetime.timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "expiration": ends}
    data["usage-bootstrap-authentication"] = "true"
    secret = {"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token"}
    path = "/api/v1/namespaces/kube-system/secrets"
    call(kube, "POST", path, secret | {"stringData": data})
    token = "abcdef.0123456789abcdef"
    assert as_user_of(token, kube) == 403
    kube.clock.advance(hours=2)
    assert as_user_of(token, kube) == 401
    with pytest.raises(RefusedError, match="not found"):
        call(kube, "GET", f"{path}/bootstrap-token-abcdef")


def test_events_go_after_an_hour(kube: InProcess) -> None:
    about = {"kind": "ConfigMap", "namespace": "default", "name": "a"}
    call(kube, "POST", f"{CORE}/events", {"metadata": {"name": "e"}, "involvedObject": about, "reason": "R"})
    kube.clock.advance(minutes=50)
    assert [one["metadata"]["name"] for one in call(kube, "GET", f"{CORE}/events")["items"]] == ["e"]
    kube.clock.advance(minutes=11)
    assert call(kube, "GET", f"{CORE}/events")["items"] == []


def test_certificates_keep_the_real_time(kube: InProcess) -> None:
    kube.clock.advance(hours=3)
    jane = kube.user("jane", role="view")
    with KubeClient(kube.url, jane.context()) as client:
        assert client.call("GET", "/api/v1/namespaces")["items"]
    csr = _request(kube, "late")
    assert abs(csr.not_valid_before_utc.timestamp() - time.time()) < 3600
    kube.clock.advance(hours=3)
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    assert call(kube, "GET", path)["items"] == [], "decided requests go after an hour"


def _request(kube: InProcess, name: str) -> x509.Certificate:
    """The certificate of a request that is approved."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    text = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    encoded = base64.b64encode(text.public_bytes(serialization.Encoding.PEM)).decode()
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    spec = {
        "request": encoded,
        "usages": ["client auth"],
        "signerName": "kubernetes.io/kube-apiserver-client",
    }
    obj = call(kube, "POST", path, {"metadata": {"name": name}, "spec": spec})
    obj["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "R", "message": "m"}]}
    call(kube, "PUT", f"{path}/{name}/approval", obj)
    found = kube.wait(f"{path}/{name}", lambda one: one["status"]["certificate"])
    return x509.load_pem_x509_certificate(base64.b64decode(found["status"]["certificate"]))


def test_a_cron_job_runs_each_time(kube: InProcess) -> None:
    call(kube, "POST", f"{BATCH}/cronjobs", cron_job("often"))
    kube.clock.advance(hours=2)
    assert len(jobs(kube)) == 12
    assert all(one["status"]["succeeded"] == 1 for one in jobs(kube))


def test_of_the_runs_that_a_cron_job_has_missed_the_last_is_made(kube: InProcess) -> None:
    call(kube, "POST", f"{BATCH}/cronjobs", cron_job("paused", suspend=True))
    call(kube, "POST", f"{BATCH}/cronjobs", cron_job("late", suspend=True, startingDeadlineSeconds=1))
    now = kube.clock.freeze()
    kube.clock.advance(hours=2, minutes=15 - now.minute % 10)
    assert jobs(kube) == []
    for name in ("paused", "late"):
        patch = {"spec": {"suspend": False}}
        call(kube, "PATCH", f"{BATCH}/cronjobs/{name}", patch, MERGE)
    kube.clock.advance(seconds=5)
    assert [one["metadata"]["ownerReferences"][0]["name"] for one in jobs(kube)] == ["paused"]


def test_a_job_backs_off_and_fails(kube: InProcess) -> None:
    spec = {"backoffLimit": 3, "template": template(exit_code="1")}
    call(kube, "POST", f"{BATCH}/jobs", {"metadata": {"name": "bad"}, "spec": spec})
    kube.clock.advance(seconds=15)
    assert (jobs(kube)[0]["status"].get("failed") or 0) == 2, "the second try is after ten seconds"
    kube.clock.advance(minutes=5)
    status = jobs(kube)[0]["status"]
    assert status["failed"] == 4 and status["conditions"][-1]["type"] == "Failed"


def test_a_finished_job_goes_after_its_time_to_live(kube: InProcess) -> None:
    spec = {"ttlSecondsAfterFinished": 3600, "template": template()}
    call(kube, "POST", f"{BATCH}/jobs", {"metadata": {"name": "done"}, "spec": spec})
    kube.clock.advance(minutes=50)
    assert jobs(kube)[0]["status"]["succeeded"] == 1
    kube.clock.advance(minutes=20)
    assert jobs(kube) == []


def test_a_crash_loop_goes_on(kube: InProcess) -> None:
    pod = template(exit_code="1")
    pod["metadata"]["name"], pod["spec"]["restartPolicy"] = "bad", "Always"
    call(kube, "POST", f"{CORE}/pods", pod)
    restarts = []
    for _ in range(3):
        kube.clock.advance(minutes=10)
        found = call(kube, "GET", f"{CORE}/pods/bad")["status"]["containerStatuses"][0]
        restarts.append(found["restartCount"])
    assert 5 <= restarts[0] < restarts[1] < restarts[2] <= 12, restarts


def test_pods_leave_a_node_whose_lease_expires(kube: InProcess) -> None:
    pods = template()
    pods["metadata"]["labels"] = labels = {"app": "web"}
    pods["spec"]["restartPolicy"] = "Always"
    spec = {"replicas": 4, "selector": {"matchLabels": labels}, "template": pods}
    path = "/apis/apps/v1/namespaces/default/deployments"
    call(kube, "POST", path, {"metadata": {"name": "web"}, "spec": spec})
    kube.wait(f"{path}/web", "Available")
    lost = {"metadata": {"annotations": {f"{SIMULATE}state": "Unreachable"}}}
    call(kube, "PATCH", "/api/v1/nodes/node-0", lost, MERGE)
    kube.clock.advance(minutes=2)
    ready = kube.wait("/api/v1/nodes/node-0", "Ready=Unknown")["status"]["conditions"]
    assert ready
    kube.clock.advance(minutes=6)
    alive = [one for one in call(kube, "GET", f"{CORE}/pods")["items"] if _stays(one)]
    assert {one["spec"]["nodeName"] for one in alive} == {"node-1"} and len(alive) == 4


def _stays(pod: Any) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def test_a_frozen_clock_moves_when_it_is_told(kube: InProcess) -> None:
    first = kube.clock.freeze()
    time.sleep(0.01)
    assert kube.clock.now() == first
    later = datetime.timedelta(hours=1, seconds=5)
    assert kube.clock.advance(datetime.timedelta(hours=1), seconds=5) == first + later
    assert kube.clock.thaw() >= first
    time.sleep(0.01)
    assert kube.clock.now() > first + later


def test_what_it_cannot_do_is_told(kube: InProcess) -> None:
    with pytest.raises(RefusedError, match="between 0 and 100 years"):
        kube.clock.advance(hours=-1)
    jane = kube.user("jane")
    with KubeClient(kube.url, jane.context()) as client, pytest.raises(RefusedError) as refused:
        client.call("POST", "/debug/pilothouse/clock", {"advance": "1h"})
    assert refused.value.code == 403


def test_simulated_pods_follow_a_state_that_is_put_back(kube: InProcess) -> None:
    """One that was about to end stays, and one that is gone comes back."""
    pod = template(terminate_after="20s")
    pod["metadata"]["name"], pod["spec"]["restartPolicy"] = "a", "Always"
    path = f"{CORE}/pods/a"
    call(kube, "POST", f"{CORE}/pods", pod)
    before = kube.wait(path, "Ready")
    state = kube.checkpoint()
    for seconds in (5, 60):
        call(kube, "DELETE", path)
        kube.clock.advance(seconds=seconds)
        assert bool(call(kube, "GET", f"{CORE}/pods")["items"]) is (seconds == 5)
        kube.restore(state)
        kube.clock.advance(minutes=10)
        now = call(kube, "GET", path)
        assert now["status"] == before["status"] and now["metadata"]["uid"] == before["metadata"]["uid"]
