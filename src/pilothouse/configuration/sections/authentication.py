"""The ways in which a request may say who sends it."""

import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from pilothouse.configuration.sections.oidc import OpenIDOptions
from pilothouse.configuration.sections.request_header import RequestHeaderOptions
from pilothouse.configuration.sections.section import Section, authentication, own
from pilothouse.configuration.sections.service_accounts import ServiceAccountOptions
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class AuthenticationOptions(Section):
    """The ways in which a request may say who sends it."""

    # fmt: off
    anonymous_auth: bool = authentication(True, "bool",
        "Let requests without credentials in as system:anonymous of the group system:unauthenticated.")
    api_audiences: tuple[str, ...] = authentication((), "strings",
        "Audiences that service account tokens may be for; the issuer when unset.")
    authentication_config: str = authentication("", "file",
        "AuthenticationConfiguration: JWT authenticators and anonymous access.")
    authentication_token_webhook_cache_ttl: float = authentication(120.0, "duration",
        "Time for which the token webhook's answers are kept.")
    authentication_token_webhook_config_file: str = authentication("", "file",
        "kubeconfig of the webhook that judges tokens.")
    authentication_token_webhook_version: str = authentication("v1beta1", "string",
        "Version of the TokenReview sent to the webhook.")
    client_ca_file: str = authentication("", "file",
        "CAs of client certificates; the common name is the user, organizations are groups.")
    enable_bootstrap_token_auth: bool = authentication(False, "bool",
        "Let secrets of type bootstrap.kubernetes.io/token in kube-system authenticate. Default: true for "
        "the command pilothouse serve.")
    max_token_bytes: int = own(16 << 10, "int",
        "Bytes that a bearer token may have; longer ones are answered with 401 before anything in them is "
        "read.")
    token_auth_file: str = authentication("", "file", 'CSV of tokens: token,user,uid,"group,group".')
    # fmt: on

    oidc: OpenIDOptions = field(default_factory=OpenIDOptions)
    request_header: RequestHeaderOptions = field(default_factory=RequestHeaderOptions)
    service_accounts: ServiceAccountOptions = field(default_factory=ServiceAccountOptions)

    @property
    def audiences(self) -> tuple[str, ...]:
        """Audiences of tokens for this API: --api-audiences, else the issuers."""
        return self.api_audiences or self.service_accounts.issuers

    def faults(self) -> Iterator[str]:
        """Yield the faults: ways that exclude each other, and CAs that let clients pose as front proxies."""
        if self.max_token_bytes < 1:
            yield f"--max-token-bytes {self.max_token_bytes} must be a positive number"
        if self.oidc.given and self.authentication_config:
            yield "authentication-config file and oidc-* flags are mutually exclusive"
        elif self.oidc.given and not (self.oidc.oidc_issuer_url and self.oidc.oidc_client_id):
            yield (
                "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"
            )
        clients, proxies = self.client_ca_file, self.request_header.requestheader_client_ca_file
        allowed = self.request_header.requestheader_allowed_names
        if clients and proxies and not allowed and _certificates(clients) & _certificates(proxies):
            yield (
                "--requestheader-client-ca-file and --client-ca-file contain overlapping certificates;"
                " --requestheader-allowed-names must be specified to ensure regular client certificates"
                " cannot set authenticating proxy headers for arbitrary users"
            )


def _certificates(path: str) -> set[bytes]:
    """The certificates in a PEM file, in base64 without line ends; none when the file cannot be read."""
    try:
        text = Path(path).read_bytes()
    except OSError:
        return set()
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----", text)
    return {b"".join(block.split()) for block in blocks}
