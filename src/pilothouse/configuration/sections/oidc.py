"""The OpenID issuer whose tokens authenticate."""

from collections.abc import Mapping

from pilothouse.configuration.sections.section import Section, authentication
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class OpenIDOptions(Section):
    """The OpenID issuer whose tokens authenticate."""

    # fmt: off
    oidc_ca_file: str = authentication("", "file", "CA of the OpenID issuer; the host's CAs when unset.")
    oidc_client_id: str = authentication("", "string", "Client for which OpenID tokens must be issued.")
    oidc_groups_claim: str = authentication("", "string", "Claim that holds the groups.")
    oidc_groups_prefix: str = authentication("", "string", "Put before each group.")
    oidc_issuer_url: str = authentication("", "string", "OpenID issuer; https only.")
    oidc_required_claim: Mapping[str, str] = authentication({}, "map",
        "Claims that a token must have, as key=value; repeatable.")
    oidc_signing_algs: tuple[str, ...] = authentication(("RS256",), "strings",
        "Signature algorithms that OpenID tokens may use.")
    oidc_username_claim: str = authentication("sub", "string", "Claim that holds the user name.")
    oidc_username_prefix: str = authentication("", "string",
        "Put before the user name; - for nothing. Without it the issuer, unless the claim is email.")
    # fmt: on
