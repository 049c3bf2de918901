"""ValidatingAdmissionPolicy: expressions that refuse,
warn or annotate (apiserver plugin/policy/validating)."""

from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import NamedTuple

from pilothouse import errors
from pilothouse.admission.annotations import annotate
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.expressions import Expression, ExpressionResult, OutOfBudget, Scope
from pilothouse.admission.metrics import VALIDATE, AdmissionMetrics, ConditionCounts
from pilothouse.admission.policies.compiled import CompiledPolicy
from pilothouse.admission.policies.params import PolicyConfigurationError
from pilothouse.admission.policies.request import Invocation, PolicyRequest, begun
from pilothouse.admission.policies.source import Binding, Hook, PolicySource
from pilothouse.api.cel import BOOL, NULL, STRING, CostBudget
from pilothouse.api.expressions import admission
from pilothouse.api.expressions.limits import MAX_MESSAGE_BYTES, PER_OBJECT
from pilothouse.api.values.fields import Object, show
from pilothouse.api.values.identity import User
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource

NAME = "ValidatingAdmissionPolicy"
FAILURE = "validation.policy.admission.k8s.io/validation_failure"
"""The audit annotation of failed validations of bindings with the action Audit."""
MAX_ANNOTATION_BYTES = 10 * 1024
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
_DONE = {"Deny": "refused", "Warn": "warned", "Audit": "recorded"}
"""The verdict of the actions of a binding on a request."""


class PolicyValidation(NamedTuple):
    """One validation of a policy."""

    rule: Expression
    message: Expression | None
    fixed: str
    reason: str


class Denial(NamedTuple):
    """Why a request does not pass. `place`: the index of the validation, -1 when an audit annotation could
    not be evaluated. `ignored`: the failure policy lets it pass all the same.
    `seconds`: how long the evaluation took.
    """

    message: str
    reason: str = ""
    place: int = 0
    ignored: bool = False
    seconds: float = 0.0


class CompiledValidation(CompiledPolicy):
    """The expressions of a policy."""

    def __init__(self, spec: Object, counts: ConditionCounts | None = None) -> None:
        super().__init__(spec, counts)
        seen = self.seen
        told = admission.environment(params=self.has_params, authorizer=False, composition=self.composition)
        self.validations = [
            PolicyValidation(
                Expression(seen, one["expression"], BOOL),
                Expression(told, one["messageExpression"], STRING) if one.get("messageExpression") else None,
                one.get("message") or "",
                one.get("reason") or "",
            )
            for one in spec.get("validations") or ()
        ]
        self.annotations = [
            (one["key"], Expression(seen, one["valueExpression"].strip(), STRING, NULL))
            for one in spec.get("auditAnnotations") or ()
        ]

    def _failed(self, why: str) -> list[Denial]:
        """The denials that the failure policy makes of an error."""
        return [Denial(why, ignored=self.ignore)]

    async def judge(self, scope: Scope, params: Object | None) -> tuple[list[Denial], list[tuple[str, str]]]:
        """Why the request is refused, and the audit annotations: keys and values."""
        matches = await self.conditions.match(scope, params, self.variables)
        if matches.error:
            return self._failed(matches.error), []
        if not matches.value:
            return [], []
        budget = CostBudget(PER_OBJECT)
        evaluation = scope.evaluation(params, self.variables, budget)
        try:
            results = await evaluation.results([one.rule for one in self.validations])
        except OutOfBudget as err:
            return self._failed(str(err)), []
        denials = await self._denials(scope, params, budget, results)
        if not self.annotations:
            return denials, []
        try:
            return await self._annotate(scope, params, denials)
        except OutOfBudget as err:
            return self._failed(str(err)), []

    async def _denials(
        self, scope: Scope, params: Object | None, budget: CostBudget, results: list[ExpressionResult]
    ) -> list[Denial]:
        """The denials by the results of the validations.

        All messages are evaluated, whether they are needed or not: they share what is left of the budget.
        """
        if all(one.value is True for one in results) and not any(one.message for one in self.validations):
            return []  # the messages of validations that hold are evaluated only for what they cost
        evaluation = scope.evaluation(params, self.variables, budget, authorized=False)
        texts: list[ExpressionResult | None] = []
        spent = ""
        try:
            texts = [
                await evaluation.result(one.message) if one.message is not None else None
                for one in self.validations
            ]
        except OutOfBudget as err:
            spent, texts = f"failed messageExpression: {err}", [None] * len(results)
        out: list[Denial] = []
        for i, (one, result, text) in enumerate(zip(self.validations, results, texts, strict=True)):
            why = result.error or spent
            if why:
                out.append(Denial(why, "", i, self.ignore, result.seconds))
            elif result.value is not True:
                reason = one.reason or "Invalid"
                out.append(Denial(_message(one, text), reason, i, False, result.seconds))
        return out

    async def _annotate(
        self, scope: Scope, params: Object | None, denials: list[Denial]
    ) -> tuple[list[Denial], list[tuple[str, str]]]:
        evaluation = scope.evaluation(params, self.variables, PER_OBJECT, authorized=False)
        values: list[tuple[str, str]] = []
        for key, expression in self.annotations:
            result = await evaluation.result(expression)
            if result.error:
                if not self.ignore:
                    denials = [*denials, Denial(result.error, place=-1, seconds=result.seconds)]
            elif isinstance(result.value, str) and result.value.strip():
                values.append((key, result.value.strip()))
        return denials, values


def _message(validation: PolicyValidation, text: ExpressionResult | None) -> str:
    """The message of a failed validation:
    what its expression gives, if it can be used, else its own, else the rule."""
    message = ""
    if text is not None and not text.error and isinstance(text.value, str):
        message = text.value.strip()
        if "\n" in message or len(message.encode()) > MAX_MESSAGE_BYTES:
            message = ""
    return message or validation.fixed.strip() or f"failed expression: {validation.rule.text.strip()}"


class PolicyVerdict:
    """The verdict of the policies on one request."""

    def __init__(self, a: AdmissionAttributes, metrics: AdmissionMetrics) -> None:
        self._attributes = a
        self._metrics = metrics
        self._first: tuple[str, str] | None = None

    def deny(self, hook: Hook[CompiledValidation], binding: Binding | None, denial: Denial) -> None:
        """The first denial is the one that is answered."""
        if self._first is None:
            by = f"{NAME} '{hook.name}'" + (f" with binding '{binding.name}'" if binding is not None else "")
            self._first = f"{by} denied request: {denial.message}", denial.reason or "Invalid"

    def judge(self, invocation: Invocation[CompiledValidation], denial: Denial) -> None:
        """Do what the failure policy and the binding say about a denial."""
        hook, binding = invocation.hook, invocation.binding
        if denial.ignored:
            self._count(hook, binding, denial, "allow")
        elif denial.place < 0:  # an audit annotation could not be evaluated
            self.deny(hook, binding, denial)
            self._count(hook, binding, denial, "deny")
        else:
            self._act(hook, binding, denial)

    def _count(self, hook: Hook[CompiledValidation], binding: Binding, denial: Denial, action: str) -> None:
        self._metrics.validated(action, denial.message, hook.name, binding.name, denial.seconds)

    def _act(self, hook: Hook[CompiledValidation], binding: Binding, denial: Denial) -> None:
        """Carry out the actions of the binding."""
        a = self._attributes
        for action in binding.spec.get("validationActions") or ():
            self._count(hook, binding, denial, action.lower())
            if action == "Deny":
                self.deny(hook, binding, denial)
            elif action == "Warn":
                a.warnings.append(
                    f"Validation failed for {NAME} '{hook.name}' with binding '{binding.name}':"
                    f" {denial.message}"
                )
            elif action == "Audit":
                annotate(a, FAILURE, _failure(binding, denial))

    def record(self, one: Invocation[CompiledValidation], denials: Sequence[Denial], seconds: float) -> None:
        """Note the outcome of an evaluation, so that it can be explained later."""
        timeline = self._attributes.timeline
        if timeline is None:
            return
        what, why = "", denials[0].message if denials else ""
        if denials:
            actions = one.binding.spec.get("validationActions") or ()
            done = [_DONE.get(action, action) for action in actions]
            what = "failed, ignored" if all(denial.ignored for denial in denials) else ", ".join(done)
        timeline.called(VALIDATE, NAME, one.hook.name, one.binding.name, seconds, verdict=what, text=why)

    def raise_any(self) -> None:
        """The error of the first denial."""
        if self._first is None:
            return
        message, reason = self._first
        err = self._attributes.refuse(message)
        err.reason = reason
        err.code = _CODES.get(reason, 422)
        err.details = {**(err.details or {}), "causes": [{"message": message}]}
        raise err


def _failure(binding: Binding, denial: Denial) -> str:
    value = {
        "message": denial.message,
        "policy": binding.spec.get("policyName"),
        "binding": binding.name,
        "expressionIndex": denial.place,
        "validationActions": binding.spec.get("validationActions"),
    }
    return show([value])


class ValidatingAdmissionPolicy(AdmissionPlugin):
    """Asks the policies that are about a request."""

    name = NAME

    def __init__(self, authorizer: AccessAuthorizer, metrics: AdmissionMetrics | None = None) -> None:
        self._authorizer = authorizer
        self._metrics = metrics or AdmissionMetrics()
        self._source: PolicySource[CompiledValidation] | None = None

    def _followed(self, readers: Readers) -> PolicySource[CompiledValidation]:
        if self._source is None:
            self._source = PolicySource(
                readers,
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                self._compile,
            )
        return self._source

    def _compile(self, spec: Object, name: str) -> CompiledValidation:
        return CompiledValidation(spec, ConditionCounts(self._metrics, "policy", name, VALIDATE))

    def wants(self, a: AdmissionAttributes) -> bool:
        source = self._source or self._followed(a.readers)
        if source.none:  # PERF: nearly always
            return False
        return bool(source.about(a.operation, a.resource, a.subresource))

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        return False if self._source is None else self._source.passes_renewal(resource)

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        return begun(self._judge(a), a)

    async def _judge(self, a: AdmissionAttributes) -> None:
        request = PolicyRequest(a, self._authorizer)
        verdict = PolicyVerdict(a, self._metrics)
        for hook in self._followed(a.readers).about(a.operation, a.resource, a.subresource):
            try:
                matched = hook.criteria.match(a)
                if matched is None:
                    continue
                hook.param_resource(a.readers)
            except (PolicyConfigurationError, errors.StatusError) as err:
                if not hook.compiled.ignore:
                    verdict.deny(hook, None, Denial(hook.config_error(err, None)))
                continue
            annotations: dict[str, dict[str, None]] = {}
            for binding in hook.bindings:
                try:
                    invocations = await request.invocations(hook, matched, binding)
                except (PolicyConfigurationError, errors.StatusError) as err:
                    if not hook.compiled.ignore:
                        verdict.deny(hook, binding, Denial(hook.config_error(err, binding)))
                    continue
                await self._evaluate(request, invocations, verdict, annotations)
            for key, values in annotations.items():
                annotate(a, f"{hook.name}/{key}", ", ".join(values))
        verdict.raise_any()

    async def _evaluate(
        self,
        request: PolicyRequest,
        invocations: Sequence[Invocation[CompiledValidation]],
        verdict: PolicyVerdict,
        annotations: dict[str, dict[str, None]],
    ) -> None:
        for one in invocations:
            started = perf_counter()
            denials, values = await one.hook.compiled.judge(await request.scope(one.matched), one.params)
            for denial in denials:
                verdict.judge(one, denial)
            verdict.record(one, denials, perf_counter() - started)
            for key, value in values:
                annotations.setdefault(key, {})[_cut(value)] = None


def _cut(value: str) -> str:
    data = value.encode()
    return value if len(data) <= MAX_ANNOTATION_BYTES else data[:MAX_ANNOTATION_BYTES].decode(errors="ignore")
