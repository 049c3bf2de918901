"""Posts reviews to webhooks that API objects describe, with the words of upstream's client (apiserver util/webhook).

A review is a JSON object with an apiVersion and a kind. Conversion of custom resources uses it; whoever else posts
reviews to a `clientConfig` can.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from pilothouse.api import json
from pilothouse.api.fields import Object, quote
from pilothouse.outbound.http import TIMED_OUT, Answer, ClientError, Outbound, Trust, was_closed_idle
from pilothouse.waiting import in_task

SECONDS = 30
"""Time for a whole exchange, as upstream's client has it (setGlobalDefaults)."""

ANSWER_FREE, ANSWER_TIMES = 256 << 10, 4
"""Longest answer: so many bytes, and this many times the bytes that were sent."""

SHOWN_BYTES = 2048
"""Bytes of an answer that an error repeats."""

TIMED_OUT_READING = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
UNREADABLE = "unexpected error when reading response body. Please retry. Original error: "

HEADERS = (
    ("Accept", "application/json, */*"),
    ("Content-Type", "application/json"),
    ("User-Agent", "kube-apiserver-admission"),
)

_MESSAGES = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}
"""Status code -> message (apimachinery api/errors NewGenericServerResponse)."""

_SERVERS_WORDS = (403, 406, 415)
"""Status codes whose message is what the server says."""


class WebhookError(Exception):
    """A webhook that gave no usable answer; the text is that of upstream's client."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook listens.

    shown: its URL as errors name it. url: the URL that is asked, which differs where a Service was resolved.
    host: the Host header, "" = as the URL has it.
    """

    shown: str
    url: str
    trust: Trust
    host: str = ""


async def post(
    outbound: Outbound,
    target: Target,
    body: bytes,
    seconds: float = SECONDS,
) -> bytes:
    """The body of a successful answer to a review, within `seconds` and the limits of its size; WebhookError."""
    await in_task()
    headers = [*HEADERS, ("Host", target.host)] if target.host else HEADERS
    query = f"?timeout={_duration(seconds)}"
    answer: Answer | None = None
    try:
        async with asyncio.timeout(seconds):
            try:
                answer = await _opened(outbound, target, target.url + query, headers, body)
            except ClientError as err:
                raise WebhookError(f'Post "{target.shown}{query}": {err}') from err
            try:
                data = await answer.read(ANSWER_FREE + ANSWER_TIMES * len(body))
            except ClientError as err:
                raise WebhookError(f"{UNREADABLE}{err}") from err
    except TimeoutError:
        if answer is None:
            raise WebhookError(f'Post "{target.shown}{query}": {TIMED_OUT}') from None
        raise WebhookError(f"{UNREADABLE}{TIMED_OUT_READING}") from None
    finally:
        if answer is not None:
            answer.close()
    kind = answer.header("Content-Type")
    if not 200 <= answer.status <= 206:
        raise WebhookError(_refused(answer.status, kind, data))
    if not data:
        text = kind or "application/json"
        raise WebhookError(f"0-length response with status code: {answer.status} and content type: {text}")
    return data


async def _opened(
    outbound: Outbound, target: Target, url: str, headers: Collection[tuple[str, str]], body: bytes
) -> Answer:
    """The head of the answer; asked once more when a kept connection was closed before the request came."""
    for again in (True, False):
        try:
            return await outbound.open("POST", url, headers=tuple(headers), body=body, trust=target.trust)
        except ClientError as err:
            if not (again and was_closed_idle(err)):
                raise
    raise AssertionError("unreachable")


def _duration(seconds: float) -> str:
    """Seconds as Go prints a duration of less than a minute."""
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def _refused(status: int, content_type: str, data: bytes) -> str:
    """The message of an answer that is no success: that of a Status in it, or what its code means."""
    try:
        found = json.parse(data)
    except ValueError:
        found = None
    if isinstance(found, dict) and found.get("kind") == "Status" and found.get("status") != "Success":
        return str(found.get("message") or "unknown")
    said = "unknown"
    if content_type.startswith("text/") or not content_type:
        said = data[:SHOWN_BYTES].decode("utf-8", "replace").strip()
    if status in _SERVERS_WORDS:
        if status == 406 and said in ("", "unknown"):
            return "the server was unable to respond with a content type that the client supports"
        return said
    if status in _MESSAGES:
        return _MESSAGES[status]
    if status >= 500:
        return f"an error on the server ({quote(said)}) has prevented the request from succeeding"
    return f"the server responded with the status code {status} but did not return more information"


def decode(data: bytes, group: str, kind: str, versions: Collection[str]) -> Object:
    """The review in an answer, of one of these versions; WebhookError in the words of upstream's decoder."""
    try:
        value = json.parse(data)
    except ValueError as err:
        raise WebhookError(f"couldn't get version/kind; json parse error: {err}") from None
    if not isinstance(value, dict):
        text = f"json: cannot unmarshal {_json_name(value)} into Go value of type struct {{ APIVersion string; Kind string }}"
        raise WebhookError(f"couldn't get version/kind; json parse error: {text}")
    said, version = value.get("kind"), value.get("apiVersion")
    shown = data[:SHOWN_BYTES].decode("utf-8", "replace")
    if not said:
        raise WebhookError(f"Object 'Kind' is missing in '{shown}'")
    if not version:
        raise WebhookError(f"Object 'apiVersion' is missing in '{shown}'")
    if said == "Status" and value.get("status") != "Success":
        raise WebhookError(str(value.get("message") or "unknown"))
    if said != kind or version not in [f"{group}/{one}" for one in versions]:
        scheme = '"pkg/util/webhook/client.go:74"'
        raise WebhookError(f'no kind "{said}" is registered for version "{version}" in scheme {scheme}')
    return value


def _json_name(value: object) -> str:
    """What Go calls a kind of JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "null"
