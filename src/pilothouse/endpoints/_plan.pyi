from collections.abc import Callable, Mapping
from typing import TypeVar

from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.authn.authenticator import Recognition, Remembered
from pilothouse.authz.authorizer import Decision
from pilothouse.endpoints.journal.journal import Adding
from pilothouse.flowcontrol._seats import Flow, Ticket
from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics._requestmetrics import Authenticated, Authorized, Cells
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response
from pilothouse.storage._entry import Entry
from pilothouse.storage._watchcache import ResourceCache

_T = TypeVar("_T")

class Plan:
    user: User
    recognition: Recognition
    decision: Decision
    flow: Flow
    info: RequestInfo
    resource: Resource
    allowed: list[int] | None
    objects: ResourceCache
    prefix: str
    until: float
    shown: bytes
    weight: int
    def __init__(
        self,
        *,
        known: Remembered,
        decision: Decision,
        allowed: list[int] | None,
        flow: Flow,
        info: RequestInfo,
        resource: Resource,
        objects: ResourceCache,
        prefix: str,
        client: str,
        shown: bytes,
        weight: int,
        form: Callable[[Entry], bytes | None] | None,
        content_type: str,
    ) -> None: ...

class Planned:
    request: Request
    flow: Ticket
    audit_id: str
    name: str
    started: float
    recognised: float
    answered: float
    def __call__(self, sent: int, error: BaseException | None) -> None: ...

class Plans:
    def __init__(
        self,
        *,
        known: Mapping[tuple[str | bytes, str, str | None, str | None], Plan | None],
        unreadable: Mapping[str, Exception],
        authenticated: Authenticated,
        authorized: Authorized,
        hit: Distribution,
        queued: Distribution,
        cells: Cells,
        ring: Adding | None,
        abort: Callable[[RequestInfo, Resource | None], None],
        proxied: tuple[str, ...],
        wall: Callable[[], float],
        clock: Callable[[], float] | None = ...,
    ) -> None: ...
    def answer(self, request: Request) -> Response | None: ...

def verdict_of(
    known: Mapping[tuple[str | bytes, str, str, str, str | None, str | None, str | None], _T | None],
    request: Request,
) -> tuple[_T, RequestInfo] | None: ...
