"""Identity providers without a network: documents by URL, and tokens that their keys have signed."""

import asyncio
import json
from typing import Any

from rsa_pem import rsa_pem

from pilothouse.authn import keys

URL = "https://issuer.example"
NOW = 1_767_225_600
PEM, OTHER_PEM = rsa_pem(), rsa_pem("other")
SIGNING, OTHER = keys.load_private(PEM), keys.load_private(OTHER_PEM)


class Documents:
    """A provider's documents for a Fetch; an exception is raised.
    `fetched` has the URLs, `tokens` the bearer tokens."""

    def __init__(self, pem: bytes = PEM, url: str = URL) -> None:
        self.url = url
        self.fetched: list[str] = []
        self.tokens: list[str] = []
        self.documents: dict[str, Any] = {}
        self.add(url, pem)

    def add(self, url: str, pem: bytes) -> None:
        self.documents[f"{url}/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.rotate(pem, url)

    def rotate(self, pem: bytes, url: str = "") -> None:
        self.documents[f"{url or self.url}/keys"] = keys.jwks(keys.load_public(pem))

    async def __call__(self, url: str, token: str = "") -> bytes:
        self.fetched.append(url)
        self.tokens.append(token)
        await asyncio.sleep(0)
        found = self.documents.get(url, OSError("no route"))
        if isinstance(found, Exception):
            raise found
        return found.encode() if isinstance(found, str) else json.dumps(found).encode()


def signed(key: Any = SIGNING, **claims: Any) -> str:
    """A token that is good for a minute after NOW; a claim that is None is left out."""
    base = {"iss": URL, "aud": "me", "sub": "jane", "exp": NOW + 60}
    return str(key.sign({name: value for name, value in {**base, **claims}.items() if value is not None}))
