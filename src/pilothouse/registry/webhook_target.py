"""Finds where the `clientConfig` of a webhook leads: its URL, or the Service that it names (apiserver util/webhook)."""

import binascii
from typing import Protocol
from urllib.parse import urlsplit

from pilothouse.api.fields import Object
from pilothouse.outbound.http import Trust, bundle
from pilothouse.outbound.webhook import SECONDS, Target, WebhookError
from pilothouse.registry.resource import Backend
from pilothouse.registry.service_resolver import Unroutable

PORT = 443
"""The port of a Service when the clientConfig names none."""


class Resolver(Protocol):
    """Finds the URL of a Service's port (registry.service_resolver.ServiceResolver)."""

    def url(self, backend: Backend) -> str:
        """The URL of a backend's root; raises Unroutable."""


def target_of(config: Object, resolver: Resolver) -> Target:
    """Where to post reviews now; WebhookError when the Service cannot be resolved.

    A Service is asked as `NAME.NAMESPACE.svc`, whatever address it was resolved to: its certificate has that name.
    """
    ca = _bundle(config.get("caBundle") or "")
    service = config.get("service")
    if not service:
        url = urlsplit(config.get("url") or "")
        shown = f"{url.scheme}://{url.netloc}{_clean(url.path)}"
        return Target(shown, shown, Trust(ca=ca))
    port, path = service.get("port") or PORT, _clean(service.get("path") or "")
    name = f"{service['name']}.{service['namespace']}.svc"
    shown = f"https://{name}:{port}{path}"
    try:
        root = resolver.url(Backend("", service["namespace"], service["name"], port))
    except Unroutable as err:
        raise WebhookError(f'Post "{shown}?timeout={SECONDS}s": {err}') from None
    return Target(shown, root + path, Trust(ca=ca, server_name=name), f"{name}:{port}")


def _clean(path: str) -> str:
    """A path without empty segments and without a slash at its end, as upstream's client asks for it."""
    return "/" + "/".join(filter(None, path.split("/")))


def _bundle(text: str) -> bytes:
    """A caBundle as PEM; one of white space alone is none."""
    try:
        pem = bundle(text)
    except binascii.Error as err:
        raise WebhookError(f"unable to load root certificates: {err}") from None
    return pem if pem.strip() else b""
