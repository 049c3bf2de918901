"""Where the clientConfig of a webhook leads."""

import base64
from typing import Any

import pytest

from pilothouse.outbound.http import Trust
from pilothouse.outbound.webhook import Target, WebhookError
from pilothouse.registry.resource import Backend
from pilothouse.registry.service_resolver import Unroutable
from pilothouse.registry.webhook_target import target_of

CA = base64.b64encode(b"PEM").decode()


class Resolves:
    def __init__(self) -> None:
        self.asked: list[Backend] = []

    def url(self, backend: Backend) -> str:
        self.asked.append(backend)
        if backend.name == "gone":
            raise Unroutable('service "gone" not found')
        return "https://10.0.0.7:8443"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://h.example:8443", "https://h.example:8443/"),
        ("https://h.example/a//b/", "https://h.example/a/b"),
        ("https://[::1]:9/x", "https://[::1]:9/x"),
    ],
)
def test_a_url(given: str, url: str) -> None:
    assert target_of({"url": given, "caBundle": CA}, Resolves()) == Target(url, url, Trust(ca=b"PEM"))


@pytest.mark.parametrize("text", ["", None, base64.b64encode(b" \n").decode()])
def test_no_bundle_is_the_system_s(text: Any) -> None:
    assert target_of({"url": "https://h/x", "caBundle": text}, Resolves()).trust == Trust()


def test_a_service() -> None:
    resolver = Resolves()
    service: dict[str, Any] = {"name": "hook", "namespace": "ns"}
    shown = "https://hook.ns.svc:443/"
    trust = Trust(ca=b"PEM", server_name="hook.ns.svc")
    found = target_of({"service": service, "caBundle": CA}, resolver)
    assert found == Target(shown, "https://10.0.0.7:8443/", trust, "hook.ns.svc:443")
    found = target_of({"service": {**service, "port": 9443, "path": "/a/"}}, resolver)
    assert (found.shown, found.url) == ("https://hook.ns.svc:9443/a", "https://10.0.0.7:8443/a")
    assert [(b.namespace, b.name, b.port) for b in resolver.asked] == [
        ("ns", "hook", 443),
        ("ns", "hook", 9443),
    ]


def test_what_leads_nowhere() -> None:
    why = 'Post "https://gone.ns.svc:443/?timeout=30s": service "gone" not found'
    with pytest.raises(WebhookError) as caught:
        target_of({"service": {"name": "gone", "namespace": "ns"}}, Resolves())
    assert str(caught.value) == why
    with pytest.raises(WebhookError, match="unable to load root certificates"):
        target_of({"url": "https://h/x", "caBundle": "a"}, Resolves())
