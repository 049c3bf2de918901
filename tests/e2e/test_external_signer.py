"""A server whose service account tokens another process signs."""

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from signer import Signer

from pilothouse.authn import keys
from pilothouse.testing.server import InProcess

pytest.importorskip("grpc")


def call(server: InProcess, path: str, body: Any = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json"}
    context = server.context()
    if token:
        headers["Authorization"] = f"Bearer {token}"
        context = ssl.create_default_context(cafile=str(server.ca_file))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, headers)
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return json.load(answer)


def test_tokens_of_an_external_signer(tmp_path: Path) -> None:
    with (
        Signer(tmp_path / "s.sock") as process,
        InProcess([f"--service-account-signing-endpoint={process.socket}"]) as server,
    ):
        path = "/api/v1/namespaces/default/serviceaccounts/default/token"
        answer = call(server, path, {"spec": {"expirationSeconds": 9000}})
        token = answer["status"]["token"]
        header, claims = keys.read(token)
        assert header == {"alg": "RS256", "kid": "one", "typ": "JWT"}
        assert claims["exp"] - claims["iat"] == process.lifetime == answer["spec"]["expirationSeconds"]
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        user = call(server, "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token)["status"]
        assert user["userInfo"]["username"] == "system:serviceaccount:default:default"
        assert [key["kid"] for key in call(server, "/openid/v1/jwks")["keys"]] == ["one"]


def test_tokens_may_not_live_longer_than_the_signer_lets_them(tmp_path: Path) -> None:
    flags = [
        f"--service-account-signing-endpoint={tmp_path / 's.sock'}",
        "--service-account-max-token-expiration=3h",
    ]
    with (
        Signer(tmp_path / "s.sock"),
        pytest.raises(ValueError, match="cannot be set longer than the token expiration supported by"),
        InProcess(flags),
    ):
        pass
