from collections.abc import Callable, Mapping
from typing import Any

from pilothouse._instruments import Distribution
from pilothouse._requestmetrics import Authenticated, Authorized, Cells
from pilothouse._seats import Flow, Ticket
from pilothouse._watchcache import ResourceCache
from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.authn.authenticator import Recognition
from pilothouse.authz.authorizer import Decision
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response

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
    def __init__(
        self,
        *,
        user: User,
        recognition: Recognition,
        until: float,
        decision: Decision,
        allowed: list[int] | None,
        flow: Flow,
        info: RequestInfo,
        resource: Resource,
        objects: ResourceCache,
        prefix: str,
        client: str,
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
        known: Mapping[tuple[str, str, str | None, str | None], Plan | None],
        unreadable: Mapping[str, Exception],
        authenticated: Authenticated,
        authorized: Authorized,
        hit: Distribution,
        queued: Distribution,
        cells: Cells,
        keep: Callable[[Any, float, int, BaseException | None], None] | None,
        abort: Callable[[RequestInfo, Resource | None], None],
        clock: Callable[[], float] | None = ...,
    ) -> None: ...
    def answer(self, request: Request) -> Response | None: ...
