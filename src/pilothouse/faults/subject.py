"""The subject of rules: a request, as far as they look at it."""

from typing import NamedTuple

from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import Query

WRITES = ("create", "update", "patch", "delete", "deletecollection")


class Subject(NamedTuple):
    """A request, as rules see it. `resource` is a plural, `query` is that of the request."""

    user: str
    groups: tuple[str, ...]
    user_agent: str
    verb: str
    path: str
    api_group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    audit_id: str
    query: Query

    @classmethod
    def of(cls, ctx: Context) -> "Subject":
        """The subject of a request whose user is known."""
        info = ctx.info
        return cls(
            user=ctx.user.name,
            groups=tuple(ctx.user.groups),
            user_agent=ctx.request.headers.get("user-agent", ""),
            verb=info.verb,
            path=info.path,
            api_group=info.group if info.is_resource else "",
            resource=info.resource if info.is_resource else "",
            subresource=info.subresource if info.is_resource else "",
            namespace=info.namespace if info.is_resource else "",
            name=info.name if info.is_resource else "",
            audit_id=ctx.audit_id,
            query=ctx.query,
        )

    @property
    def revision(self) -> str:
        """The resourceVersion that is asked for; "" where any or the newest will do."""
        given = self.query.get("resourceVersion", [""])[0]
        return "" if given == "0" else given

    @property
    def may_be_too_old(self) -> bool:
        """Whether a server may answer that what is asked for is too old."""
        if self.verb == "watch":
            return bool(self.revision)
        return self.verb == "list" and bool(self.revision or self.query.get("continue"))

    @property
    def may_be_stale(self) -> bool:
        """Whether the API allows an answer from any older revision: a list with resourceVersion=0."""
        query = self.query
        return (
            self.verb == "list"
            and query.get("resourceVersion") == ["0"]
            and query.keys().isdisjoint(("continue", "resourceVersionMatch"))
        )
