"""What the rooms of one request share."""

from typing import Any

from pilothouse.api.identity import ANONYMOUS, RequestInfo, User
from pilothouse.api.warnings import Warnings
from pilothouse.endpoints.params import Query
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.server.request import Request


class Context:
    """One request on its way through the pipeline.

    user: the effective one (after impersonation). caller: the authenticated one. priority: the (flow schema uid,
    priority level uid) pair of the answer's headers. warnings: texts of Warning headers, None without any.
    resource and subresource are set once the request is routed to one. media: the negotiated answer form.
    work: where the request's long steps run.
    behind: the cache can not be made as new as the store, so a read that may not be stale reads the store.
    """

    __slots__ = (
        "audit_id",
        "behind",
        "caller",
        "info",
        "media",
        "priority",
        "query",
        "request",
        "resource",
        "subresource",
        "user",
        "warnings",
        "work",
    )

    def __init__(self, request: Request, info: RequestInfo, query: Query, audit_id: str) -> None:
        self.request = request
        self.info = info
        self.query = query
        self.audit_id = audit_id
        self.user: User = ANONYMOUS
        self.caller: User = ANONYMOUS
        self.priority: tuple[str, str] | None = None
        self.warnings: Warnings | None = None
        self.resource: Resource | None = None
        self.subresource: Subresource | None = None
        self.media: Any = None
        self.behind = False
        self.work: Work | Inline = INLINE_WORK

    def warn(self, text: str) -> None:
        """Add a Warning header, once."""
        if self.warnings is None:
            self.warnings = Warnings()
        self.warnings.add(text)
