"""The tokens of service accounts: their issuers, and the keys that sign and check them."""

import re
from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, authentication, misc
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class ServiceAccountOptions(Section):
    """The tokens of service accounts: their issuers, and the keys that sign and check them."""

    # fmt: off
    service_account_extend_token_expiration: bool = authentication(True, "bool",
        "Let the tokens mounted into pods live longer than asked for, so that old clients go on working.")
    service_account_issuer: tuple[str, ...] = authentication((), "stringArray",
        "Issuer of service account tokens; repeated: further ones that are accepted. Default: "
        "https://kubernetes.default.svc.")
    service_account_jwks_uri: str = authentication("", "string",
        "Address of the key set in the discovery document.")
    service_account_key_file: tuple[str, ...] = authentication((), "files",
        "Keys or certificates (PEM) that check service account tokens; repeatable. Default: the signing key.")
    service_account_lookup: bool = authentication(True, "bool", "Refuse tokens of deleted service accounts.")
    service_account_max_token_expiration: float = authentication(0.0, "duration",
        "Longest life of a service account token; longer requests are cut to it.")
    service_account_signing_endpoint: str = misc("", "string",
        "Unix socket of a process that signs service account tokens (externaljwt v1).")
    service_account_signing_key_file: str = misc("", "file",
        "Private key that signs service account tokens. Default: one made in --data-dir.")
    # fmt: on

    @property
    def issuers(self) -> tuple[str, ...]:
        """Issuers of service account tokens; the first one signs."""
        return self.service_account_issuer or ("https://kubernetes.default.svc",)

    def faults(self) -> Iterator[str]:
        """Yield the faults: signers that exclude each other, and invalid issuers."""
        longest = self.service_account_max_token_expiration
        if longest and not 3600 <= longest <= 1 << 32:
            yield "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"
        own_keys = self.service_account_signing_key_file or self.service_account_key_file
        if self.service_account_signing_endpoint and own_keys:
            yield (
                "can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with "
                "`--service-account-signing-endpoint` (They are mutually exclusive)"
            )
        signs = self.service_account_signing_key_file or not self.service_account_key_file
        if "service-account-issuer" in self.given and not signs:
            yield (
                "--service-account-signing-key-file, --service-account-issuer, and --api-audiences "
                "should be specified together"
            )
        for issuer in self.service_account_issuer:
            if not issuer or (":" in issuer and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", issuer)):
                yield f"service-account-issuer \"{issuer}\" contained a ':' but was not a valid URL"
