"""Signing requests: which are approved, what is signed, and when they are deleted."""

import asyncio
import base64
import datetime
import ipaddress
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from certificates import name, new_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from eventually import aeventually
from harness import ADMIN, Rig
from virtual_time import VirtualLoop

from pilothouse import pki
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.controllers.certificates import (
    API_CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    CertificateApproving,
    CertificateCleaning,
    CertificateSigner,
    is_past,
)
from pilothouse.controllers.signing import Signer

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NODE = ["digital signature", "key encipherment"]
HOST, ADDRESS = x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))
MAIL, LINK = x509.RFC822Name("a@b"), x509.UniformResourceIdentifier("https://a")


@dataclass
class Answer:
    allowed: bool
    reason: str = ""


class Judge:
    """Allows the subresources in `allowed`, and notes what it was asked."""

    def __init__(self) -> None:
        self.allowed: set[str] = set()
        self.asked: list[AuthorizationAttributes] = []

    async def authorize(self, attributes: AuthorizationAttributes) -> Answer:
        self.asked.append(attributes)
        return Answer(attributes.subresource in self.allowed)


@pytest.fixture
def judge(rig: Rig, runner: asyncio.Runner) -> Iterator[Judge]:
    """The judge that the approving controller asks; the controller runs."""
    judge = Judge()
    controller = CertificateApproving(rig.client("kube-controller-manager"), judge)

    async def start() -> None:
        controller.start()

    runner.run(start())
    yield judge
    runner.run(controller.close())


@pytest.fixture
def ca(rig: Rig, runner: asyncio.Runner, tmp_path: pathlib.Path) -> Iterator[pki.CertificateAuthority]:
    """The CA of the signing controller; it runs."""
    authority = pki.CertificateAuthority.create()
    (tmp_path / "ca.crt").write_bytes(pki.pem(authority.certificate))
    (tmp_path / "ca.key").write_bytes(pki.key_pem(authority.key))
    signer = Signer(str(tmp_path / "ca.crt"), str(tmp_path / "ca.key"), datetime.timedelta(days=1))
    controller = CertificateSigner(rig.client("kube-controller-manager"), signer)

    async def start() -> None:
        controller.start()

    runner.run(start())
    yield authority
    runner.run(controller.close())


def body(
    common: str = "system:node:n1",
    *names: x509.GeneralName,
    signer: str = KUBELET_CLIENT,
    groups: tuple[str, ...] = ("system:nodes",),
    usages: Any = ("client auth", *NODE),
    named: str = "r",
    **spec: Any,
) -> Any:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common, *groups))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = builder.sign(new_key(), hashes.SHA256()).public_bytes(Encoding.PEM)
    request = base64.b64encode(pem).decode()
    return {
        "metadata": {"name": named},
        "spec": {"request": request, "signerName": signer, "usages": list(usages), **spec},
    }


async def status(rig: Rig, named: str = "r") -> Any:
    await rig.settle()
    return (await rig.ok("GET", f"{REQUESTS}/{named}")).get("status") or {}


async def approve(rig: Rig, named: str = "r", kind: str = "Approved") -> None:
    found = await rig.ok("GET", f"{REQUESTS}/{named}")
    conditions = found.setdefault("status", {}).setdefault("conditions", [])
    conditions.append({"type": kind, "status": "True", "reason": "Test"})
    await rig.ok("PUT", f"{REQUESTS}/{named}/approval", found)


async def test_a_kubelets_first_certificate_is_approved(rig: Rig, judge: Judge) -> None:
    judge.allowed = {"nodeclient"}
    await rig.ok("POST", REQUESTS, body())
    (condition,) = (await status(rig))["conditions"]
    assert condition["message"] == "Auto approving kubelet client certificate after SubjectAccessReview."
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "Approved",
        "True",
        "AutoApproved",
    )
    (asked,) = judge.asked
    assert (asked.user.name, asked.verb, asked.group) == (ADMIN.name, "create", "certificates.k8s.io")
    assert "system:masters" in asked.user.groups
    assert (asked.resource, asked.subresource) == ("certificatesigningrequests", "nodeclient")


async def test_its_own_next_one_is_approved_by_another_right(rig: Rig, judge: Judge) -> None:
    judge.allowed = {"selfnodeclient"}
    rig.authenticator.tokens[0].users["node"] = type(ADMIN)("system:node:n1", "", ("system:masters",))  # type: ignore[attr-defined]
    await rig.ok("POST", REQUESTS, body(), user="node")
    (condition,) = (await status(rig))["conditions"]
    assert condition["message"] == "Auto approving self kubelet client certificate after SubjectAccessReview."
    await rig.ok("POST", REQUESTS, body("system:node:n2", named="other"), user="node")
    assert not await status(rig, "other")
    assert [a.subresource for a in judge.asked] == ["selfnodeclient", "nodeclient"]


async def test_a_right_that_comes_later_counts(rig: Rig, virtual: VirtualLoop, judge: Judge) -> None:
    await rig.ok("POST", REQUESTS, body())
    assert not await status(rig)
    judge.allowed = {"nodeclient"}
    await virtual.advance(31)
    assert (await status(rig))["conditions"]


@pytest.mark.parametrize(
    "request_",
    [
        body(signer=KUBELET_SERVING, usages=["server auth", *NODE]),
        body("system:node:n1", HOST, signer=KUBELET_SERVING, usages=["server auth", *NODE]),
        body(signer=API_CLIENT),
        body("jane"),
        body(groups=("system:nodes", "system:masters")),
        body(groups=()),
        body("system:node:n1", HOST),
        body(usages=["client auth"]),
        body(usages=["client auth", "server auth", *NODE]),
    ],
)
async def test_nothing_else_is_approved(rig: Rig, judge: Judge, request_: Any) -> None:
    judge.allowed = {"selfnodeclient", "nodeclient"}
    await rig.ok("POST", REQUESTS, request_)
    assert not await status(rig) and not judge.asked


async def test_what_was_denied_stays_so(rig: Rig, judge: Judge) -> None:
    await rig.ok("POST", REQUESTS, body())
    await status(rig)
    await approve(rig, kind="Denied")
    judge.allowed = {"nodeclient"}
    await rig.ok(
        "PATCH",
        f"{REQUESTS}/r",
        {"metadata": {"labels": {"a": "b"}}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert [c["type"] for c in (await status(rig))["conditions"]] == ["Denied"]


async def certificate(rig: Rig, named: str = "r") -> x509.Certificate:
    async def look() -> str:
        return str((await status(rig, named)).get("certificate", ""))

    return x509.load_pem_x509_certificate(base64.b64decode(await aeventually(look, "a certificate")))


@pytest.mark.parametrize(
    "request_",
    [
        body(),
        body(usages=["client auth", "digital signature"]),
        body("system:node:n1", HOST, ADDRESS, signer=KUBELET_SERVING, usages=["server auth", *NODE]),
        body("jane", signer=API_CLIENT, groups=("dev",), usages=["client auth"], expirationSeconds=3600),
    ],
)
async def test_what_is_approved_is_signed(rig: Rig, ca: pki.CertificateAuthority, request_: Any) -> None:
    await rig.ok("POST", REQUESTS, request_)
    assert not await status(rig)
    await approve(rig)
    made = await certificate(rig)
    made.verify_directly_issued_by(ca.certificate)
    asked = x509.load_pem_x509_csr(base64.b64decode(request_["spec"]["request"]))
    assert made.subject == asked.subject


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (body(groups=("a",)), "subject organization is not system:nodes"),
        (body("jane"), "subject common name does not begin with system:node:"),
        (body("system:node:n1", HOST), "DNS subjectAltNames are not allowed"),
        (body("system:node:n1", ADDRESS), "IP subjectAltNames are not allowed"),
        (body("system:node:n1", MAIL), "Email subjectAltNames are not allowed"),
        (body("system:node:n1", LINK), "URI subjectAltNames are not allowed"),
        (
            body(usages=["client auth"]),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (body(signer=KUBELET_SERVING, usages=["server auth", *NODE]), "DNS or IP subjectAltName is required"),
        (
            body("system:node:n1", HOST, signer=KUBELET_SERVING),
            "usages did not match [digital signature key encipherment server auth]",
        ),
        (
            body("n1", HOST, signer=KUBELET_SERVING, usages=["server auth", *NODE]),
            "subject common name does not begin with system:node:",
        ),
        (
            body(signer=API_CLIENT, usages=["client auth", "server auth"]),
            "invalid usage for client certificate: server auth",
        ),
        (
            body(signer=API_CLIENT, usages=NODE),
            "missing required usage for client certificate: client auth",
        ),
    ],
)
async def test_what_a_signer_does_not_sign(
    rig: Rig, ca: pki.CertificateAuthority, request_: Any, message: str
) -> None:
    await rig.ok("POST", REQUESTS, request_)
    await approve(rig)
    found = await status(rig)
    (failed,) = [c for c in found["conditions"] if c["type"] == "Failed"]
    assert (failed["reason"], failed["message"]) == ("SignerValidationFailure", message)
    assert "certificate" not in found


async def test_a_signer_of_others_is_left_alone(rig: Rig, ca: pki.CertificateAuthority) -> None:
    await rig.ok("POST", REQUESTS, body(signer="example.com/theirs"))
    await approve(rig)
    assert [c["type"] for c in (await status(rig))["conditions"]] == ["Approved"]


async def test_a_ca_that_is_away_is_waited_for(
    rig: Rig,
    virtual: VirtualLoop,
    ca: pki.CertificateAuthority,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.key").unlink()
    await rig.ok("POST", REQUESTS, body())
    await approve(rig)
    await aeventually(lambda: caplog.records, "an error in the log")
    assert caplog.records[-1].getMessage() == "A certificate was not signed"
    (tmp_path / "ca.key").write_bytes(key)
    await virtual.advance(31)
    (await certificate(rig)).verify_directly_issued_by(ca.certificate)


NOW = datetime.datetime.now(datetime.UTC)


def ago(**age: float) -> str:
    return (NOW - datetime.timedelta(**age)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, **age: float) -> Any:
    return {"type": kind, "status": "True", "lastUpdateTime": ago(**age)}


def issued(days: float) -> str:
    ca = pki.CertificateAuthority.create()
    return base64.b64encode(ca.issue("a", server=False, days=days)[0]).decode()


@pytest.mark.parametrize(
    ("created", "found", "past"),
    [
        ({"hours": 23}, {}, False),
        ({"hours": 25}, {}, True),
        ({"hours": 25}, {"conditions": [condition("Denied", minutes=59)]}, False),
        ({"hours": 1}, {"conditions": [condition("Denied", minutes=61)]}, True),
        ({"hours": 1}, {"conditions": [condition("Failed", minutes=61)]}, True),
        ({"hours": 99}, {"conditions": [condition("Approved", hours=2)]}, False),
        ({"hours": 2}, {"conditions": [condition("Approved", hours=2)], "certificate": issued(1)}, True),
        ({"hours": 2}, {"conditions": [condition("Approved", minutes=5)], "certificate": issued(1)}, False),
        (
            {"hours": 2},
            {"conditions": [condition("Approved", minutes=5)], "certificate": issued(-0.001)},
            True,
        ),
        ({"hours": 2}, {"conditions": [condition("Approved", minutes=5)], "certificate": "eA=="}, False),
    ],
)
def test_when_a_request_is_past(created: Any, found: Any, past: bool) -> None:
    assert is_past({"metadata": {"creationTimestamp": ago(**created)}, "status": found}, NOW) is past


async def test_what_is_past_is_deleted(rig: Rig, virtual: VirtualLoop) -> None:
    await rig.ok("POST", REQUESTS, body())
    await rig.ok("POST", REQUESTS, body(named="denied"))
    await approve(rig, "denied", "Denied")
    later = datetime.timedelta(0)
    cleaning = CertificateCleaning(rig.client(), now=lambda: datetime.datetime.now(datetime.UTC) + later)
    cleaning.start()
    await virtual.advance(3599)
    assert (await rig.call("GET", f"{REQUESTS}/denied")).status == 200
    later = datetime.timedelta(hours=2)
    await virtual.advance(2)
    assert (await rig.call("GET", f"{REQUESTS}/denied")).status == 404
    assert (await rig.call("GET", f"{REQUESTS}/r")).status == 200
    await cleaning.close()
