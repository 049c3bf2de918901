"""The URL to which the clientConfig of a webhook leads."""

import base64
import pathlib
from typing import Any

import pytest

from pilothouse.outbound.http import Trust
from pilothouse.outbound.kubeconfig import Users
from pilothouse.outbound.webhook import HEADERS, UnusableWebhook, WebhookError, WebhookTarget
from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import Unroutable
from pilothouse.registry.webhook_target import target_of

CA = base64.b64encode(b"PEM").decode()


class Resolves:
    def __init__(self) -> None:
        self.asked: list[AggregatedServer] = []

    def url(self, backend: AggregatedServer) -> str:
        self.asked.append(backend)
        if backend.name == "gone":
            raise Unroutable('service "gone" not found')
        return "https://10.0.0.7:8443"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://h.example:8443", "https://h.example:8443/"),
        ("https://h.example/a//b/", "https://h.example/a/b"),
        ("https://h.example/a/../b/./c", "https://h.example/b/c"),
        ("https://h.example/a%2Fb", "https://h.example/a%2Fb"),
        ("https://[::1]:9/x", "https://[::1]:9/x"),
    ],
)
def test_a_url(given: str, url: str) -> None:
    asked = f"{url}?timeout=3s"
    found = target_of({"url": given, "caBundle": CA}, Resolves(), 2.5)
    assert found == WebhookTarget(asked, asked, HEADERS, Trust(ca=b"PEM"))


@pytest.mark.parametrize("text", ["", None, base64.b64encode(b" \n").decode()])
def test_no_bundle_is_the_system_s(text: Any) -> None:
    assert target_of({"url": "https://h/x", "caBundle": text}, Resolves(), 30).trust == Trust()


def test_a_service() -> None:
    resolver = Resolves()
    service: dict[str, Any] = {"name": "hook", "namespace": "ns"}
    shown = "https://hook.ns.svc:443/?timeout=30s"
    trust = Trust(ca=b"PEM", server_name="hook.ns.svc")
    found = target_of({"service": service, "caBundle": CA}, resolver, 30)
    host = ("Host", "hook.ns.svc:443")
    assert found == WebhookTarget(shown, "https://10.0.0.7:8443/?timeout=30s", (host, *HEADERS), trust, True)
    found = target_of({"service": {**service, "port": 9443, "path": "/a/"}}, resolver, 1)
    assert found.shown == "https://hook.ns.svc:9443/a?timeout=1s"
    assert found.url == "https://10.0.0.7:8443/a?timeout=1s"
    assert [(b.namespace, b.name, b.port) for b in resolver.asked] == [
        ("ns", "hook", 443),
        ("ns", "hook", 9443),
    ]


def test_what_leads_nowhere() -> None:
    why = 'Post "https://gone.ns.svc:443/?timeout=30s": service "gone" not found'
    with pytest.raises(WebhookError) as caught:
        target_of({"service": {"name": "gone", "namespace": "ns"}}, Resolves(), 30)
    assert str(caught.value) == why
    assert caught.value.code == 503


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"url": "https://h/x", "caBundle": "a"}, "unable to load root certificates: "),
        ({"url": "https://h:x/y"}, "Unparsable URL: "),
        ({}, "webhook configuration must have either service or URL"),
    ],
)
def test_what_no_client_can_be_made_of(config: Any, why: str) -> None:
    with pytest.raises(UnusableWebhook) as caught:
        target_of(config, Resolves(), 30)
    assert str(caught.value).startswith(why) and caught.value.code == 500


def test_credentials_are_the_host_s(tmp_path: pathlib.Path) -> None:
    known = {
        "h.example": {"token": "t"},
        "*.svc": {"client-certificate": "c.crt", "client-key": "c.key"},
        "gone": {"tokenFile": "none"},
    }
    users = Users(tmp_path, known)
    for url in ("https://h.example/x", "https://h.example:443/x"):
        assert ("Authorization", "Bearer t") in target_of({"url": url}, Resolves(), 30, users).headers
    assert target_of({"url": "https://h.example:8443/x"}, Resolves(), 30, users).headers == HEADERS
    service = {"service": {"name": "hook", "namespace": "ns"}, "caBundle": CA}
    trust = target_of(service, Resolves(), 30, users).trust
    assert (trust.ca, trust.server_name) == (b"PEM", "hook.ns.svc")
    assert trust.cert_file.endswith("c.crt") and trust.key_file.endswith("c.key")
    with pytest.raises(UnusableWebhook):
        target_of({"url": "https://gone/x"}, Resolves(), 30, users)
