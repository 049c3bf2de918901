"""An OpenID Connect provider whose users are those of logical clusters."""

import asyncio
import json
import ssl
import time
from typing import Any

from pilothouse import pki
from pilothouse.authn import keys

Object = dict[str, Any]


class Provider:
    """An OpenID Connect provider: its two documents over TLS, and tokens."""

    def __init__(self) -> None:
        self.authority = pki.CertificateAuthority.create("identities")
        self.key = keys.new_private()
        self.asked: list[str] = []
        self.url = ""

    async def start(self, folder: Any) -> None:
        cert, key = self.authority.issue("identities", hosts=("127.0.0.1",), server=True)
        path = folder / "provider.pem"
        path.write_bytes(cert + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked.append(path)
        document: Object = keys.jwks(keys.load_public(self.key))
        if path != "/keys":
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    def token(self, user: str, seconds: int = 600, **claims: Any) -> str:
        """A token of a user that is good for so long, with more claims."""
        now = int(time.time())
        own = {"iss": self.url, "aud": "tenant", "sub": user, "exp": now + seconds, "iat": now}
        return keys.load_private(self.key).sign(own | claims)

    def spec(self, prefix: str = "tenant:", **mappings: Object) -> Object:
        """The member `authentication` of a Cluster; `mappings` are more claims than the user's name."""
        issuer = {
            "url": self.url,
            "audiences": ["tenant"],
            "certificateAuthority": pki.pem(self.authority.certificate).decode(),
        }
        mappings["username"] = {"claim": "sub", "prefix": prefix}
        return {"jwt": [{"issuer": issuer, "claimMappings": mappings}]}
