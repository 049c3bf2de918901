"""Service account tokens: issues bound ones, verifies bound and legacy ones, publishes the discovery document."""

import base64
import hmac
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilothouse import errors
from pilothouse.api import fields
from pilothouse.api.fields import Object
from pilothouse.api.identity import User
from pilothouse.authn import keys
from pilothouse.authn.authenticator import TokenIdentity
from pilothouse.authn.x509 import CREDENTIAL_ID
from pilothouse.registry.readers import Readers

LEGACY_ISSUER = "kubernetes/serviceaccount"
GROUP = "authentication.k8s.io"

_PREFIX = "system:serviceaccount:"
_CLAIMS = "kubernetes.io"
_LEGACY_CLAIMS = "kubernetes.io/serviceaccount/"
_INVALIDATED = "service account token has been invalidated"
_LEEWAY = 60.0
"""Seconds of clock skew that are forgiven (go-jose's DefaultLeeway)."""
_INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
_WARN_ONLY = 3607
"""The lifetime, in seconds, that kubelets request by default; such tokens are valid for a year and warn after it."""
_EXTENDED = 365 * 24 * 3600


def username(namespace: str, name: str) -> str:
    return f"{_PREFIX}{namespace}:{name}"


def groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


@dataclass(slots=True, frozen=True)
class TokenIssuer:
    """Answers TokenRequests. `audiences` are the API server's; `max_expiration` in seconds, 0 = no limit.

    `clock` gives Unix seconds.
    """

    issuer: str
    key: keys.SigningKey
    readers: Readers
    audiences: tuple[str, ...]
    max_expiration: int = 0
    extend_expiration: bool = True
    clock: Callable[[], float] = time.time

    def request(self, obj: Object, namespace: str, name: str) -> tuple[Object, list[str]]:
        """The TokenRequest with a token for the service account, and warnings."""
        return self.issue(self.prepare(obj, namespace, name))

    def prepare(self, obj: Object, namespace: str, name: str) -> Object:
        """The TokenRequest completed and checked: what validating admission is shown."""
        metadata = dict(obj.get("metadata") or {})
        causes = fields.Errors()
        if metadata.get("name", name) != name:
            causes.invalid(
                "metadata.name", metadata["name"], "must match the service account name if specified"
            )
        elif metadata.get("namespace", namespace) != namespace:
            why = "must match the service account namespace if specified"
            causes.invalid("metadata.namespace", metadata["namespace"], why)
        causes.raise_if_any(GROUP, "TokenRequest", name)
        account = _existing(self.readers, "serviceaccounts", namespace, name)
        uid = account["metadata"]["uid"]
        if metadata.get("uid", uid) != uid:
            raise errors.conflict(
                GROUP,
                "TokenRequest",
                name,
                f"the UID in the token request ({metadata['uid']}) does not match "
                f"the UID of the service account ({uid})",
            )
        metadata.update(name=name, namespace=namespace, uid=uid, creationTimestamp=_format(self.clock()))
        given = obj.get("spec") or {}
        seconds = given.get("expirationSeconds")
        spec = {
            **given,
            "audiences": given.get("audiences") or list(self.audiences),
            "expirationSeconds": 3600 if seconds is None else seconds,
            "boundObjectRef": given.get("boundObjectRef"),
        }
        _validate(spec)
        return {
            **obj,
            "metadata": metadata,
            "spec": spec,
            "status": {"token": "", "expirationTimestamp": None},
        }

    def issue(self, obj: Object) -> tuple[Object, list[str]]:
        """The prepared TokenRequest with its token, and warnings."""
        metadata, spec, warnings = obj["metadata"], obj["spec"], []
        account = _existing(self.readers, "serviceaccounts", metadata["namespace"], metadata["name"])
        bound = _bound(self.readers, account, spec["boundObjectRef"])
        seconds = spec["expirationSeconds"]
        if 0 < self.max_expiration < seconds:
            warnings.append(
                f"requested expiration of {seconds} seconds shortened to {self.max_expiration} seconds"
            )
            seconds = self.max_expiration
            spec = {**spec, "expirationSeconds": seconds}
        now = self.clock()
        lifetime, warn_after = seconds, 0
        if self._extends(spec, bound):
            lifetime, warn_after = _EXTENDED, seconds
        claims = _claims(account, bound, int(now), lifetime, warn_after)
        claims.update(iss=self.issuer, aud=spec["audiences"])
        status = {"token": self.key.sign(claims), "expirationTimestamp": _format(now + seconds)}
        return {**obj, "spec": spec, "status": status}, warnings

    def _extends(self, spec: Object, bound: dict[str, Object]) -> bool:
        return (
            self.extend_expiration
            and "pod" in bound
            and spec["expirationSeconds"] == _WARN_ONLY
            and set(spec["audiences"]) <= set(self.audiences)
        )


def _validate(spec: Object) -> None:
    causes, seconds = fields.Errors(), spec["expirationSeconds"]
    if seconds < 600:
        causes.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 1 << 32:
        causes.invalid(
            "spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
        )
    causes.raise_if_any(GROUP, "TokenRequest", "")


def _existing(readers: Readers, resource: str, namespace: str, name: str) -> Object:
    if not name:
        raise errors.BadRequest("Name parameter required.")
    found = readers.get(resource, namespace, name)
    if found is None:
        raise errors.not_found("", resource, name)
    return found


def _bound(readers: Readers, account: Object, ref: Object | None) -> dict[str, Object]:
    """The objects a token is bound to by claim name: a pod and its node, a node, or a secret."""
    if ref is None:
        return {}
    namespace, name = account["metadata"]["namespace"], ref.get("name", "")
    group, _, version = ref.get("apiVersion", "").rpartition("/")
    kind, bound = ref.get("kind", ""), {}
    if group == "" and kind == "Pod":
        target = bound["pod"] = _existing(readers, "pods", namespace, name)
        spec = target.get("spec") or {}
        if spec.get("serviceAccountName", "") != account["metadata"]["name"]:
            own = fields.quote(account["metadata"]["name"])
            raise errors.BadRequest(
                f"cannot bind token for serviceaccount {own} to pod running "
                "with different serviceaccount name."
            )
        if node := spec.get("nodeName"):
            # A node that is gone still tells its name.
            bound["node"] = readers.get("nodes", "", node) or {"metadata": {"name": node}}
    elif group == "" and kind == "Node":
        target = bound["node"] = _existing(readers, "nodes", "", name)
    elif group == "" and kind == "Secret":
        target = bound["secret"] = _existing(readers, "secrets", namespace, name)
    else:
        raise errors.BadRequest(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
    uid = ref.get("uid")
    if uid and uid != target["metadata"]["uid"]:
        raise errors.conflict(
            group,
            kind,
            name,
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        )
    return bound


def _claims(
    account: Object, bound: dict[str, Object], now: int, lifetime: int, warn_after: int
) -> dict[str, Any]:
    namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
    private: dict[str, Any] = {"namespace": namespace, "serviceaccount": _ref(account)}
    private.update({claim: _ref(obj) for claim, obj in bound.items()})
    if warn_after:
        private["warnafter"] = now + warn_after
    return {
        "jti": str(uuid.uuid4()),
        "sub": username(namespace, name),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        _CLAIMS: private,
    }


def _ref(obj: Object) -> dict[str, str]:
    metadata = obj["metadata"]
    return {member: metadata[member] for member in ("name", "uid") if metadata.get(member)}


def _format(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def discovery_document(issuer: str, jwks_uri: str, public: Sequence[keys.VerifyKey]) -> dict[str, Any]:
    """`/.well-known/openid-configuration`."""
    return {
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": keys.algorithms(public),
    }


class ServiceAccountTokens:
    """Checks tokens that this cluster issued. Without `lookup` legacy tokens are good by signature alone.

    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        public: Sequence[keys.VerifyKey],
        issuers: Sequence[str],
        audiences: Sequence[str],
        readers: Readers,
        lookup: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.public = tuple(public)
        self.issuers = frozenset(issuers)
        self.audiences = tuple(audiences)
        self.readers = readers
        self.lookup = lookup
        self._clock = clock

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        parts = keys.read(token)
        issuer = parts[1].get("iss") if parts else None
        if parts is None or not isinstance(issuer, str):
            return None
        if issuer not in self.issuers and issuer != LEGACY_ISSUER:
            return None
        header, claims = parts
        try:
            keys.verify(token, header, self.public)
        except keys.BadSignature as error:
            raise errors.Unauthorized(str(error)) from None
        legacy = issuer == LEGACY_ISSUER and (issuer not in self.issuers or _CLAIMS not in claims)
        try:
            dates = {name: keys.seconds(claims[name]) for name in _DATES if claims.get(name) is not None}
            own = keys.texts(claims.get("aud"))
            _texts_only(claims, ("sub", "jti"))
            private = _Claims(None if legacy else claims.get(_CLAIMS))
        except ValueError as error:
            raise errors.Unauthorized(str(error)) from None
        both = self._audiences(own, audiences)
        if legacy:
            return TokenIdentity(self._check_legacy(token, claims), both)
        return TokenIdentity(self._check_bound(claims, dates, private), both)

    def _audiences(self, own: tuple[str, ...], asked: Sequence[str]) -> tuple[str, ...]:
        own = own or self.audiences
        wanted = tuple(asked) or self.audiences
        both = tuple(a for a in own if a in wanted)
        if not both and self.audiences:
            raise errors.Unauthorized(
                f"token audiences {_quoted(own)} is invalid for the target audiences {_quoted(wanted)}"
            )
        return both

    def _check_bound(self, claims: dict[str, Any], dates: dict[str, int], private: "_Claims") -> User:
        now = self._clock()
        _check_times(dates, now)
        namespace, name, uid = private.namespace, *private.ref("serviceaccount")
        account = self.readers.get("serviceaccounts", namespace, name)
        if account is None:
            raise errors.Unauthorized(f'serviceaccounts "{name}" not found')
        if _deleted(account, now):
            raise errors.Unauthorized(f"service account {namespace}/{name} has been deleted")
        if account["metadata"]["uid"] != uid:
            raise errors.Unauthorized(
                f"service account UID ({account['metadata']['uid']}) does not match claim ({uid})"
            )
        extra: dict[str, list[str]] = {}
        if jti := claims.get("jti"):
            extra[CREDENTIAL_ID] = [f"JTI={jti}"]
        if private.has("secret"):
            self._check_ref(private, "secret", namespace, now)
        if private.has("pod"):
            pod_name, pod_uid = self._check_ref(private, "pod", namespace, now)
            extra["authentication.kubernetes.io/pod-name"] = [pod_name]
            extra["authentication.kubernetes.io/pod-uid"] = [pod_uid]
        if private.has("node"):
            # Beside a pod the node only informs: the pod may outlive it.
            bound = not private.has("pod")
            node, node_uid = self._check_ref(private, "node", "", now) if bound else private.ref("node")
            extra["authentication.kubernetes.io/node-name"] = [node]
            if node_uid:
                extra["authentication.kubernetes.io/node-uid"] = [node_uid]
        return User(username(namespace, name), uid, groups(namespace), extra)

    def _check_ref(self, private: "_Claims", kind: str, namespace: str, now: float) -> tuple[str, str]:
        name, uid = private.ref(kind)
        obj = self.readers.get(f"{kind}s", namespace, name)
        if obj is None or _deleted(obj, now):
            raise errors.Unauthorized(_INVALIDATED)
        if obj["metadata"]["uid"] != uid:
            raise errors.Unauthorized(
                f"{kind} UID ({obj['metadata']['uid']}) does not match "
                f"service account {kind} ref claim ({uid})"
            )
        return name, uid

    def _check_legacy(self, token: str, claims: dict[str, Any]) -> User:
        values: dict[str, str] = {}
        for claim, member in _LEGACY_MEMBERS.items():
            value = claims.get(member)
            if not isinstance(value, str) or not value:
                raise errors.Unauthorized(f"{claim} claim is missing")
            values[claim] = value
        namespace, name, uid = values["namespace"], values["serviceAccountName"], values["serviceAccountUID"]
        if values["sub"] != username(namespace, name):
            raise errors.Unauthorized("sub claim is invalid")
        if self.lookup:
            self._check_legacy_objects(token, namespace, values["secretName"], name, uid)
        return User(username(namespace, name), uid, groups(namespace))

    def _check_legacy_objects(
        self, token: str, namespace: str, secret_name: str, name: str, uid: str
    ) -> None:
        secret = self.readers.get("secrets", namespace, secret_name)
        if secret is None or secret["metadata"].get("deletionTimestamp"):
            raise errors.Unauthorized(_INVALIDATED)
        data = base64.b64decode((secret.get("data") or {}).get("token", ""))
        if not hmac.compare_digest(data, token.encode()):
            raise errors.Unauthorized("service account token does not match server's copy")
        account = self.readers.get("serviceaccounts", namespace, name)
        if account is None:
            raise errors.Unauthorized(f'serviceaccounts "{name}" not found')
        if account["metadata"].get("deletionTimestamp"):
            raise errors.Unauthorized(f"ServiceAccount {namespace}/{name} has been deleted")
        if account["metadata"]["uid"] != uid:
            raise errors.Unauthorized(
                f"ServiceAccount UID ({account['metadata']['uid']}) does not match claim ({uid})"
            )
        if (secret["metadata"].get("labels") or {}).get(_INVALID_SINCE):
            raise errors.Unauthorized(
                f"the token in secret {namespace}/{secret_name} for service account {namespace}/{name} has "
                "been marked invalid. Use tokens from the TokenRequest API or manually created secret-based "
                f"tokens, or remove the '{_INVALID_SINCE}' label from the secret to temporarily allow use of "
                "this token"
            )


_LEGACY_MEMBERS = {
    "sub": "sub",
    "namespace": _LEGACY_CLAIMS + "namespace",
    "secretName": _LEGACY_CLAIMS + "secret.name",
    "serviceAccountName": _LEGACY_CLAIMS + "service-account.name",
    "serviceAccountUID": _LEGACY_CLAIMS + "service-account.uid",
}


_DATES = ("exp", "nbf", "iat")


def _texts_only(members: dict[str, Any], names: Sequence[str]) -> None:
    """ValueError, in the words of Go's decoder, when one of the members is there and no text."""
    for name in names:
        _of_kind(members.get(name), str, "string")


def _of_kind(value: Any, kind: type, go_type: str) -> None:
    if value is not None and not isinstance(value, kind):
        what = {bool: "bool", str: "string", dict: "object", list: "array"}.get(type(value), "number")
        raise ValueError(f"json: cannot unmarshal {what} into Go value of type {go_type}")


class _Claims:
    """The `kubernetes.io` claims, read with suspicion: signed, but perhaps not by us. ValueError for wrong types."""

    __slots__ = ("claims", "namespace")

    def __init__(self, claims: Any) -> None:
        _of_kind(claims, dict, "serviceaccount.kubernetes")
        self.claims: dict[str, Any] = claims or {}
        _texts_only(self.claims, ("namespace",))
        for kind in ("serviceaccount", "secret", "pod", "node"):
            _of_kind(self.claims.get(kind), dict, "serviceaccount.ref")
            _texts_only(self.claims.get(kind) or {}, ("name", "uid"))
        if self.claims.get("warnafter") is not None:
            keys.seconds(self.claims["warnafter"])
        self.namespace: str = self.claims.get("namespace") or ""

    def has(self, kind: str) -> bool:
        return self.claims.get(kind) is not None

    def ref(self, kind: str) -> tuple[str, str]:
        ref = self.claims.get(kind) or {}
        return ref.get("name") or "", ref.get("uid") or ""


def _check_times(dates: dict[str, int], now: float) -> None:
    if "nbf" in dates and now + _LEEWAY < dates["nbf"]:
        raise errors.Unauthorized("service account token is not valid yet")
    if "exp" in dates and now - _LEEWAY > dates["exp"]:
        raise errors.Unauthorized("service account token has expired")
    if "iat" in dates and now + _LEEWAY < dates["iat"]:
        raise errors.Unauthorized("service account token is issued in the future")


def _deleted(obj: Object, now: float) -> bool:
    when = obj["metadata"].get("deletionTimestamp")
    return bool(when) and datetime.fromisoformat(when).timestamp() < now - _LEEWAY


def _quoted(texts: Sequence[str]) -> str:
    return f"[{' '.join(fields.quote(t) for t in texts)}]"
