"""Posts reviews to webhooks, in the words of upstream's client
(apiserver util/webhook, client-go rest/request.go).

A review is a JSON object with an apiVersion and a kind. Admission webhooks, conversion webhooks and the image
policy webhook are asked by it; `registry/webhook_target.py` finds
where the `clientConfig` of an API object leads.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from pilothouse.api import json
from pilothouse.api.changes import patch
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.outbound.http import TIMED_OUT, Answer, ClientError, Outbound, Trust, was_closed_idle
from pilothouse.waiting import in_task

SECONDS = 30.0
"""Time for a whole exchange where the caller has no other,
as upstream's client has it (setGlobalDefaults)."""

SHOWN_BYTES = 2048
"""Bytes of an answer that an error repeats."""

DEADLINE = "context deadline exceeded"
TIMED_OUT_READING = f"{DEADLINE} (Client.Timeout or context cancellation while reading body)"
UNREADABLE = "unexpected error when reading response body. Please retry. Original error: "

HEADERS = (
    ("Accept", "application/json, */*"),
    ("Content-Type", "application/json"),
    ("User-Agent", "kube-apiserver-admission"),
)
"""The headers of every review."""

_TYPE_META = (
    r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
)
_SCHEME = "pkg/util/webhook/client.go:74"

_UNACCEPTABLE = "the server was unable to respond with a content type that the client supports"
_MESSAGES = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: (
        "the server was unable to return a response in the time allotted, but may still be processing the"
        " request"
    ),
}
"""Status code -> message (apimachinery api/errors NewGenericServerResponse)."""

_SERVERS_WORDS = (403, 406, 415)
"""Status codes whose message is what the server says."""


class WebhookError(Exception):
    """A webhook that gave no usable answer; the text is that of upstream's client.

    code: the status code that upstream counts the failure as. timed_out: whether the time was up.
    unanswered: nothing has come from the webhook, so that the text holds nothing of what it may have said.
    """

    def __init__(
        self, text: str, code: int = 503, *, timed_out: bool = False, unanswered: bool = False
    ) -> None:
        super().__init__(text)
        self.code = code
        self.timed_out = timed_out
        self.unanswered = unanswered


class UnusableWebhook(WebhookError):
    """A clientConfig or a credential of which no client can be made; nothing was sent."""

    def __init__(self, text: str) -> None:
        super().__init__(text, 500, unanswered=True)


class WebhookTarget(NamedTuple):
    """The target of a review.

    shown: its URL as errors name it. url: the URL that is asked, which differs where a Service was resolved.
    service: whether that is so.
    """

    shown: str
    url: str
    headers: Sequence[tuple[str, str]]
    trust: Trust
    service: bool = False


def query_for(seconds: float) -> str:
    """The query that tells a webhook its time: whole seconds, as upstream rounds it."""
    return f"?timeout={math.ceil(seconds)}s"


async def post(
    outbound: Outbound,
    target: WebhookTarget,
    body: bytes,
    seconds: float,
    limit: int,
    *,
    deadline: bool = False,
) -> bytes:
    """The body of a successful answer of at most `limit` bytes, within `seconds`; WebhookError.

    deadline: whether the time ends with the request that is being served, and not with the client's own
    time-out; Go words the two differently.
    """
    await in_task()
    lead = f'Post "{target.shown}": '
    answer: Answer | None = None
    try:
        async with asyncio.timeout(seconds):
            answer = await _opened(outbound, target, body)
            lead = UNREADABLE
            data = await answer.read(limit)
    except ClientError as err:
        raise WebhookError(f"{lead}{err}", unanswered=answer is None) from err
    except TimeoutError:
        why = DEADLINE if deadline else TIMED_OUT if answer is None else TIMED_OUT_READING
        raise WebhookError(f"{lead}{why}", timed_out=True, unanswered=answer is None) from None
    finally:
        if answer is not None:
            answer.close()
    media = answer.header("Content-Type")
    if not 200 <= answer.status <= 206:
        raise refusal(answer.status, media, data)
    if not data:
        text = media or "application/json"
        raise WebhookError(f"0-length response with status code: {answer.status} and content type: {text}")
    return data


async def _opened(outbound: Outbound, target: WebhookTarget, body: bytes) -> Answer:
    """The head of the answer; asked once more when a kept connection was closed before the request came."""
    for again in (True, False):
        try:
            return await outbound.open(
                "POST", target.url, headers=target.headers, body=body, trust=target.trust, counted=True
            )
        except ClientError as err:
            if not (again and was_closed_idle(err)):
                raise
    raise AssertionError("unreachable")


def refusal(status: int, content_type: str, data: bytes) -> WebhookError:
    """The error of an answer that is no success:
    the Status in its body, else what client-go makes of its code."""
    found = _status_in(data)
    if found is not None:
        code = found.get("code")
        return WebhookError(str(found.get("message") or ""), code if isinstance(code, int) else 0)
    media = content_type.partition(";")[0].strip().lower()
    said = "unknown"
    if not media or media.startswith("text/"):
        said = data[:SHOWN_BYTES].decode("utf-8", "replace").strip()
    if status in _SERVERS_WORDS:
        text = _UNACCEPTABLE if status == 406 and said in ("", "unknown") else said
    elif status in _MESSAGES:
        text = _MESSAGES[status]
    elif status >= 500:
        text = f"an error on the server ({quote(said)}) has prevented the request from succeeding"
    else:
        text = f"the server responded with the status code {status} but did not return more information"
    return WebhookError(text, status)


STATUS_BYTES = 64 << 10
"""Bytes of the largest Status that an answer is searched for."""


def _status_in(data: bytes) -> Object | None:
    """The failure that a body tells as a Status, None when it is something else (rest.Result.Error)."""
    if not data or len(data) > STATUS_BYTES:
        return None
    try:
        value = json.parse(data)
    except (json.ScanError, json.DecodeError):
        return None
    if not isinstance(value, dict) or value.get("kind") != "Status" or value.get("status") != "Failure":
        return None
    return value


def decode(data: bytes, group: str, kind: str, version: str, versions: Sequence[str]) -> Object:
    """The review of `version` in an answer, with kind and apiVersion as they came; WebhookError.

    A review without a kind or an apiVersion is taken for the one that was asked for. `versions` are those
    that upstream knows: a review in another one of them, like a Status, cannot be converted.
    """
    lead = "couldn't get version/kind; json parse error: "
    try:
        value = json.parse(data)
    except (json.ScanError, json.DecodeError) as err:
        raise WebhookError(f"{lead}{err}") from None
    if value is None:  # what is no object upstream reads as YAML, in which null is an object without members
        value = {}
    if not isinstance(value, dict):
        raise WebhookError(
            f"{lead}json: cannot unmarshal {patch.go_kind(value)} into Go value of type {_TYPE_META}"
        )
    for name in ("apiVersion", "kind"):
        if value.get(name) is not None and not isinstance(value[name], str):
            what = patch.go_kind(value[name])
            raise WebhookError(
                f"{lead}json: cannot unmarshal {what} into Go struct field .{name} of type string"
            )
    said, asked = value.get("kind") or kind, f"{group}/{version}"
    of = value.get("apiVersion") or asked
    if (said, of) == (kind, asked):
        return value
    if said == "Status":
        raise WebhookError(f"converting (v1.Status) to ({version}.{kind}): unknown conversion")
    if said == kind and of in [f"{group}/{one}" for one in versions]:
        other = of.removeprefix(f"{group}/")
        raise WebhookError(f"converting ({other}.{kind}) to ({version}.{kind}): unknown conversion")
    raise WebhookError(
        f"no kind {quote(said)} is registered for version {quote(of)} in scheme {quote(_SCHEME)}"
    )
