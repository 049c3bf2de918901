"""Secrets with kubeconfigs for logical clusters, for people who have only kubectl (spec.kubeconfigSecret).

A Secret of somebody else is left alone. Ours belongs to the Cluster object and goes with it. Its certificate
is renewed before it expires, and what somebody changes or deletes is written anew.
"""

import base64
import datetime
import time
from collections.abc import Callable
from pathlib import Path

from pilothouse import errors, pki
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import kubeconfigs
from pilothouse.api.yaml import text as yaml
from pilothouse.authn.x509 import scope_of, scope_unit
from pilothouse.clusters.definition import NAME, condition, owned_by, owner
from pilothouse.registry.client import Client
from pilothouse.registry.store import decode
from pilothouse.storage._entry import Entry

USER, GROUPS = "kubernetes-admin", ("system:masters",)
LABEL = f"{NAME}/name"
"""The label of the Secrets, which names the cluster."""
KEYS = ("kubeconfig", "value")
"""The members of a Secret, which are the same; Cluster API calls it `value`."""
CONDITION = "KubeconfigSecretWritten"
LOOK = 86400.0
"""Seconds between two looks at a Secret, at most."""
AGAIN = 30.0
"""Seconds after which a Secret that could not be written is tried again."""


class ClusterKubeconfigs:
    """Keeps the Secrets of one server's clusters.

    files: the server's CA. changed: told the name of a cluster whose Secret has changed.
    """

    def __init__(self, client: Client, files: pki.Files, changed: Callable[[str], None]) -> None:
        self._client = client
        self._files = files
        self._changed = changed
        self._secrets = client.resource("", "v1", "secrets")
        self._forget: Callable[[], None] | None = None

    def close(self) -> None:
        """Follow the Secrets no more."""
        if self._forget is not None:
            self._forget()

    async def sync(self, obj: Object, url: str, place: Object | None) -> tuple[float | None, Object | None]:
        """Write the Secret at `place` and remove the one that was elsewhere.

        Returns the seconds after which to look again, and the condition of the cluster.
        """
        known = (obj.get("status") or {}).get("kubeconfigSecret")
        if known is not None and known != place:
            await self.remove(obj, known)
        if place is None:
            return None, None
        self._follow()
        where = f"{place['namespace']}/{place['name']}"
        try:
            left = await self._keep(obj, url, place)
        except errors.StatusError as error:
            return AGAIN, condition(CONDITION, "False", error.reason or "Failed", error.message)
        return min(left, LOOK), condition(
            CONDITION, "True", "Written", f"the Secret {where} has a kubeconfig"
        )

    async def remove(self, obj: Object, place: Object) -> None:
        """Delete a Secret, if it belongs to the cluster."""
        found = self._client.get(self._secrets, place["namespace"], place["name"])
        if found is not None and owned_by(found, obj):
            options = {"preconditions": {"uid": found["metadata"]["uid"]}}
            await self._client.delete(self._secrets, place["namespace"], place["name"], options)

    async def _keep(self, obj: Object, url: str, place: Object) -> float:
        """Write a Secret unless it is good, and tell for how many seconds it is."""
        name, namespace, secret = obj["metadata"]["name"], place["namespace"], place["name"]
        uid = obj["metadata"]["uid"]
        found = self._client.get(self._secrets, namespace, secret)
        if found is not None and not owned_by(found, obj):
            raise errors.conflict("", "secrets", secret, f"it does not belong to the cluster {name}")
        authority, ca = self._authority()
        texts = {(found.get("data") or {}).get(key, "") for key in KEYS} if found is not None else {""}
        left = self._left(texts.pop(), uid, url, authority, ca) if len(texts) == 1 else 0.0
        if left > 0:
            return left
        cert, key = authority.issue(USER, GROUPS, server=False, unit=scope_unit(uid))
        text = kubeconfigs.of_user(url, ca, cert=cert, key=key, name=name)
        data = dict.fromkeys(KEYS, base64.b64encode(text).decode())
        if found is None:
            await self._client.create(self._secrets, _secret(obj, place, data))
        else:
            await self._client.change(
                self._secrets, namespace, secret, lambda live: _fill(live, data), uid=found["metadata"]["uid"]
            )
        return self._left(data[KEYS[0]], uid, url, authority, ca)

    def _authority(self) -> tuple[pki.CertificateAuthority, bytes]:
        """The CA that signs, and the PEM of the one by which clients trust the server."""
        cert, key = Path(self._files.issuer_cert), Path(self._files.issuer_key)
        found = pki.CertificateAuthority.load(cert, key, datetime.timedelta(0))
        if found is None:
            raise errors.internal(f"the CA in {cert} cannot be used")
        return found, Path(self._files.ca_cert).read_bytes()

    def _left(self, text: str, uid: str, url: str, authority: pki.CertificateAuthority, ca: bytes) -> float:
        """Seconds until a kubeconfig is renewed; 0 for one that is not what is wanted."""
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        wanted = {"certificate-authority-data": base64.b64encode(ca).decode(), "server": url}
        try:
            config = yaml.parse(base64.b64decode(text)).value
            user = config["users"][0]["user"]
            cert = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
            cert.verify_directly_issued_by(authority.certificate)
            right = config["clusters"][0]["cluster"] == wanted and bool(user["client-key-data"])
        except (ValueError, TypeError, LookupError, yaml.YAMLError, InvalidSignature):
            return 0.0
        if not right or scope_of(cert) != uid:
            return 0.0
        end = cert.not_valid_after_utc
        if end >= authority.certificate.not_valid_after_utc:  # a new one would not last longer
            return LOOK
        return max((end - pki.RENEW_BEFORE).timestamp() - time.time(), 0.0)

    def _follow(self) -> None:
        """Hear of Secrets that others change, from the first cluster on that has one."""
        if self._forget is None:
            self._forget = self._client.store.cache(self._secrets).subscribe(self._heard)

    def _heard(self, new: Entry | None, old: Entry | None) -> None:
        entry = old if old is not None else new
        if entry is not None and LABEL.encode() in entry.value:
            name = (decode(entry)["metadata"].get("labels") or {}).get(LABEL)
            if name:
                self._changed(name)


def _secret(obj: Object, place: Object, data: dict[str, str]) -> Object:
    metadata = obj["metadata"]
    return {
        "metadata": {
            "name": place["name"],
            "namespace": place["namespace"],
            "labels": {LABEL: metadata["name"]},
            "ownerReferences": [owner(obj)],
        },
        "type": "Opaque",
        "data": data,
    }


def _fill(live: Object, data: dict[str, str]) -> None:
    live["data"] = data
