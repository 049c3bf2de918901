"""Flags and files that become JWT authenticators."""

import json
from pathlib import Path
from typing import Any

import pytest

from pilothouse.assembly.jwt import authentication, jwt_tokens, username_prefix
from pilothouse.authn.configuration import ALGORITHMS, Anonymous, Mapping, ValidationRule
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.configuration import options
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.egress_config import Egress
from pilothouse.pki import CertificateAuthority, pem
from pilothouse.reload import Reloads

URL = "https://issuer.example"
HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}


def file(folder: Path, **members: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps({**HEAD, **members}))
    return f"--authentication-config={path}"


def issuer(**more: Any) -> dict[str, Any]:
    return {
        "issuer": {"url": URL, "audiences": ["me"], **more},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    }


DIRECT = Dialer()


def tokens(*flags: str) -> Any:
    config = options.parse(flags)
    return jwt_tokens(
        config.authentication,
        authentication(config.authentication),
        clients=Clients(Egress(DIRECT, DIRECT, DIRECT)),
        proxied=bool(config.outbound.egress_selector_config_file),
        metrics=JWTMetrics(),
    )


def test_the_prefix_flag_has_its_own_language() -> None:
    assert username_prefix("sub", "", URL) == URL + "#"
    assert username_prefix("email", "", URL) == ""
    assert username_prefix("sub", "-", URL) == ""
    assert username_prefix("email", "x:", URL) == "x:"


def test_flags_become_an_authenticator(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("PEM")
    found = authentication(
        options.parse(
            [
                f"--oidc-issuer-url={URL}",
                "--oidc-client-id=me",
                f"--oidc-ca-file={tmp_path / 'ca'}",
                "--oidc-groups-claim=roles",
                "--oidc-groups-prefix=g:",
                "--oidc-required-claim=hd=x",
                "--oidc-signing-algs=ES256",
                "--anonymous-auth=false",
            ]
        ).authentication
    )
    (one,) = found.configuration.jwt
    assert (one.issuer.url, one.issuer.audiences, one.issuer.certificate_authority) == (URL, ("me",), "PEM")
    assert one.claim_mappings.username == Mapping(claim="sub", prefix=f"{URL}#")
    assert one.claim_mappings.groups == Mapping(claim="roles", prefix="g:")
    assert one.claim_validation_rules == (ValidationRule(claim="hd", required_value="x"),)
    assert (found.algorithms, found.anonymous) == (("ES256",), Anonymous(False))


def test_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    assert tokens()[0] is None
    issuers, _ = tokens(file(tmp_path))
    assert issuers.issuers == [], "there may be some later"
    issuers, _ = tokens(f"--oidc-issuer-url={URL}", "--oidc-client-id=me")
    assert [one.url for one in issuers.issuers] == [URL]


def followed(*flags: str) -> dict[str, tuple[str, ...]]:
    reloads = Reloads()
    tokens(*flags)[1](reloads, lambda: None)
    return reloads.followed


def test_what_is_followed(tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(pem(CertificateAuthority.create("ca").certificate))
    issuer = (f"--oidc-issuer-url={URL}", "--oidc-client-id=me")
    assert followed() == followed(*issuer) == {}
    assert followed(file(tmp_path)) == {"authentication": (file(tmp_path).partition("=")[2],)}
    assert followed(*issuer, f"--oidc-ca-file={tmp_path}/ca") == {"oidc-ca": (f"{tmp_path}/ca",)}


def test_anonymous_is_a_matter_of_the_file_or_of_the_flag(tmp_path: Path) -> None:
    flag = file(tmp_path, anonymous={"enabled": True, "conditions": [{"path": "/livez"}]})
    found = authentication(options.parse([flag]).authentication)
    assert (found.anonymous, found.algorithms) == (Anonymous(True, ("/livez",)), ALGORITHMS)
    with pytest.raises(
        ValueError, match="--anonymous-auth flag cannot be set when anonymous field is configured"
    ):
        authentication(options.parse([flag, "--anonymous-auth=true"]).authentication)
    flag = file(tmp_path)
    given = options.parse([flag, "--anonymous-auth=false"]).authentication
    assert authentication(given).anonymous == Anonymous(False)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--oidc-issuer-url=http://x", "--oidc-client-id=me"],
         r"jwt\[0\].issuer.url: .* URL scheme must be https"),
        (
            [f"--oidc-issuer-url={URL}", "--oidc-client-id=me", f"--service-account-issuer={URL}"],
            rf"URL must not overlap with disallowed issuers: \[{URL}\]",
        ),
        (["--oidc-issuer-url=x", "--oidc-client-id=me", "--oidc-signing-algs=HS256"],
         "unsupported signing alg"),
    ],
)  # fmt: skip
def test_flags_that_cannot_be_used(flags: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tokens(*flags)


def test_an_egress_must_be_configured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='oidc: egress lookup for "cluster" is not configured'):
        tokens(file(tmp_path, jwt=[issuer(egressSelectorType="cluster")]))


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--oidc-groups-claim=x"], "must be specified together when any oidc-"),
        ([f"--oidc-issuer-url={URL}"], "must be specified together when any oidc-"),
        (
            ["FILE", "--oidc-client-id=x"],
            "authentication-config file and oidc-[*] flags are mutually exclusive",
        ),
    ],
)
def test_flags_that_exclude_each_other(tmp_path: Path, flags: list[str], why: str) -> None:
    given = [file(tmp_path) if one == "FILE" else one for one in flags]
    with pytest.raises(options.ConfigError, match=why):
        options.parse(given)
