"""Keeps the config map by which aggregated servers know clients and front proxies
(clusterauthenticationtrust).

kube-system/extension-apiserver-authentication has the CAs and headers of all servers of the cluster: each
adds its own, and CAs that have expired go.
"""

import datetime
import json
from collections.abc import Callable, Mapping

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.bootstrap import TRUST
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.storage._entry import Entry

NAMESPACE = "kube-system"
CLIENT_CA, PROXY_CA = "client-ca-file", "requestheader-client-ca-file"
LISTS = (
    "requestheader-username-headers",
    "requestheader-uid-headers",
    "requestheader-group-headers",
    "requestheader-extra-headers-prefix",
    "requestheader-allowed-names",
)
SLACK = datetime.timedelta(minutes=5)
AGAIN = 3600.0
"""Seconds after which CAs are looked at again."""
FIRST = 60.0
"""Seconds after which they are read where a start has nothing to merge: some may have expired."""


class AuthenticationTrust(Background):
    """Merges the CAs and headers that this server uses, which `own` returns, into the config map when
    they change.

    `now` gives the time.
    """

    def __init__(
        self,
        client: Client,
        own: Callable[[], Mapping[str, str]],
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._client = client
        self._own = own
        self._now = now
        self._resource = client.resource("", "v1", "configmaps")
        self._key = self._resource.key(NAMESPACE, TRUST)
        self._queue = WorkQueue("cluster-authentication-trust", self._merge, metrics=client.metrics)
        self._forget: Callable[[], None] = lambda: None
        self._read = False
        """Whether the CAs were read, or will be soon."""

    def start(self) -> None:
        self._forget = self._client.store.cache(self._resource).subscribe(self._changed)
        self._queue.add(TRUST)

    def look(self) -> None:
        """Merge once more: this server uses other CAs now."""
        self._queue.add(TRUST)

    async def close(self) -> None:
        self._forget()
        await self._queue.close()

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new if new is not None else old
        if entry is not None and entry.key == self._key:
            self._queue.add(TRUST)

    async def _merge(self, key: str) -> float | None:
        live, own = self._client.get(self._resource, NAMESPACE, TRUST), self._own()
        read, self._read = self._read, True
        if not read and live is not None and live.get("data") == own:
            return FIRST
        data = merged((live or {}).get("data") or {}, own, self._now())
        if live is None:
            metadata = {"name": TRUST, "namespace": NAMESPACE}
            new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            await self._client.create(self._resource, new)
        elif (live.get("data") or {}) != data:
            await self._write(live["metadata"]["uid"])
        return AGAIN

    async def _write(self, uid: str) -> None:
        def edit(obj: Object) -> None:
            obj["data"] = merged(obj.get("data") or {}, self._own(), self._now())

        try:
            await self._client.change(self._resource, NAMESPACE, TRUST, edit, uid=uid)
        except (errors.NotFound, errors.Conflict):
            return
        except (errors.RequestEntityTooLarge, errors.Invalid) as error:
            if isinstance(error, errors.RequestEntityTooLarge) or "Too long" in error.message:
                await self._client.delete(
                    self._resource, NAMESPACE, TRUST
                )  # every server adds its part again
            raise


def merged(live: Mapping[str, str], own: Mapping[str, str], now: datetime.datetime) -> dict[str, str]:
    """The new content of the config map:
    what is there, then what is missing of our own, without expired CAs."""
    out: dict[str, str] = {}
    client_ca = _certificates(live.get(CLIENT_CA, "") + "\n" + own.get(CLIENT_CA, ""), now)
    proxy_ca = _certificates(live.get(PROXY_CA, "") + "\n" + own.get(PROXY_CA, ""), now)
    if client_ca:
        out[CLIENT_CA] = client_ca
    if proxy_ca:
        out[PROXY_CA] = proxy_ca
        for name in LISTS:
            values = [*json.loads(live.get(name) or "[]"), *json.loads(own.get(name) or "[]")]
            out[name] = json.dumps(list(dict.fromkeys(values)), separators=(",", ":"))
    return out


def _certificates(pem: str, now: datetime.datetime) -> str:
    """Each certificate of a bundle once, without those that have expired;
    ValueError when it cannot be read."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if not pem.strip():
        return ""
    found = dict.fromkeys(x509.load_pem_x509_certificates(pem.encode()))
    kept = [one for one in found if one.not_valid_after_utc > now - SLACK]
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in kept)
