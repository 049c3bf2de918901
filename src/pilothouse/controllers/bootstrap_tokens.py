"""Looks after bootstrap tokens: deletes those that have expired,
and signs cluster-info for those who hold one.

Upstream: kube-controller-manager's pkg/controller/bootstrap, cluster-bootstrap token/jws.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable

from pilothouse import errors
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.registry.store import decode
from pilothouse.storage._entry import Entry

TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
CLUSTER_INFO = "cluster-info"
SIGNATURE = "jws-kubeconfig-"
_NAME = re.compile(r"bootstrap-token-([a-z0-9]{6})")


def token_text(secret: Object, key: str) -> str:
    """A member of a token's secret as text, "" when it is missing or no text."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "").decode()
    except ValueError:
        return ""


def expires_at(secret: Object) -> float | None:
    """The time at which a token expires, in Unix seconds;
    None = never, 0 for an expiration that cannot be read."""
    text = token_text(secret, "expiration")
    if not text:
        return None
    try:
        return times.to_seconds(text)
    except ValueError:
        return 0.0


class _Tokens(Background):
    """Follows the secrets of bootstrap tokens. `clock` gives Unix seconds, by default those of the client."""

    def __init__(self, client: Client, name: str, clock: Callable[[], float] | None) -> None:
        self._client = client
        self._clock = clock or client.clock.time
        self._secrets = client.resource("", "v1", "secrets")
        self._prefix = self._secrets.key("kube-system", PREFIX)
        self._queue = WorkQueue(
            name, self._handle, metrics=client.metrics, call_later=client.clock.call_later
        )
        self._closing: list[Callable[[], None]] = []

    def start(self) -> None:
        cache = self._client.store.cache(self._secrets)
        for entry in self._entries():
            self._token_changed(entry.key.rpartition("/")[2], entry)
        self._closing.append(cache.subscribe(self._changed))

    async def close(self) -> None:
        for forget in self._closing:
            forget()
        await self._queue.close()

    def _entries(self) -> list[Entry]:
        prefix = self._secrets.key("kube-system", "")
        found = self._client.store.cache(self._secrets).list(prefix, None).entries
        return [entry for entry in found if entry.key.startswith(self._prefix)]

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new if new is not None else old
        if entry is not None and entry.key.startswith(self._prefix):
            self._token_changed(entry.key.rpartition("/")[2], new)

    def _token_changed(self, name: str, entry: Entry | None) -> None:
        raise NotImplementedError

    async def _handle(self, key: str) -> float | None:
        raise NotImplementedError


class TokenCleaner(_Tokens):
    """Deletes tokens when they expire (the controller tokencleaner)."""

    def __init__(self, client: Client, clock: Callable[[], float] | None = None) -> None:
        super().__init__(client, "token-cleaner", clock)

    def _token_changed(self, name: str, entry: Entry | None) -> None:
        if entry is not None:
            self._queue.add(name)

    async def _handle(self, key: str) -> float | None:
        secret = self._client.get(self._secrets, "kube-system", key)
        if secret is None or secret.get("type") != TYPE:
            return None
        end = expires_at(secret)
        if end is None:
            return None
        left = end - self._clock()
        if left > 0:
            return left
        options = {"preconditions": {"uid": secret["metadata"]["uid"]}}
        await self._client.delete(self._secrets, "kube-system", key, options)
        return None


class BootstrapSigner(_Tokens):
    """Signs the kubeconfig in kube-public/cluster-info with each token that is for signing (bootstrapsigner).

    Who knows a token can so tell that the CA in it is the cluster's, before they trust the server.
    """

    def __init__(self, client: Client, clock: Callable[[], float] | None = None) -> None:
        super().__init__(client, "bootstrap-signer", clock)
        self._maps = client.resource("", "v1", "configmaps")
        self._key = self._maps.key("kube-public", CLUSTER_INFO)

    def start(self) -> None:
        super().start()
        self._closing.append(self._client.store.cache(self._maps).subscribe(self._map_changed))
        self._queue.add(CLUSTER_INFO)

    def _map_changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None and new.key == self._key:
            self._queue.add(CLUSTER_INFO)

    def _token_changed(self, name: str, entry: Entry | None) -> None:
        self._queue.add(CLUSTER_INFO)

    async def _handle(self, key: str) -> float | None:
        live = self._client.get(self._maps, "kube-public", CLUSTER_INFO)
        content = ((live or {}).get("data") or {}).get("kubeconfig")
        if live is None or content is None:
            return None
        now = self._clock()
        tokens = [one for entry in self._entries() if (one := _for_signing(decode(entry), now)) is not None]
        wanted = {SIGNATURE + name: signature(content, name, secret) for name, secret, _ in tokens}
        if {k: v for k, v in live["data"].items() if k.startswith(SIGNATURE)} != wanted:

            def edit(obj: Object) -> None:
                data = obj.setdefault("data", {})
                for name in [name for name in data if name.startswith(SIGNATURE)]:
                    del data[name]
                if data.get("kubeconfig") == content:  # a change of it comes here again
                    data.update(wanted)

            try:
                await self._client.change(self._maps, "kube-public", CLUSTER_INFO, edit)
            except errors.NotFound:
                return None
        ends = [end for _, _, end in tokens if end is not None]
        return max(min(ends) - now, 1.0) if ends else None


def _for_signing(secret: Object, now: float) -> tuple[str, str, float | None] | None:
    """Id, secret and end of a token that may sign; None for others."""
    named = _NAME.fullmatch(secret["metadata"]["name"])
    token_id, token_secret = token_text(secret, "token-id"), token_text(secret, "token-secret")
    end = expires_at(secret)
    if named is None or named[1] != token_id or not token_secret or secret.get("type") != TYPE:
        return None
    if (end is not None and end <= now) or token_text(secret, "usage-bootstrap-signing") != "true":
        return None
    return token_id, token_secret, end


def signature(content: str, token_id: str, token_secret: str) -> str:
    """A JWS (HS256) whose payload is detached (RFC 7515, appendix F)."""
    head = _encoded(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    signed = f"{head}.{_encoded(content.encode())}".encode()
    return f"{head}..{_encoded(hmac.new(token_secret.encode(), signed, hashlib.sha256).digest())}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
