"""Keeps other pages from using the client certificate that a browser has for the console.

A browser sends a certificate along with whatever a page asks this server for, also a page of another site, or
one that a pod serves through the proxy. kube-apiserver answers such requests; here they are refused where the
console is served, as that is why browsers have certificates.
Only browsers send the headers that are looked at, and no page can choose them.
"""

from pilothouse import errors
from pilothouse.endpoints.request.edges import Edges
from pilothouse.server.request import Request

OWN = ("same-origin", "none")
"""The values of Sec-Fetch-Site for pages of this server,
and of addresses that the user has chosen (Fetch Metadata)."""
SANDBOX = (
    "Content-Security-Policy",
    "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts",
)
"""Makes a page one of no origin: its scripts run,
and what they ask this server for comes from another site."""
FOREIGN = (
    "a page of another origin has the browser send this request: client certificates are for this server's"
    " own pages"
)


def check(request: Request, edges: Edges | None) -> None:
    """Refuse a request with a client certificate that a page of another origin has made (Forbidden)."""
    if _is_foreign(request) and not (edges and edges.allows(request)):
        raise errors.Forbidden(FOREIGN)


def _is_foreign(request: Request) -> bool:
    headers = request.headers
    site = headers.get("sec-fetch-site")
    if site is None:  # WebSockets of Chromium have the origin only
        origin = headers.get("origin")
        if origin is None or is_relayed(request):
            return False
        return origin.partition("://")[2] != headers.get("host")  # an origin has no path
    if site in OWN:
        return False
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (followed and request.method in ("GET", "HEAD"))


def is_relayed(request: Request) -> bool:
    """Whether the request comes through a proxy, such as `kubectl proxy`:
    the browser's pages are then those of the proxy's origin."""
    return "x-forwarded-for" in request.headers
