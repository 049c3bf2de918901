"""The work of both kinds of policies on a request:
which of them it matches, with which objects and parameters."""

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.matching import Matched, namespace_of
from pilothouse.admission.policies.params import collect
from pilothouse.admission.policies.source import Binding, Hook
from pilothouse.admission.views import Views
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.waiting import as_task

C = TypeVar("C")


class Invocation(NamedTuple, Generic[C]):
    """One evaluation of a policy: with a binding and one of its parameters."""

    hook: Hook[C]
    binding: Binding
    matched: Matched
    params: Object | None


class PolicyRequest(Views):
    """A request as policies see it."""

    def __init__(self, a: AdmissionAttributes, authorizer: AccessAuthorizer) -> None:
        super().__init__(a, authorizer)
        self._namespace: Object | None = None

    def namespace(self) -> Object | None:
        """The namespace of the request, None for objects that are in none; NotFound."""
        a = self.attributes
        if self._namespace is None and a.namespace and a.kind != ("", "v1", "Namespace"):
            self._namespace = namespace_of(a)
        return self._namespace

    async def invocations(self, hook: Hook[C], matched: Matched, binding: Binding) -> Sequence[Invocation[C]]:
        """The evaluations that a binding asks for, none when it is not about the request.

        PolicyConfigurationError, NotFound.
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
