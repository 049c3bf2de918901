"""Sends reviews of tokens, requests and objects to the webhooks that kubeconfig files describe."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from pilothouse.api.values.fields import Object
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.kubeconfig import read_kubeconfig

SECONDS = 30.0
"""Time for an answer, as in upstream's webhook client."""

Post = Callable[[Object], Awaitable[Object]]
"""Sends a review and returns the answer;
OSError when there is none, or one that is no success (Unanswered)."""


def post_to(outbound: Outbound, path: Path, seconds: float = SECONDS) -> Post:
    """A sender to the cluster of a kubeconfig's current context; ValueError when the file names none.

    An answer has to come within `seconds`.
    """
    url, credentials, trust = read_kubeconfig(path)
    headers = [("Content-Type", "application/json"), *credentials]
    parts = urlsplit(url)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # without a password

    async def post(review: Object) -> Object:
        body = json.dumps(review).encode()
        data = await outbound.exchange("POST", url, headers=headers, body=body, trust=trust, timeout=seconds)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise OSError(f"{shown}: {error}") from None
        if not isinstance(answer, dict):
            raise OSError(f"{shown}: no review in the answer")
        return answer

    return post
