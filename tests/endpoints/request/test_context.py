"""The context that the stages of a request share."""

from pilothouse.api.values.identity import ANONYMOUS, RequestInfo
from pilothouse.endpoints.request.context import Context
from pilothouse.server.request import Request


def context() -> Context:
    return Context(Request("GET", "/x", {}, []), RequestInfo("/x", "get"), {}, "id")


def test_nobody_is_known_at_first() -> None:
    ctx = context()
    assert ctx.user is ANONYMOUS and ctx.caller is ANONYMOUS
    assert (ctx.resource, ctx.subresource, ctx.media, ctx.priority) == (None, None, None, None)


def test_a_warning_is_given_once_and_in_order() -> None:
    ctx = context()
    assert ctx.warnings is None
    for text in ("b", "a", "b"):
        ctx.warn(text)
    assert ctx.warnings is not None and ctx.warnings.sendable() == ["b", "a"]
