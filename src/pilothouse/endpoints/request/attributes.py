"""The attributes of a request: what the authorizer judges, and whether a deadline ends it."""

from pilothouse import errors
from pilothouse.api.values import names
from pilothouse.api.values.identity import AuthorizationAttributes, RequestInfo
from pilothouse.api.values.selectors import field_terms
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import first

LONG_RUNNING_VERBS = frozenset(("watch", "proxy"))
LONG_RUNNING_SUBRESOURCES = frozenset(("attach", "exec", "log", "portforward", "proxy"))
LONGEST_SELECTOR = 4096
"""Characters of a field selector in which a name is looked for before anybody is authorized."""
SELECTOR_VERBS = frozenset(("list", "watch", "deletecollection"))


def attributes_of(ctx: Context) -> AuthorizationAttributes:
    """The attributes that the authorizer judges."""
    info = ctx.info
    out = AuthorizationAttributes(
        ctx.user,
        info.verb,
        info.path,
        info.is_resource,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
    )
    if info.verb in SELECTOR_VERBS and ctx.query and not _verb_in_path(info):
        out.field_selector = first(ctx.query, "fieldSelector")
        out.label_selector = first(ctx.query, "labelSelector")
        if not info.name and info.verb != "deletecollection":
            out.name = _selected_name(out.field_selector)
    return out


def _verb_in_path(info: RequestInfo) -> bool:
    """Whether it is a /watch/ path, by which selectors do not count."""
    if info.verb != "watch":
        return False
    return info.path.strip("/").split("/", 4)[2 if info.prefix == "api" else 3] == "watch"


def _selected_name(text: str) -> str:
    """The only name that a field selector lets through, "" when there are more or it cannot be read."""
    if "metadata.name" not in text or len(text) > LONGEST_SELECTOR:
        return ""
    try:
        terms = field_terms(text)
    except errors.BadRequest:
        return ""
    name = next((value for field, op, value in terms if field == "metadata.name" and op == "="), "")
    return "" if names.path_segment(name) else name


def runs_long(info: RequestInfo) -> bool:
    """Whether no deadline ends the request."""
    return info.verb in LONG_RUNNING_VERBS or info.subresource in LONG_RUNNING_SUBRESOURCES
