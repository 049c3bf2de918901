"""Users from the headers of a front proxy, which its client certificate authenticates (--requestheader-*)."""

import time
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.authn.x509 import verified
from pilothouse.caches import Cache, CacheBudget
from pilothouse.process.patterns import pattern
from pilothouse.server.request import Request

_BAD_ESCAPE = pattern("%(?![0-9A-Fa-f]{2})")


def unescape_key(key: str) -> str:
    """The key of an extra in a header's name, percent-decoded; left as it is when that cannot be done."""
    return key if _BAD_ESCAPE.search(key) else unquote(key)


class RequestHeaderAuthenticator:
    """Reads the user from headers when the peer's certificate is of `ca`.

    Its CN must be among `allowed_names` unless that is empty. `clock` gives Unix seconds.
    """

    name = "front proxy"

    def __init__(
        self,
        ca: bytes,
        *,
        allowed_names: Sequence[str] = (),
        username_headers: Sequence[str] = ("X-Remote-User",),
        uid_headers: Sequence[str] = (),
        group_headers: Sequence[str] = ("X-Remote-Group",),
        extra_prefixes: Sequence[str] = ("X-Remote-Extra-",),
        budget: CacheBudget | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ca = ca
        self._clock = clock
        self.allowed_names = frozenset(allowed_names)
        self.username_headers = [h.lower() for h in username_headers]
        self.uid_headers = [h.lower() for h in uid_headers]
        self.group_headers = [h.lower() for h in group_headers]
        self.extra_prefixes = [h.lower() for h in extra_prefixes]
        self._trusted: Cache[bytes, float] = Cache(
            "proxy_certificates", budget or CacheBudget(), share=1 / 64, largest=64 << 10
        )

    def trust(self, ca: bytes) -> None:
        """Have proxies' certificates verified by other CAs from now on."""
        self.ca = ca
        self._trusted.clear()

    async def authenticate(self, request: Request) -> User | None:
        # PERF: requests without the header are none of a proxy's;
        # the certificates of others are not verified here.
        headers = request.headers
        for header in self.username_headers:
            if header in headers:
                break
        else:
            return None
        name = self._first(request, self.username_headers) if request.peer_certificates else ""
        if not name:
            return None
        self._check_proxy(request.peer_certificates)
        groups = tuple(v for h in self.group_headers for n, v in request.all_headers if n == h and v)
        return User(name, self._first(request, self.uid_headers), groups, self._extra(request))

    def _check_proxy(self, chain: tuple[bytes, ...]) -> None:
        from cryptography.x509.oid import NameOID

        now = self._clock()
        if (self._trusted[chain[0]] or 0.0) > now:
            return
        self._trusted.drop(chain[0])
        leaf = verified(chain, self.ca, now)
        names = [str(a.value) for a in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        name = names[-1] if names else ""
        if self.allowed_names and name not in self.allowed_names:
            raise errors.Unauthorized(f"x509: subject with cn={name} is not in the allowed list")
        self._trusted.put(chain[0], leaf.not_valid_after_utc.timestamp())

    @staticmethod
    def _first(request: Request, names: list[str]) -> str:
        return next((v for n in names if (v := request.headers.get(n, ""))), "")

    def _extra(self, request: Request) -> dict[str, list[str]]:
        extra: dict[str, list[str]] = {}
        for prefix in self.extra_prefixes:
            for name, value in request.all_headers:
                if name.startswith(prefix):
                    extra.setdefault(unescape_key(name[len(prefix) :]), []).append(value)
        return extra
