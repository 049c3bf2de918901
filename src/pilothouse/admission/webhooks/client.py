"""Sends reviews to webhooks (apiserver pkg/util/webhook/client.go, client-go rest/request.go)."""

import asyncio
import math
import posixpath
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote as escape
from urllib.parse import urlsplit

from pilothouse.api import json
from pilothouse.api.fields import Object, quote
from pilothouse.outbound.http import Answer, ClientError, Outbound, Trust, bundle
from pilothouse.outbound.kubeconfig import Users
from pilothouse.registry.resource import Backend
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable

ANSWER_BYTES = 4 << 20
"""Bytes of the longest answer that is read: a patch that makes an object as large as a request may be, in base64."""
SHOWN_BYTES = 2048
"""Bytes of an error's text that are quoted."""
HEADERS = (
    ("User-Agent", "kube-apiserver-admission"),
    ("Accept", "application/json, */*"),
    ("Content-Type", "application/json"),
)


class CallError(Exception):
    """A call without a good answer. The text is upstream's; `code` is what it counts as."""

    def __init__(self, text: str, code: int = 503, *, timed_out: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.timed_out = timed_out


class Target(NamedTuple):
    """Where a webhook is: the URL that errors show, the one that is called, and how the two sides know each other."""

    shown: str
    url: str
    headers: list[tuple[str, str]]
    trust: Trust


class WebhookClient:
    """Calls webhooks over connections that are kept; redirects are not followed."""

    def __init__(self, outbound: Outbound, resolver: ServiceResolver, users: Users | None = None) -> None:
        """`users` are the credentials by host."""
        self._outbound = outbound
        self._resolver = resolver
        self._users = users or Users()

    async def post(self, config: Object, body: bytes, seconds: float) -> bytes:
        """The body of a good answer of the webhook with this clientConfig, within so many seconds; CallError.

        Called in a task.
        """
        target = self._target(config, f"?timeout={math.ceil(seconds)}s")
        return await send(self._outbound, target, body, seconds)

    def _target(self, config: Object, query: str) -> Target:
        service = config.get("service")
        if service is not None:
            return self._service(service, config, query)
        try:
            parts = urlsplit(config.get("url") or "")
            port = parts.port
        except ValueError as err:
            raise CallError(f"could not get REST client: Unparsable URL: {err}", 500) from None
        if not parts.netloc:
            raise CallError(
                "could not get REST client: webhook configuration must have either service or URL", 500
            )
        address = parts.netloc if port is not None else f"{parts.netloc}:443"
        url = f"{parts.scheme}://{parts.netloc}{_clean(parts.path)}{query}"
        headers, trust = self._known_as(address, config, "")
        return Target(url, url, headers, trust)

    def _service(self, service: Object, config: Object, query: str) -> Target:
        port = service.get("port") or 443
        server = f"{service['name']}.{service['namespace']}.svc"
        way = f"{_clean(service.get('path') or '')}{query}"
        shown = f"https://{server}:{port}{way}"
        try:
            root = self._resolver.url(Backend("", service["namespace"], service["name"], port))
        except Unroutable as err:
            raise CallError(f'Post "{shown}": {err}') from None
        headers, trust = self._known_as(f"{server}:{port}", config, server)
        return Target(shown, f"{root}{way}", [("Host", f"{server}:{port}"), *headers], trust)

    def _known_as(
        self, address: str, config: Object, server_name: str
    ) -> tuple[list[tuple[str, str]], Trust]:
        """The headers and the trust for an address."""
        try:
            credentials = self._users.for_host(address)
            own = credentials.trust
            ca = bundle(config.get("caBundle") or "")
        except (OSError, ValueError) as err:
            raise CallError(f"could not get REST client: {err}", 500) from None
        return [*HEADERS, *credentials.headers], Trust(
            ca, False, server_name, own.cert_file, own.key_file, own.cert, own.key
        )


async def send(outbound: Outbound, target: Target, body: bytes, seconds: float) -> bytes:
    """The body of a good answer to a POST; CallError. Called in a task."""
    lead = f'Post "{target.shown}": '
    answer: Answer | None = None
    try:
        async with asyncio.timeout(seconds):
            answer = await outbound.open(
                "POST", target.url, headers=target.headers, body=body, trust=target.trust
            )
            data = await answer.read(ANSWER_BYTES)
    except (ClientError, TimeoutError) as err:
        if answer is not None:
            answer.close()
            lead = "unexpected error when reading response body. Please retry. Original error: "
        timed_out = isinstance(err, TimeoutError)
        why = "context deadline exceeded" if timed_out else str(err)
        raise CallError(f"{lead}{why}", timed_out=timed_out) from None
    media = answer.header("content-type")
    if not 200 <= answer.status <= 206:
        raise refusal(answer.status, media, data)
    if not data:
        raise CallError(
            f"0-length response with status code: {answer.status} and content type: {media or 'application/json'}"
        )
    return data


def _clean(path: str) -> str:
    """A path as client-go makes it: with a slash at its beginning and none at its end."""
    return escape(posixpath.normpath("/" + path.lstrip("/")), safe="/%~!$&'()*+,;=:@-._")


def refusal(status: int, content_type: str, body: bytes) -> CallError:
    """The error of an answer that is no success: the Status in its body, else what client-go makes of its code."""
    found = status_in(body)
    if found is not None:
        code = found.get("code")
        return CallError(str(found.get("message") or ""), code if isinstance(code, int) else 0)
    media = content_type.partition(";")[0].strip().lower()
    text = "unknown"
    if not media or media.startswith("text/"):
        text = body[:SHOWN_BYTES].decode(errors="replace").strip()
    message = _GENERIC.get(status)
    if message is not None:
        return CallError(message(text), status)
    if status >= 500:
        return CallError(
            f"an error on the server ({quote(text)}) has prevented the request from succeeding", status
        )
    return CallError(
        f"the server responded with the status code {status} but did not return more information", status
    )


def status_in(body: bytes) -> Object | None:
    """The failure that a body of JSON tells as a Status, None when it is something else."""
    if not body or len(body) > ANSWER_BYTES // 64:
        return None
    try:
        value = json.parse(body)
    except (json.ScanError, json.DecodeError):
        return None
    if not isinstance(value, dict) or value.get("kind") != "Status" or value.get("status") != "Failure":
        return None
    return value if value.get("apiVersion", "v1") == "v1" else None


def _always(text: str) -> Callable[[str], str]:
    return lambda told: text


def _told(text: str) -> str:
    return text


_CONTENT_TYPE = "the server was unable to respond with a content type that the client supports"
_GENERIC: dict[int, Callable[[str], str]] = {
    400: _always("the server rejected our request for an unknown reason"),
    401: _always("the server has asked for the client to provide credentials"),
    403: _told,
    404: _always("the server could not find the requested resource"),
    405: _always("the server does not allow this method on the requested resource"),
    406: lambda told: told if told not in ("", "unknown") else _CONTENT_TYPE,
    409: _always("the server reported a conflict"),
    415: _told,
    422: _always("the server rejected our request due to an error in our request"),
    429: _always("the server has received too many requests and has asked us to try again later"),
    503: _always("the server is currently unable to handle the request"),
    504: _always(
        "the server was unable to return a response in the time allotted, but may still be processing the request"
    ),
}
"""What client-go makes of a code and the text that came with it (apimachinery NewGenericServerResponse)."""
