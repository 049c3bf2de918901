"""Reads the documents of identity providers: https only, redirects as Go's client follows them, bounded."""

import asyncio
from urllib.parse import urljoin, urlsplit

from pilothouse.authn.provider import Fetch
from pilothouse.outbound.http import ANSWER_BYTES, ClientError, Outbound, Trust
from pilothouse.waiting import in_task

SECONDS = 30.0
"""Time for a document, redirects included."""
MAX_REDIRECTS = 10
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


def fetch_through(outbound: Outbound, ca: str, seconds: float = SECONDS) -> Fetch:
    """Reads URLs whose servers `ca` (PEM; the host's CAs when empty) vouches for.
    A document has 1 MiB at most."""
    trust = Trust(ca.encode())

    async def fetch(url: str, token: str = "") -> bytes:
        await in_task()
        try:
            async with asyncio.timeout(seconds):
                return await follow(url, token)
        except TimeoutError:
            raise OSError(f'Get "{url}": context deadline exceeded') from None

    async def follow(url: str, token: str) -> bytes:
        first = url
        for _ in range(MAX_REDIRECTS):
            if urlsplit(url).scheme != "https":
                raise OSError(f'Get "{first}": only https is fetched')
            headers = [("Authorization", f"Bearer {token}")] if token else []
            try:
                answer = await outbound.open("GET", url, headers=headers, trust=trust)
                if answer.status in _REDIRECTS and (location := answer.header("Location")):
                    answer.close()
                    target = urljoin(url, location)
                    if urlsplit(target).netloc != urlsplit(url).netloc:
                        token = ""  # it is for the first server alone
                    url = target
                    continue
                data = await answer.read(ANSWER_BYTES)
            except (ClientError, ValueError) as error:
                raise OSError(f'Get "{first}": {error}') from None
            if not 200 <= answer.status < 300:
                raise OSError(f'Get "{first}": status code {answer.status}')
            return data
        raise OSError(f'Get "{first}": stopped after {MAX_REDIRECTS} redirects')

    return fetch
