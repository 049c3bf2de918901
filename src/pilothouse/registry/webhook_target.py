"""Finds where the `clientConfig` of a webhook leads:
its URL, or the Service that it names (apiserver util/webhook)."""

import posixpath
from typing import Protocol
from urllib.parse import quote as escape

from pilothouse.api.urls import parsed
from pilothouse.api.values.fields import Object
from pilothouse.outbound.http import Trust, bundle
from pilothouse.outbound.kubeconfig import Users
from pilothouse.outbound.webhook import HEADERS, UnusableWebhook, WebhookError, WebhookTarget, query_for
from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import Unroutable

PORT = 443
"""The port of a Service or URL that names none."""

NOBODY = Users()
"""Users without credentials for any host."""


class Resolver(Protocol):
    """Finds the URL of a Service's port (registry.service_resolver.ServiceResolver)."""

    def url(self, backend: AggregatedServer) -> str:
        """The URL of a backend's root; raises Unroutable."""


def target_of(config: Object, resolver: Resolver, seconds: float, users: Users = NOBODY) -> WebhookTarget:
    """The target of a review that has so many seconds.

    UnusableWebhook when no client can be made of the clientConfig or of the credentials that `users` have
    for its host; WebhookError when the Service cannot be resolved. A Service is asked as
    `NAME.NAMESPACE.svc`, whatever address it was resolved to: its certificate has that name.
    """
    query = query_for(seconds)
    service = config.get("service")
    if service:
        return _service_of(service, config, resolver, query, users)
    try:
        url = parsed(config.get("url") or "")
        port = url.port
    except ValueError as err:
        raise UnusableWebhook(f"Unparsable URL: {err}") from None
    if not url.netloc:
        raise UnusableWebhook("webhook configuration must have either service or URL")
    shown = f"{url.scheme}://{url.netloc}{_clean(url.path)}{query}"
    host = url.netloc if port is not None else f"{url.netloc}:{PORT}"
    return WebhookTarget(shown, shown, *_known_as(host, config, "", users))


def _service_of(
    service: Object, config: Object, resolver: Resolver, query: str, users: Users
) -> WebhookTarget:
    port, name = service.get("port") or PORT, f"{service['name']}.{service['namespace']}.svc"
    way, host = f"{_clean(service.get('path') or '')}{query}", f"{name}:{port}"
    headers, trust = _known_as(host, config, name, users)
    shown = f"https://{host}{way}"
    try:
        root = resolver.url(AggregatedServer("", service["namespace"], service["name"], port))
    except Unroutable as err:
        raise WebhookError(f'Post "{shown}": {err}') from None
    return WebhookTarget(shown, f"{root}{way}", (("Host", host), *headers), trust, service=True)


def _known_as(
    host: str, config: Object, server_name: str, users: Users
) -> tuple[tuple[tuple[str, str], ...], Trust]:
    """The headers and the trust for `host:port`: how the two sides know each other."""
    try:
        ca = bundle(config.get("caBundle") or "")
    except ValueError as err:
        raise UnusableWebhook(f"unable to load root certificates: {err}") from None
    try:
        headers, own = users.for_host(host)
    except (OSError, ValueError) as err:
        raise UnusableWebhook(str(err)) from None
    if not ca.strip():  # a bundle of white space is a placeholder that others fill in
        ca = b""
    trust = Trust(
        ca,
        insecure=False,
        server_name=server_name,
        cert_file=own.cert_file,
        key_file=own.key_file,
        cert=own.cert,
        key=own.key,
    )
    return (*HEADERS, *headers), trust


def _clean(path: str) -> str:
    """A path as client-go makes it: a slash at its beginning,
    none at its end, and no empty segments or dots."""
    return escape(posixpath.normpath("/" + path.lstrip("/")), safe="/%~!$&'()*+,;=:@-._")
