"""MutatingAdmissionPolicy: expressions that change an object (apiserver plugin/policy/mutating)."""

from collections.abc import Awaitable
from time import perf_counter
from typing import NamedTuple

from pilothouse import errors
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.expressions import Expression, OutOfBudget, Scope
from pilothouse.admission.metrics import ADMIT, VALIDATE, AdmissionMetrics, ConditionCounts
from pilothouse.admission.objects import completed, type_of
from pilothouse.admission.policies.compiled import CompiledPolicy
from pilothouse.admission.policies.params import PolicyConfigurationError
from pilothouse.admission.policies.patches import (
    APPLY_CONFIGURATION,
    JSON_PATCH,
    UnusablePatch,
    applied,
    patched,
)
from pilothouse.admission.policies.request import Invocation, PolicyRequest, begun
from pilothouse.admission.policies.source import Binding, Hook, PolicySource
from pilothouse.admission.reinvocation import Reinvocations
from pilothouse.api.cel import list_of
from pilothouse.api.expressions import admission, mutations
from pilothouse.api.expressions.limits import PER_OBJECT
from pilothouse.api.values import equality
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.admission import AdmissionAttributes, Reinvocation
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.timeline import PATHS

NAME = "MutatingAdmissionPolicy"
Key = tuple[str, str, str, str]
"""An invocation: policy, binding, namespace and name of the parameters."""


class Mutation(NamedTuple):
    """One mutation of a policy."""

    patch_type: str
    expression: Expression


class CompiledMutation(CompiledPolicy):
    """The expressions of a policy."""

    def __init__(self, spec: Object, counts: ConditionCounts | None = None) -> None:
        super().__init__(spec, counts)
        making = admission.environment(params=self.has_params, patches=True, composition=self.composition)
        self.mutations: list[Mutation] = []
        for one in spec.get("mutations") or ():
            if one.get("patchType") == JSON_PATCH:
                text, wanted = one["jsonPatch"]["expression"], list_of(mutations.JSON_PATCH_OPERATION)
            else:
                text, wanted = one["applyConfiguration"]["expression"], mutations.APPLY_CONFIGURATION
            self.mutations.append(Mutation(one.get("patchType", ""), Expression(making, text, wanted)))

    async def mutate(self, scope: Scope, params: Object | None, mutation: Mutation) -> None:
        """Change the object of the scope; UnusablePatch, and StatusErrors that end the request."""
        obj, matched = scope.obj, scope.matched
        assert obj is not None
        type = type_of(matched.resource, matched.kind)
        if mutation.expression.error:
            raise UnusablePatch(mutation.expression.error)
        evaluation = scope.evaluation(params, self.variables, PER_OBJECT)
        try:
            result = await evaluation.result(mutation.expression)
        except OutOfBudget as err:
            raise UnusablePatch(str(err)) from None
        if result.error:
            raise UnusablePatch(result.error)
        work = scope.attributes.work
        if mutation.patch_type == APPLY_CONFIGURATION:
            raw = await work.run(applied, obj, result.value, type)
        else:
            raw = await work.run(patched, obj, result.value)
        strict = mutation.patch_type == JSON_PATCH
        scope.obj = await work.run(completed, matched.resource, matched.kind, raw, type, strict)


class MutatingAdmissionPolicy(AdmissionPlugin):
    """Has the policies that are about a request change its object."""

    name = NAME

    def __init__(self, authorizer: AccessAuthorizer, metrics: AdmissionMetrics | None = None) -> None:
        self._authorizer = authorizer
        self._metrics = metrics or AdmissionMetrics()
        self._source: PolicySource[CompiledMutation] | None = None

    def _followed(self, readers: Readers) -> PolicySource[CompiledMutation]:
        if self._source is None:
            self._source = PolicySource(
                readers, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", self._compile
            )
        return self._source

    def _compile(self, spec: Object, name: str) -> CompiledMutation:
        return CompiledMutation(spec, ConditionCounts(self._metrics, "policy", name, VALIDATE))  # as upstream

    def wants(self, a: AdmissionAttributes) -> bool:
        source = self._source or self._followed(a.readers)
        if source.none:  # PERF: nearly always
            return False
        return bool(source.about(a.operation, a.resource, a.subresource))

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        return False if self._source is None else self._source.passes_renewal(resource)

    def mutate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        return begun(self._change(a), a)

    async def _change(self, a: AdmissionAttributes) -> None:
        request = PolicyRequest(a, self._authorizer)
        faults = _Faults(a)
        invocations: list[Invocation[CompiledMutation]] = []
        for hook in self._followed(a.readers).about(a.operation, a.resource, a.subresource):
            await self._select(request, hook, invocations, faults)
        if invocations:
            await self._run(request, invocations, faults)
        faults.raise_any()

    async def _select(
        self,
        request: PolicyRequest,
        hook: Hook[CompiledMutation],
        invocations: list[Invocation[CompiledMutation]],
        faults: "_Faults",
    ) -> None:
        a, binding = request.attributes, None
        try:
            matched = hook.criteria.match(a)
            if matched is None:
                return
            hook.param_resource(a.readers)
        except (PolicyConfigurationError, errors.StatusError) as err:
            faults.add(hook, None, hook.config_error(err, None))
            return
        for binding in hook.bindings:
            try:
                invocations += await request.invocations(hook, matched, binding)
            except (PolicyConfigurationError, errors.StatusError) as err:
                faults.add(hook, binding, hook.config_error(err, binding))

    async def _run(
        self, request: PolicyRequest, invocations: list[Invocation[CompiledMutation]], faults: "_Faults"
    ) -> None:
        a = request.attributes
        request.namespace()
        if a.reinvocation is None:
            a.reinvocation = Reinvocation()
        chain = a.reinvocation
        state: Reinvocations[Key] = chain.state.setdefault(NAME, Reinvocations())
        await state.begin(a)
        for one in invocations:
            await self._invoke(request, one, chain, faults)
        await state.end(a)

    async def _invoke(
        self,
        request: PolicyRequest,
        one: Invocation[CompiledMutation],
        chain: Reinvocation,
        faults: "_Faults",
    ) -> None:
        compiled, state = one.hook.compiled, chain.state[NAME]
        scope = await request.scope(one.matched)
        matches = await compiled.conditions.match(scope, one.params, compiled.variables)
        if matches.error:
            faults.add(one.hook, one.binding, matches.error, "Invalid")
            return
        key = _key(one)
        if not matches.value or (chain.again and key not in state.due):
            return
        before, started, why = scope.obj, perf_counter(), ""
        for mutation in compiled.mutations:
            if scope.obj is None:
                break
            try:
                await self._mutate(scope, one, mutation)
            except UnusablePatch as err:
                why = str(err)
                faults.add(one.hook, one.binding, why, "Invalid")
        paths: list[str] = []
        if scope.obj is not before:
            paths = equality.changes(before, scope.obj, PATHS)
            if paths:
                state.changed()
                chain.needed = True
            await request.keep(scope)
        timeline = request.attributes.timeline
        if timeline is not None:
            verdict = "" if not why else "failed, ignored" if compiled.ignore else "refused"
            took = perf_counter() - started
            timeline.called(
                ADMIT,
                NAME,
                one.hook.name,
                one.binding.name,
                took,
                verdict=verdict,
                text=why,
                changed=tuple(paths),
            )
        if one.hook.spec.get("reinvocationPolicy") == "IfNeeded":
            state.ran.add(key)

    async def _mutate(self, scope: Scope, one: Invocation[CompiledMutation], mutation: Mutation) -> None:
        """Carry out a mutation, timed; it raises what CompiledMutation.mutate raises."""
        started = perf_counter()
        error = ""
        try:
            await one.hook.compiled.mutate(scope, one.params, mutation)
        except (UnusablePatch, errors.StatusError) as err:
            error = str(err)
            raise
        finally:
            self._metrics.mutated(error, one.hook.name, one.binding.name, perf_counter() - started)


def _key(one: Invocation[CompiledMutation]) -> Key:
    metadata = (one.params or {}).get("metadata") or {}
    return one.hook.name, one.binding.name, metadata.get("namespace", ""), metadata.get("name", "")


class _Faults:
    """Policies that could not be carried out, those with the failure policy Ignore left out."""

    def __init__(self, a: AdmissionAttributes) -> None:
        self._attributes = a
        self._found: list[tuple[str, str]] = []

    def add(self, hook: Hook[CompiledMutation], binding: Binding | None, why: str, reason: str = "") -> None:
        if hook.compiled.ignore:
            return
        by = f"policy '{hook.name}' with binding '{binding.name}'" if binding else f'policy "{hook.name}"'
        self._found.append((f"{by} denied request: {why}", reason))

    def raise_any(self) -> None:
        """The 403 that names all of them, in the words and with the reason of the first."""
        if not self._found:
            return
        message, reason = self._found[0]
        err = self._attributes.refuse(message)
        err.message = message
        err.reason = reason or err.reason
        err.details = {**(err.details or {}), "causes": [{"message": text} for text, _ in self._found]}
        raise err
