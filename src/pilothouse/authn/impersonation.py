"""Impersonation: requests on behalf of other users, if the authorizer allows it (KEP-5284)."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from pilothouse import errors
from pilothouse.api.values import names
from pilothouse.api.values._requestinfo import impersonates
from pilothouse.api.values.fields import Errors
from pilothouse.api.values.identity import ANONYMOUS, AuthorizationAttributes, User
from pilothouse.authn import serviceaccount
from pilothouse.authn.authenticator import ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, join
from pilothouse.authn.metrics import ImpersonationMetrics
from pilothouse.authn.requestheader import unescape_key
from pilothouse.caches import Cache, CacheBudget
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen
from pilothouse.server.request import Request


class Decided(Protocol):
    """An authorizer's decision; a protocol, as authn does not import authz."""

    @property
    def allowed(self) -> bool: ...

    @property
    def reason(self) -> str: ...


Authorize = Callable[[AuthorizationAttributes], Awaitable[Decided]]
Forbid = Callable[[AuthorizationAttributes, str], errors.StatusError]

_GROUP = "authentication.k8s.io"
_LEGACY = "impersonate"
_EXTRA = "impersonate-extra-"
_NODE_PREFIX = "system:node:"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_SEVERAL = 4
"""The number of groups or extras from which on one check for all of them is tried first."""


@frozen
class _Mode:
    """A mode of impersonation: the caller needs `impersonate:NAME`
    on the wanted user and `impersonate-on:NAME:VERB` on the request."""

    name: str
    fits: Callable[[User, User], bool]
    """Whether it is about this wanted user, for this caller."""


class Impersonation:
    """Decides who a request acts as.

    `authorize` decides on attributes, `forbid` makes the 403 from them and a reason;
    authn does not import authz.
    """

    def __init__(
        self,
        authorize: Authorize,
        forbid: Forbid,
        budget: CacheBudget | None = None,
        metrics: ImpersonationMetrics | None = None,
    ) -> None:
        self._authorize = authorize
        self.metrics = metrics or ImpersonationMetrics()
        self.forbid = forbid
        self._last: Cache[str, int] = Cache("impersonation", budget or CacheBudget(), share=1 / 32)

    @staticmethod
    def wanted(request: Request) -> bool:
        """Whether a request has impersonation headers at all."""
        return impersonates(request.headers)

    async def effective(self, request: Request, attributes: AuthorizationAttributes) -> tuple[User, str]:
        """The user to act as, or Forbidden; `attributes` are those of the request with its caller.

        With it comes the verb of constrained impersonation that allowed it, "" for another or none.
        """
        wanted = wanted_user(request)
        if wanted is None:
            return attributes.user, ""
        began, decision, mode = time.perf_counter(), "denied", ""
        try:
            user, constraint = await self._first_allowed(wanted, attributes)
            decision, mode = "allowed", _mode_of(constraint or _LEGACY)
            return user, constraint
        finally:
            self.metrics.attempts.observe(time.perf_counter() - began, decision, mode)

    async def _first_allowed(self, wanted: User, attributes: AuthorizationAttributes) -> tuple[User, str]:
        """Try each mode, first the one that succeeded last for this caller;
        the first refusal is raised when all fail."""
        refusal: errors.StatusError | None = None
        caller = attributes.user.name
        last = self._last[caller]
        order = list(range(len(_MODES) + 1))
        if last is not None:
            order.remove(last)
            order.insert(0, last)
        for i in order:
            try:
                user = await self._try(i, wanted, attributes)
            except errors.Forbidden as error:
                refusal = refusal or error
                continue
            if user is not None:
                if i != last:
                    self._last.put(caller, i)
                return user, f"impersonate:{_MODES[i].name}" if i < len(_MODES) else ""
        raise refusal or self.forbid(attributes, "all impersonation modes failed")

    async def _try(self, i: int, wanted: User, attributes: AuthorizationAttributes) -> User | None:
        if i == len(_MODES):
            return await self._as(_LEGACY, wanted, attributes.user, constrained=False)
        mode, caller = _MODES[i], attributes.user
        if not mode.fits(wanted, caller):
            return None
        if mode.name == "associated-node":
            # The same answer for all nodes: the caller's own keys are shown, not their values.
            keys = {"authentication.kubernetes.io/associated-node-keys": sorted(caller.extra)}
            caller = replace(caller, extra=keys)
        verb = f"impersonate-on:{mode.name}:{attributes.verb}"
        await self._check(replace(attributes, user=caller, verb=verb))
        return await self._as(f"impersonate:{mode.name}", wanted, caller, constrained=True)

    async def _as(self, verb: str, wanted: User, caller: User, *, constrained: bool) -> User:
        group = _GROUP if constrained else ""
        target = AuthorizationAttributes(
            caller, verb, is_resource=True, group=group, version="v1", resource="users"
        )
        target.name, groups = wanted.name, wanted.groups
        if constrained and (node := _node_of(wanted.name)) is not None:
            target.resource, groups = "nodes", ("system:nodes",)
            target.name = "*" if verb == "impersonate:associated-node" else node
        elif account := _account_of(wanted.name):
            target.resource = "serviceaccounts"
            target.namespace, target.name = account
            groups = groups or serviceaccount.groups(target.namespace)
        await self._check(target)
        if wanted.uid:
            await self._check(self._other(caller, verb, _GROUP, "uids", wanted.uid))
        await self._check_groups(caller, verb, group, wanted.groups)
        await self._check_extra(caller, verb, wanted.extra, constrained=constrained)
        return replace(wanted, groups=_with_authentication(wanted.name, groups))

    async def _check_groups(self, caller: User, verb: str, group: str, groups: tuple[str, ...]) -> None:
        if not groups:
            return
        constrained = bool(group)
        target = self._other(caller, verb, group, "groups", "")
        if constrained and "" in groups:
            raise self.forbid(target, "impersonating the empty string group is not allowed")
        if constrained and "system:masters" in groups:
            target.name = "system:masters"
            raise self.forbid(target, "impersonating the system:masters group is not allowed")
        if constrained and len(groups) >= _SEVERAL and await self._all_allowed(target):
            return
        for name in groups:
            await self._check(replace(target, name=name))

    async def _check_extra(
        self, caller: User, verb: str, extra: dict[str, list[str]], *, constrained: bool
    ) -> None:
        if not extra:
            return
        target = self._other(caller, verb, _GROUP, "userextras", "")
        if constrained:
            fault = _fault_of_extra(extra)
            if fault:
                raise self.forbid(target, fault)
            large = len(extra) >= _SEVERAL or sum(map(len, extra.values())) >= _SEVERAL
            if large and await self._all_allowed(replace(target, subresource="*")):
                return
        for key, values in extra.items():
            for value in values:
                await self._check(replace(target, subresource=key, name=value))

    @staticmethod
    def _other(caller: User, verb: str, group: str, resource: str, name: str) -> AuthorizationAttributes:
        return AuthorizationAttributes(
            caller, verb, is_resource=True, group=group, version="v1", resource=resource, name=name
        )

    async def _all_allowed(self, target: AuthorizationAttributes) -> bool:
        return (await self._ask(replace(target, name="*"))).allowed

    async def _ask(self, attributes: AuthorizationAttributes) -> Decided:
        began = time.perf_counter()
        found = await self._authorize(attributes)
        decision = "allowed" if found.allowed else "denied"
        self.metrics.asked.observe(time.perf_counter() - began, decision, _mode_of(attributes.verb))
        return found

    async def _check(self, attributes: AuthorizationAttributes) -> None:
        decision = await self._ask(attributes)
        if not decision.allowed:
            raise self.forbid(attributes, decision.reason)


def _mode_of(verb: str) -> str:
    """The mode whose verb it is: `impersonate`, `impersonate:MODE` or `impersonate-on:MODE:VERB`."""
    return "legacy" if verb == _LEGACY else verb.split(":", 2)[1]


def wanted_user(request: Request) -> User | None:
    """The user that the headers ask for, as they say it; None when they ask for nobody."""
    name, uid = request.headers.get("impersonate-user", ""), request.headers.get("impersonate-uid", "")
    groups = tuple(value for header, value in request.all_headers if header == "impersonate-group")
    extra: dict[str, list[str]] = {}
    for header, value in request.all_headers:
        if header.startswith(_EXTRA):
            extra.setdefault(unescape_key(header[len(_EXTRA) :]), []).append(value)
    if name:
        return User(name, uid, groups, extra)
    if uid or groups or extra:
        raise errors.BadRequest(
            f"requested {_go_syntax(uid, groups, extra)} without impersonating a user name"
        )
    return None


def _go_syntax(uid: str, groups: tuple[str, ...], extra: dict[str, list[str]]) -> str:
    """The wanted user as upstream's message shows it, in the syntax of Go."""

    def texts(values: tuple[str, ...] | list[str]) -> str:
        return f"[]string{{{', '.join(quote(v) for v in values)}}}"

    members = ", ".join(f"{quote(key)}:{texts(extra[key])}" for key in sorted(extra))
    shown_groups = texts(groups) if groups else "[]string(nil)"
    shown_extra = f"map[string][]string{{{members}}}" if extra else "map[string][]string(nil)"
    return f'&user.DefaultInfo{{Name:"", UID:{quote(uid)}, Groups:{shown_groups}, Extra:{shown_extra}}}'


def _with_authentication(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    added = ALL_AUTHENTICATED
    if name == ANONYMOUS.name:
        added = ALL_UNAUTHENTICATED
    elif ALL_UNAUTHENTICATED in groups:
        return groups
    return groups if added in groups else (*groups, added)


def _node_of(username: str) -> str | None:
    name = username[len(_NODE_PREFIX) :]
    return name if username.startswith(_NODE_PREFIX) and not names.dns_subdomain(name) else None


def _account_of(username: str) -> tuple[str, str] | None:
    parts = username.split(":")
    if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
        return None
    namespace, name = parts[2:]
    if names.dns_label(namespace) or names.dns_subdomain(name):
        return None
    return namespace, name


def _only_name(wanted: User) -> bool:
    return not (wanted.uid or wanted.groups or wanted.extra)


def _fits_own_node(wanted: User, caller: User) -> bool:
    node = _node_of(wanted.name)
    if node is None or not _only_name(wanted) or _account_of(caller.name) is None:
        return False
    return caller.extra.get(_NODE_NAME) == [node]


_MODES = (
    _Mode("associated-node", _fits_own_node),
    _Mode("arbitrary-node", lambda wanted, _: _only_name(wanted) and _node_of(wanted.name) is not None),
    _Mode("serviceaccount", lambda wanted, _: _only_name(wanted) and _account_of(wanted.name) is not None),
    _Mode("user-info", lambda wanted, _: _node_of(wanted.name) is None and _account_of(wanted.name) is None),
)
"""The modes from the narrowest to the widest; the legacy `impersonate` verb comes after them."""


def _fault_of_extra(extra: dict[str, list[str]]) -> str:
    """Why constrained impersonation refuses the extras, "" when it does not."""
    for key, values in extra.items():
        if not key:
            return "impersonating the empty string key in extra is not allowed"
        causes = Errors()
        names.domain_prefixed_path(causes, "extra.key", key)
        if causes:
            faults = join([f"{c['field']}: {c['message']}" for c in causes.causes])
            return f"impersonating an invalid key in extra is not allowed: {faults}"
        if key != key.lower():
            return f"impersonating a non-lowercase key in extra is not allowed: {quote(key)}"
        if "" in values:
            return "impersonating the empty string value in extra is not allowed"
    return ""
