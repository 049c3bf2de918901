"""The front proxies that say who a user is."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, authentication
from pilothouse.process.frozen import frozen

_LISTS = ("username-headers", "group-headers", "extra-headers-prefix", "allowed-names", "uid-headers")


@frozen(eq=False)
class RequestHeaderOptions(Section):
    """The front proxies that say who a user is."""

    # fmt: off
    requestheader_allowed_names: tuple[str, ...] = authentication((), "strings",
        "Common names of the client certificates that may say who a user is; empty for any.")
    requestheader_client_ca_file: str = authentication("", "file", "CAs of those client certificates.")
    requestheader_extra_headers_prefix: tuple[str, ...] = authentication((), "strings",
        "Prefixes of the headers with extra information; X-Remote-Extra- is usual.")
    requestheader_group_headers: tuple[str, ...] = authentication((), "strings",
        "Headers with groups; X-Remote-Group is usual.")
    requestheader_uid_headers: tuple[str, ...] = authentication((), "strings",
        "Headers with the uid; X-Remote-Uid is usual.")
    requestheader_username_headers: tuple[str, ...] = authentication((), "strings",
        "Headers with the user name; X-Remote-User is usual.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: headers that are missing or empty
        (RequestHeaderAuthenticationOptions, and BuiltInAuthenticationOptions of kubeapiserver)."""
        if self.requestheader_client_ca_file and not self.requestheader_username_headers:
            yield "--requestheader-client-ca-file needs --requestheader-username-headers"
        for name in _LISTS:
            flag = f"requestheader-{name}"
            if any(not value.strip() for value in getattr(self, flag.replace("-", "_"))):
                yield f'empty value in "{flag}"'
        uid_headers = self.requestheader_uid_headers
        if uid_headers and "x-remote-uid" not in map(str.lower, uid_headers):
            yield (
                "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - "
                "API aggregation will not work"
            )
