"""A real OpenID Connect provider (oidc-provider-mock) over TLS,
in a process, and a client that logs in with it."""

import json
import pathlib
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Self

from pilothouse.pki import CertificateAuthority, pem

REDIRECT = "https://client.example/callback"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class IdentityProvider:
    """Serves while it is entered; `users` are the claims of those who may log in, by subject."""

    def __init__(self, folder: pathlib.Path, users: dict[str, dict[str, Any]]) -> None:
        self.authority = CertificateAuthority.create("identities")
        self.ca = pem(self.authority.certificate).decode()
        cert, key = self.authority.issue("identities", hosts=("127.0.0.1",), server=True)
        self.pem = folder / "identities.pem"
        self.pem.write_bytes(cert + key)
        self._users = users
        self.url = ""
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=self.ca)), _NoRedirect()
        )

    def __enter__(self) -> Self:
        arguments = [__file__, str(self.pem), json.dumps(self._users)]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"https://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()

    def log_in(self, subject: str, client: str) -> str:
        """The ID token of the authorization code flow."""
        query = urllib.parse.urlencode(
            {
                "client_id": client,
                "redirect_uri": REDIRECT,
                "response_type": "code",
                "scope": "openid email profile",
                "nonce": "n",
            }
        )
        _, headers, _ = self._post(f"/oauth2/authorize?{query}", {"sub": subject})
        (code,) = urllib.parse.parse_qs(urllib.parse.urlsplit(headers["Location"]).query)["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "client_id": client,
            "client_secret": "s",
        }
        _, _, body = self._post("/oauth2/token", form)
        return str(json.loads(body)["id_token"])

    def _post(self, path: str, form: dict[str, str]) -> tuple[int, Any, bytes]:
        data = urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(self.url + path, data, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as err:
            with err:
                if err.code != 302:
                    raise AssertionError(err.read().decode()) from None
                return err.code, err.headers, b""


def _serve(pem: str, users: dict[str, dict[str, Any]]) -> None:
    """Serve on a free port, which is printed, until the process is ended."""
    import oidc_provider_mock as mock
    from werkzeug.serving import make_server

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    app = mock.app(user_claims=[mock.User(sub=sub, claims=claims) for sub, claims in users.items()])
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
