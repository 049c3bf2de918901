"""The views of policies and webhooks of one request: its objects in each version that they ask for."""

from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.expressions import AuthorizationChecks, Scope
from pilothouse.admission.matching import Matched
from pilothouse.admission.objects import converted, restored
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes


class Views:
    """The objects of a request are converted once for each version that it has matched in."""

    def __init__(self, a: AdmissionAttributes, authorizer: AccessAuthorizer) -> None:
        self.attributes = a
        self.authority = AuthorizationChecks(authorizer, a.user)
        self._scopes: dict[tuple[str, str, str], Scope] = {}

    def namespace(self) -> Object | None:
        """The namespace that expressions see, None for none; NotFound."""
        return None

    async def scope(self, matched: Matched) -> Scope:
        """The request as it has matched;
        StatusError when it has no namespace, or no object of that version."""
        scope = self._scopes.get(matched.kind)
        if scope is None:
            a = self.attributes
            obj, old = await converted(a.obj, a, matched), await converted(a.old, a, matched)
            scope = Scope(a, matched, obj, old, self.namespace(), self.authority)
            self._scopes[matched.kind] = scope
        return scope

    async def keep(self, scope: Scope) -> None:
        """Take over the changed object of a scope: the request's, and that of scopes in other versions."""
        a = self.attributes
        assert scope.obj is not None
        a.obj = await restored(scope.obj, a, scope.matched)
        for other in self._scopes.values():
            if other is not scope:
                other.obj = await converted(a.obj, a, other.matched)
