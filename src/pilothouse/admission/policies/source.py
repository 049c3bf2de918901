"""Follows policies and their bindings (apiserver plugin/policy/generic policy_source.go)."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from pilothouse.admission.matching import Criteria
from pilothouse.admission.policies.params import PolicyConfigurationError, param_resource
from pilothouse.admission.source import GROUP, POLICIES, HookSource
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers, ServedKind

C = TypeVar("C")


class Binding:
    """One binding of a policy."""

    __slots__ = ("criteria", "name", "spec")

    def __init__(self, obj: Object) -> None:
        self.name: str = obj["metadata"]["name"]
        self.spec: Object = obj["spec"]
        resources = self.spec.get("matchResources")
        self.criteria = Criteria(resources) if resources is not None else None

    def matches(self, a: AdmissionAttributes) -> bool:
        """Whether the binding is about the request; NotFound as Criteria.match()."""
        return self.criteria is None or self.criteria.match(a) is not None


class Hook(Generic[C]):
    """A policy with its bindings. It is compiled when the first request matches it."""

    __slots__ = ("_compile", "_compiled", "bindings", "criteria", "identity", "name", "spec")

    def __init__(self, obj: Object, identity: tuple[str, int], compile: Callable[[Object, str], C]) -> None:
        self.name: str = obj["metadata"]["name"]
        self.spec: Object = obj["spec"]
        self.identity = identity
        self.criteria = Criteria(self.spec.get("matchConstraints") or {})
        self.bindings: list[Binding] = []
        self._compile = compile
        self._compiled: C | None = None

    @property
    def compiled(self) -> C:
        """The compiled policy."""
        if self._compiled is None:
            self._compiled = self._compile(self.spec, self.name)
        return self._compiled

    def param_resource(self, readers: Readers) -> ServedKind | None:
        """The resource that serves the policy's parameters, None without any; PolicyConfigurationError."""
        kind = self.spec.get("paramKind")
        return param_resource(readers, kind) if kind is not None else None

    def config_error(self, why: Exception, binding: Binding | None) -> str:
        """Upstream's words for a policy or a binding that cannot be used."""
        text = str(why) if isinstance(why, PolicyConfigurationError) else getattr(why, "message", str(why))
        return f"failed to configure {'binding' if binding is not None else 'policy'}: {text}"


class PolicySource(HookSource[Hook[C]]):
    """The policies of a kind that have bindings, by name, as the readers have them.

    `plural` and `bindings` are resources. `compile` is called with a policy's spec
    and name, once for each of its generations.
    """

    def __init__(
        self, readers: Readers, plural: str, bindings: str, compile: Callable[[Object, str], C]
    ) -> None:
        self._names = (f"{plural}.{GROUP}", f"{bindings}.{GROUP}")
        self._compile = compile
        self._known: dict[str, Hook[C]] = {}
        super().__init__(readers, self._names, POLICIES)

    def gather(self) -> Iterable[Hook[C]]:
        """Gather the policies with their bindings (HookSource.gather)."""
        policies, bindings = self._names
        bound: dict[str, list[Binding]] = {}
        for obj in self._readers.list(bindings):
            bound.setdefault(obj["spec"].get("policyName") or "", []).append(Binding(obj))
        known: dict[str, Hook[C]] = {}
        for obj in self._readers.list(policies):
            name, metadata = obj["metadata"]["name"], obj["metadata"]
            if name not in bound:
                continue
            identity = (metadata.get("uid", ""), metadata.get("generation", 0))
            hook = self._known.get(name)
            if hook is None or hook.identity != identity:
                hook = Hook(obj, identity, self._compile)
            hook.bindings = bound[name]
            known[name] = hook
        self._known = known
        return known.values()
