"""What both kinds of policies do with a request: which of them it matches, with which objects and parameters."""

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pilothouse.admission.authorization import Authorizer
from pilothouse.admission.policies.evaluation import Authority, Scope
from pilothouse.admission.policies.matching import Matched, namespace_of
from pilothouse.admission.policies.params import collect
from pilothouse.admission.policies.source import Binding, Hook
from pilothouse.api.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.waiting import as_task

C = TypeVar("C")


class Invocation(NamedTuple, Generic[C]):
    """One evaluation of a policy: with a binding and one of its parameters."""

    hook: Hook[C]
    binding: Binding
    matched: Matched
    params: Object | None


class PolicyRequest:
    """A request as policies see it; its objects are converted once for each version that policies match."""

    def __init__(self, a: AdmissionAttributes, authorizer: Authorizer) -> None:
        self.attributes = a
        self.authority = Authority(authorizer, a.user)
        self._namespace: Object | None = None
        self._scopes: dict[tuple[str, str, str], Scope] = {}

    def namespace(self) -> Object | None:
        """The namespace of the request, None for objects that are in none; NotFound."""
        a = self.attributes
        if self._namespace is None and a.namespace and a.kind != ("", "v1", "Namespace"):
            self._namespace = namespace_of(a)
        return self._namespace

    def scope(self, matched: Matched) -> Scope:
        """What expressions see when the request has matched as `matched`; NotFound."""
        scope = self._scopes.get(matched.kind)
        if scope is None:
            a = self.attributes
            obj, old = (converted(one, a, matched) for one in (a.obj, a.old))
            scope = Scope(a, matched, obj, old, self.namespace(), self.authority)
            self._scopes[matched.kind] = scope
        return scope

    def keep(self, scope: Scope) -> None:
        """Take over the changed object of a scope: the request's, and that of scopes in other versions."""
        a = self.attributes
        assert scope.obj is not None
        a.obj = restored(scope.obj, a, scope.matched)
        for other in self._scopes.values():
            if other is not scope:
                other.obj = converted(a.obj, a, other.matched)

    async def invocations(self, hook: Hook[C], matched: Matched, binding: Binding) -> Sequence[Invocation[C]]:
        """The evaluations that a binding asks for, none when it is not about the request.

        ConfigurationError, NotFound.
        """
        a = self.attributes
        if not binding.matches(a):
            return ()
        kind = hook.spec.get("paramKind")
        if kind is None:
            return (Invocation(hook, binding, matched, None),)
        found = await collect(
            a.readers, kind, hook.param_resource(a.readers), binding.spec.get("paramRef"), a.namespace
        )
        return [Invocation(hook, binding, matched, params) for params in found]


def begun(evaluating: Coroutine[Any, Any, None], a: AdmissionAttributes) -> Awaitable[None] | None:
    """Run an evaluation up to its first wait; None when it has ended there, as nearly all do.

    That of a large object waits for threads in any case, and is left to the caller.
    """
    if a.work.bytes:
        return evaluating
    try:
        awaited = evaluating.send(None)
    except StopIteration:
        return None
    return as_task(evaluating, awaited)


def converted(obj: Object | None, a: AdmissionAttributes, matched: Matched) -> Object | None:
    """An object of the request in the version that was matched."""
    other = matched.resource
    if obj is None or other is a.resource or a.kind == matched.kind:
        return obj
    found = a.resource.version_of(other.api_version)
    return obj if found is None else found[1]([obj])[0]


def restored(obj: Object, a: AdmissionAttributes, matched: Matched) -> Object:
    """An object in the version that was matched, brought back to that of the request."""
    other = matched.resource
    if other is a.resource or a.kind == matched.kind:
        return obj
    found = other.version_of(a.resource.api_version)
    return obj if found is None else found[1]([obj])[0]
