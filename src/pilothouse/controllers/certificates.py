"""Approves, signs and deletes certificate signing requests,
as kube-controller-manager does (pkg/controller/certificates).

So kubelets get certificates of their own:
the first one with a bootstrap token, later ones with the one that they have.
"""

import asyncio
import base64
import datetime
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from pilothouse import errors
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.authorization import allowed as is_allowed
from pilothouse.api.validate.certificates import (
    APPROVED,
    DENIED,
    FAILED,
    LEGACY_SIGNER,
    load_request,
)
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authn.x509 import scope_of
from pilothouse.controllers.queue import WorkQueue
from pilothouse.controllers.signing import Signer, SigningError, alternative_names
from pilothouse.lifecycle import Background, BackgroundTask
from pilothouse.logs import Logger
from pilothouse.registry.client import Client
from pilothouse.registry.store import decode
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
REFUSED_SECONDS = 30.0
"""Seconds until a request is looked at again whose user may not have it approved:
roles are bound later at times."""
CLEAN_SECONDS = 3600.0
_DECIDED, _PENDING = datetime.timedelta(hours=1), datetime.timedelta(hours=24)

_NODE = ("digital signature", "key encipherment")


class InvalidRequest(Exception):
    """Why a signer does not sign a request; the text is upstream's."""


class _Requests(Background):
    """Follows signing requests and hands each one that is new or changed to `_handle`."""

    name: str

    def __init__(self, client: Client) -> None:
        self._client = client
        self._resource = client.resource("certificates.k8s.io", "v1", "certificatesigningrequests")
        self._queue = WorkQueue(self.name, self._turn, metrics=client.metrics)
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        cache = self._client.store.cache(self._resource)
        for entry in cache.list(self._resource.key_prefix, None).entries:
            self._changed(entry, None)
        self._forget = cache.subscribe(self._changed)

    async def close(self) -> None:
        self._forget()
        await self._queue.close()

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None:
            self._queue.add(new.key.rpartition("/")[2])

    async def _turn(self, name: str) -> float | None:
        request = self._client.get(self._resource, "", name)
        if request is None:
            return None
        try:
            return await self._handle(name, request)
        except (errors.NotFound, errors.Conflict):
            return None

    async def _handle(self, name: str, request: Object) -> float | None:
        raise NotImplementedError


class CertificateApproving(_Requests):
    """Approves the client certificates of kubelets if their users may have them
    (the controller csrapproving).

    Serving certificates of kubelets are left to an administrator, as upstream leaves them.
    """

    name = "csrapproving"

    def __init__(self, client: Client, authorizer: AccessAuthorizer) -> None:
        super().__init__(client)
        self._authorizer = authorizer

    async def _handle(self, name: str, request: Object) -> float | None:
        spec, status = request.get("spec") or {}, request.get("status") or {}
        if status.get("certificate") or _true(request, APPROVED) or _true(request, DENIED):
            return None
        if spec.get("signerName") != KUBELET_CLIENT:
            return None
        try:
            parsed = load_request(spec.get("request"))
            _check_kubelet_client(parsed, spec.get("usages") or ())
        except (InvalidRequest, ValueError) as error:
            log.info("A signing request is not one of a kubelet", request=name, err=error)
            return None
        own = spec.get("username") == common_name(parsed)
        for subresource, words in (("selfnodeclient", "self kubelet"), ("nodeclient", "kubelet")):
            if (subresource == "nodeclient" or own) and await self._may(spec, subresource):
                message = f"Auto approving {words} client certificate after SubjectAccessReview."
                await self._approve(name, request, message)
                return None
        return REFUSED_SECONDS

    async def _may(self, spec: Object, subresource: str) -> bool:
        user = User(
            spec.get("username", ""),
            spec.get("uid", ""),
            tuple(spec.get("groups") or ()),
            spec.get("extra") or {},
        )
        asked = AuthorizationAttributes(
            user,
            "create",
            is_resource=True,
            group="certificates.k8s.io",
            version="*",
            resource="certificatesigningrequests",
            subresource=subresource,
        )
        return await is_allowed(self._authorizer, asked)

    async def _approve(self, name: str, request: Object, message: str) -> None:
        condition = {"type": APPROVED, "status": "True", "reason": "AutoApproved", "message": message}
        await self._client.change(
            self._resource, "", name, _adds(condition), "approval", request["metadata"]["uid"]
        )


class CertificateSigner(_Requests):
    """Signs approved requests for Kubernetes' own signers (the controller csrsigning).
    `now` gives the time."""

    name = "csrsigning"

    def __init__(
        self,
        client: Client,
        signer: Signer,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        super().__init__(client)
        self._signer = signer
        self._now = now

    async def _handle(self, name: str, request: Object) -> float | None:
        spec, status = request.get("spec") or {}, request.get("status") or {}
        check = _SIGNERS.get(spec.get("signerName", ""))
        if check is None or status.get("certificate") or not _true(request, APPROVED):
            return None
        if _true(request, DENIED) or _true(request, FAILED):
            return None
        usages, uid = spec.get("usages") or (), request["metadata"]["uid"]
        try:
            parsed = load_request(spec.get("request"))
            check(parsed, usages)
            _check_scope(parsed, spec["signerName"], self._signer.scope)
            made = await asyncio.to_thread(
                self._signer.sign, parsed, usages, spec.get("expirationSeconds"), self._now()
            )
        except InvalidRequest as error:
            condition = {"type": FAILED, "status": "True", "reason": "SignerValidationFailure"}
            failed = condition | {"message": str(error)}
            await self._client.change(self._resource, "", name, _adds(failed), "status", uid)
            return None
        except (SigningError, ValueError, OSError) as error:
            log.error("A certificate was not signed", request=name, err=error)
            return REFUSED_SECONDS
        text = base64.b64encode(made).decode()

        def edit(obj: Object) -> None:
            obj.setdefault("status", {}).setdefault("certificate", text)

        await self._client.change(self._resource, "", name, edit, "status", uid)
        return None


class CertificateCleaning(BackgroundTask):
    """Deletes requests that nobody needs any more (the controller csrcleaner): an hour after the
    decision, a day after a request that nobody decided, or when the certificate has expired. `now` gives
    the time, by default that of the client.
    """

    def __init__(
        self,
        client: Client,
        interval: float = CLEAN_SECONDS,
        now: Callable[[], datetime.datetime] | None = None,
    ) -> None:
        self._client = client
        self._interval = interval
        self._now = now or (lambda: datetime.datetime.fromtimestamp(client.clock.time(), datetime.UTC))

    async def _run(self) -> None:
        resource = self._client.resource("certificates.k8s.io", "v1", "certificatesigningrequests")
        while True:
            for entry in self._client.store.cache(resource).list(resource.key_prefix, None).entries:
                request = decode(entry)
                if is_past(request, self._now()):
                    metadata = request["metadata"]
                    options = {"preconditions": {"uid": metadata["uid"]}}
                    try:
                        await self._client.delete(resource, "", metadata["name"], options)
                    except (errors.StatusError, StorageError) as error:
                        log.warning("A signing request was not deleted", name=metadata["name"], err=error)
            await self._client.clock.sleep(self._interval)


def is_past(request: Object, now: datetime.datetime) -> bool:
    """Whether a signing request may be deleted (certificates/cleaner)."""
    status = request.get("status") or {}
    conditions, certificate = status.get("conditions") or (), status.get("certificate")
    if not conditions:
        return _older(request["metadata"].get("creationTimestamp"), now, _PENDING)
    for condition in conditions:
        kind = condition.get("type")
        decided = kind in (DENIED, FAILED) or (kind == APPROVED and certificate)
        if decided and _older(condition.get("lastUpdateTime"), now, _DECIDED):
            return True
    if not certificate:
        return False
    try:
        issued = x509.load_pem_x509_certificate(base64.b64decode(certificate))
    except ValueError:
        return False
    return now > issued.not_valid_after_utc


def _older(when: str | None, now: datetime.datetime, age: datetime.timedelta) -> bool:
    return bool(when) and times.to_unix(str(when))[0] < (now - age).timestamp()


def _true(request: Object, kind: str) -> bool:
    conditions = (request.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == kind and c.get("status") in ("True", None, "") for c in conditions)


def _adds(condition: Object) -> Callable[[Object], None]:
    def edit(obj: Object) -> None:
        conditions = obj.setdefault("status", {}).setdefault("conditions", [])
        if not any(c.get("type") == condition["type"] for c in conditions):  # another server was faster
            conditions.append(dict(condition))

    return edit


# What each signer demands (kubernetes pkg/apis/certificates/helpers.go, certificates/signer/signer.go)


def common_name(request: x509.CertificateSigningRequest) -> str:
    """The last common name of the subject, as Go reads it."""
    names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def _check_node(
    request: x509.CertificateSigningRequest, usages: Sequence[str], purpose: str, *, serves: bool
) -> None:
    organizations = [a.value for a in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if organizations != ["system:nodes"]:
        raise InvalidRequest("subject organization is not system:nodes")
    names = alternative_names(request)
    hosts, addresses = names[x509.DNSName], names[x509.IPAddress]
    if serves and not hosts and not addresses:
        raise InvalidRequest("DNS or IP subjectAltName is required")
    if not serves and hosts:
        raise InvalidRequest("DNS subjectAltNames are not allowed")
    if names[x509.RFC822Name]:
        raise InvalidRequest("Email subjectAltNames are not allowed")
    if not serves and addresses:
        raise InvalidRequest("IP subjectAltNames are not allowed")
    if names[x509.UniformResourceIdentifier]:
        raise InvalidRequest("URI subjectAltNames are not allowed")
    named = common_name(request).startswith("system:node:")
    if not serves and not named:
        raise InvalidRequest("subject common name does not begin with system:node:")
    required = {purpose, *_NODE}
    if set(usages) not in (required, required - {"key encipherment"}):
        raise InvalidRequest(f"usages did not match [{' '.join(sorted(required))}]")
    if not named:
        raise InvalidRequest("subject common name does not begin with system:node:")


def _check_kubelet_client(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    _check_node(request, usages, "client auth", serves=False)


def _check_kubelet_serving(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    _check_node(request, usages, "server auth", serves=True)


def _check_api_client(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            raise InvalidRequest(f"invalid usage for client certificate: {usage}")
    if "client auth" not in usages:
        raise InvalidRequest("missing required usage for client certificate: client auth")


def _check_scope(request: x509.CertificateSigningRequest, signer: str, scope: str) -> None:
    """All logical clusters have one CA: none signs for another one, nor what clients take for the server."""
    if scope and signer not in (KUBELET_CLIENT, API_CLIENT):
        raise InvalidRequest(f"a logical cluster does not sign for {signer}")
    if scope_of(request) not in ("", scope):
        raise InvalidRequest("subject organizational unit is that of another cluster")


def _check_nothing(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    """The legacy signer signs what has been approved."""


_SIGNERS: dict[str, Callable[[x509.CertificateSigningRequest, Sequence[str]], None]] = {
    KUBELET_CLIENT: _check_kubelet_client,
    KUBELET_SERVING: _check_kubelet_serving,
    API_CLIENT: _check_api_client,
    LEGACY_SIGNER: _check_nothing,
}
