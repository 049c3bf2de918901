"""Serves the console at /console: pages, scripts and styles of the package, which anybody may read.

The files hold no data: the browser asks for everything that the console shows with the user's credentials, so
these files are served without authentication.
Otherwise nobody could paste a token where anonymous requests are refused.
"""

import hashlib
from functools import cached_property
from pathlib import Path

from pilothouse.endpoints.documents.health import NOSNIFF
from pilothouse.endpoints.documents.openapi_handlers import matches
from pilothouse.endpoints.request import refusals
from pilothouse.server.request import Request, Response

PATH = "/console"
INDEX = "index.html"
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""Media types of the files that are served, by the ends of their names."""

METHODS = ("GET", "HEAD")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "connect-src 'self'",
        "img-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""The Content-Security-Policy (CSP Level 3):
nothing from elsewhere, no script within a page, no frame around one."""

HEADERS = (
    NOSNIFF,
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
)
"""The headers of every answer. A browser keeps the files, and asks whether they are still the same."""


ROOT, READ_ONLY_ROOT = b'<html lang="en">', b'<html lang="en" data-mode="read-only">'
"""The element of the page that tells its scripts whether they may change objects."""


class Console:
    """The files, which are read once; each has its ETag and its media type. A page that is `read_only`
    changes nothing by itself: it is no limit for its users, who have their rights anyway."""

    def __init__(self, *, read_only: bool = False) -> None:
        self._read_only = read_only

    @cached_property
    def _files(self) -> dict[str, tuple[str, str, bytes]]:
        found: dict[str, tuple[str, str, bytes]] = {}
        folder = Path(__file__).with_name("console_files")
        for file in folder.iterdir():
            media_type = TYPES.get(file.name.rpartition(".")[2])
            if media_type is not None:
                body = file.read_bytes()
                if self._read_only and file.name == INDEX:
                    body = body.replace(ROOT, READ_ONLY_ROOT, 1)
                found[file.name] = hashlib.sha256(body).hexdigest()[:32], media_type, body
        return found

    def answer(self, request: Request) -> Response | None:
        """The answer to a request for a file; None for paths that are not the console's."""
        path = request.path
        if not path.startswith(PATH) or path[len(PATH) : len(PATH) + 1] not in ("", "/"):
            return None
        if request.method not in METHODS:
            allow = ("Allow", ", ".join(METHODS))
            return Response(405, b"405 method not allowed\n", "text/plain; charset=utf-8", [*HEADERS, allow])
        if path == PATH:
            # The files are named relative to the folder, which may stand below the path of a proxy.
            return Response(301, b"", "text/plain; charset=utf-8", [*HEADERS, ("Location", "console/")])
        found = self._files.get(path[len(PATH) + 1 :] or INDEX)
        if found is None:
            return refusals.page_not_found()
        tag, media_type, body = found
        headers = [*HEADERS, ("Etag", f'"{tag}"')]
        if matches(request, tag):
            return Response(304, b"", media_type, headers)
        return Response(200, body, media_type, headers)
