"""The limits and headers of all requests."""

import re
from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, bytes_of, generic, own
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class RequestOptions(Section):
    """The limits and headers of all requests."""

    # fmt: off
    cors_allowed_origins: tuple[str, ...] = generic((), "strings",
        "Regular expressions of the origins that may use the API from a browser; each names the start and "
        "the end of a host, as in ^https://example\\.com$.")
    goaway_chance: float = generic(0.0, "float",
        "Share of requests after which the connection is closed so that clients spread; at most 0.02.")
    max_unpaged_list_bytes: str = own("", "quantity",
        "Size, such as 100Mi, above which a list without `limit` is refused with 400; from half of it there "
        "is a warning. Lists with resourceVersion=0 and watches are not concerned. Default: any list is "
        "answered.")
    min_request_timeout: int = generic(1800, "int",
        "Seconds that a watch stays open at least; each ends at random between this and twice this.")
    request_timeout: float = generic(60.0, "duration",
        "Time for a request that asks for none itself; watches are not concerned.")
    strict_transport_security_directives: tuple[str, ...] = generic((), "strings",
        "Directives of the Strict-Transport-Security header: max-age=N, includeSubDomains, preload.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: times below 0, and headers for browsers that are invalid or too permissive."""
        yield from self.negative("request_timeout", "min_request_timeout")
        if not 0 <= self.goaway_chance <= 0.02:
            yield "--goaway-chance can not be less than 0 or greater than 0.02"
        for origin in self.cors_allowed_origins:
            yield from _origin(origin)
        for directive in self.strict_transport_security_directives:
            if not directive.strip():
                yield "empty value in strict-transport-security-directives"
            elif directive not in ("includeSubDomains", "preload") and not re.fullmatch(
                "max-age=[^=]*", directive
            ):
                yield (
                    "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, "
                    "includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 "
                    "for more information"
                )
        _, problem = bytes_of("max-unpaged-list-bytes", self.max_unpaged_list_bytes)
        if problem:
            yield problem


def _origin(pattern: str) -> Iterator[str]:
    """An expression for origins must not match the middle of a host's name (CVE-2022-1996)."""
    problem = ""
    if not pattern:
        yield "empty value in --cors-allowed-origins"
        return
    if ("^" not in pattern and "//" not in pattern) or ("$" not in pattern and ":" not in pattern):
        problem = "regular expression does not pin to start/end of host in the origin header"
    else:
        import re2

        try:
            re2.compile(pattern)
        except re2.error as error:
            problem = str(error)
    if problem:
        yield f"--cors-allowed-origins has an invalid regular expression: {problem}"
