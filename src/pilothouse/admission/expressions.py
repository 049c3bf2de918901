"""Evaluates the expressions of policies and webhooks for one request (apiserver pkg/admission/plugin/cel)."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple

from pilothouse import errors
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.matching import Matched
from pilothouse.admission.metrics import ConditionCounts
from pilothouse.api.cel import (
    PER_CALL,
    AuthorizerCheck,
    BudgetExceeded,
    CelType,
    CheckDecision,
    CheckQuestion,
    CompileError,
    CostBudget,
    CostLimitExceeded,
    Environment,
    EvaluationError,
    Lookup,
    Program,
    ResourceCheck,
    ResultError,
)
from pilothouse.api.expressions import admission
from pilothouse.api.expressions.limits import MATCH_CONDITIONS
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.offload import INLINE
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.waiting import in_task

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
SHORT = 50_000
"""Units of cost up to which an evaluation runs on the loop: some milliseconds.
One that needs more begins again, on a thread."""
_NAMESPACE_METADATA = (
    "name", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "finalizers",
)  # fmt: skip


class OutOfBudget(Exception):
    """Expressions that share a budget have used it up; the text is upstream's."""

    def __init__(self) -> None:
        super().__init__(OUT_OF_BUDGET)


class Expression:
    """One expression of a policy or a webhook: its program, or why it has none."""

    __slots__ = ("error", "program", "text")

    def __init__(self, environment: Environment, text: str, *results: CelType) -> None:
        self.text = text
        self.error = ""
        self.program: Program | None = None
        try:
            self.program = environment.compile(text, *results)
            self.program.forget()
        except ResultError as err:
            self.error = f"must evaluate to {' or '.join(str(one) for one in results)} but got {err.found}"
        except CompileError as err:
            self.error = f"compilation failed: {err}"


class ExpressionResult(NamedTuple):
    """The value of an expression; with an error there is none. seconds: how long it took."""

    value: Any
    error: str = ""
    seconds: float = 0.0


class _Unanswered(Exception):
    """The authorizer has not been asked yet."""

    def __init__(self, question: CheckQuestion) -> None:
        super().__init__()
        self.question = question


class _TooLong(Exception):
    """An evaluation costs more than may be spent on the loop."""


class AuthorizationChecks:
    """Answers the authorization checks of one request; each question is asked once.

    An expression cannot wait: it ends at a question without an answer,
    and is evaluated again when there is one.
    """

    def __init__(self, authorizer: AccessAuthorizer, user: User) -> None:
        self._authorizer = authorizer
        self._user = user
        self._decisions: dict[CheckQuestion, CheckDecision] = {}

    def decide(self, question: CheckQuestion) -> CheckDecision:
        """The answer that is known."""
        try:
            return self._decisions[question]
        except KeyError:
            raise _Unanswered(question) from None

    async def ask(self, question: CheckQuestion) -> None:
        """Have the answer known."""
        user = self._user
        if question.service_account is not None:
            namespace, name = question.service_account
            user = User(
                f"system:serviceaccount:{namespace}:{name}",
                groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
            )
        if question.resource:
            attributes = AuthorizationAttributes(
                user,
                question.verb,
                is_resource=True,
                group=question.group,
                version="*",
                resource=question.resource,
                subresource=question.subresource,
                namespace=question.namespace,
                name=question.name,
                field_selector=question.field_selector,
                label_selector=question.label_selector,
            )
        else:
            attributes = AuthorizationAttributes(user, question.verb, question.path)
        try:
            decision = await self._authorizer.authorize(attributes)
        except errors.StatusError as err:
            self._decisions[question] = CheckDecision(False, error=err.message)
            return
        self._decisions[question] = CheckDecision(decision.allowed, decision.reason)


class _Variables(Lookup):
    """The variables of a policy: each is evaluated when it is read first,
    and its cost counts with the reader's."""

    def __init__(self, evaluation: "Evaluation", named: dict[str, Expression]) -> None:
        self.evaluation = evaluation
        self.named = named
        self.values: dict[str, Any] = {}

    def find(self, name: str) -> Any:
        known = self.values
        if name not in known:
            expression = self.named[name]  # KeyError: there is none
            try:
                known[name] = self.evaluation.value_of(expression)
            except EvaluationError as err:
                known[name] = EvaluationError(f'composited variable "{name}" fails to evaluate: {err}')
        value = known[name]
        if isinstance(value, EvaluationError):
            raise EvaluationError(str(value))
        return value


class Evaluation:
    """Evaluates expressions with the same variables, one after another, within one budget."""

    __slots__ = ("_limit", "_scope", "bindings", "budget", "variables")

    def __init__(
        self, scope: "Scope", bindings: dict[str, Any], named: dict[str, Expression], budget: CostBudget
    ) -> None:
        self._scope = scope
        self._limit = SHORT
        self.bindings = bindings
        self.budget = budget
        self.variables = _Variables(self, named) if named else None
        if self.variables is not None:
            bindings[admission.VARIABLES] = self.variables

    def value_of(self, expression: Expression) -> Any:
        """The value of an expression; EvaluationError, _Unanswered, _TooLong."""
        program = expression.program
        if program is None:
            raise EvaluationError(expression.error)
        limit = self._limit if admission.AUTHORIZER_NAME not in program.text else PER_CALL
        try:
            return program.evaluate(self.bindings, self.budget, limit)
        except BudgetExceeded:
            raise
        except CostLimitExceeded:
            if limit < PER_CALL:
                raise _TooLong from None
            raise

    async def result(self, expression: Expression) -> ExpressionResult:
        """The value of an expression, or what went wrong in upstream's words; OutOfBudget."""
        if expression.program is None:
            return ExpressionResult(None, f"compilation error: {expression.error}")
        a, budget, started = self._scope.attributes, self.budget, perf_counter()
        kept, seen = budget.left, len(self.variables.values) if self.variables is not None else 0
        while True:
            try:
                value = (
                    await a.work.run(self.value_of, expression) if a.work.bytes else self.value_of(expression)
                )
            except EvaluationError as err:
                if budget.left < 0:
                    raise OutOfBudget from None
                why = f"expression '{expression.text}' resulted in error: {err}"
                return ExpressionResult(None, why, perf_counter() - started)
            except _Unanswered as err:
                await self._scope.authority.ask(err.question)
            except _TooLong:
                self._limit = PER_CALL
                await in_task()
                await a.work.enter(INLINE + 1)
            else:
                if budget.left < 0:
                    raise OutOfBudget
                return ExpressionResult(value, "", perf_counter() - started)
            budget.left = kept
            if self.variables is not None:
                for name in list(self.variables.values)[seen:]:
                    del self.variables.values[name]

    async def results(self, expressions: Sequence[Expression]) -> list[ExpressionResult]:
        """The results of all expressions."""
        return [await self.result(one) for one in expressions]


class Scope:
    """The variables of expressions about one request that has matched.

    obj, old: the objects in the version that was matched.
    namespace: that of the request, None where it has none.
    """

    __slots__ = ("_common", "attributes", "authority", "matched", "namespace", "obj", "old")

    def __init__(
        self,
        a: AdmissionAttributes,
        matched: Matched,
        obj: Object | None,
        old: Object | None,
        namespace: Object | None,
        authority: AuthorizationChecks,
    ) -> None:
        self.attributes = a
        self.matched = matched
        self.obj = obj
        self.old = old
        self.namespace = _seen_namespace(namespace)
        self.authority = authority
        self._common: dict[str, Any] | None = None

    def evaluation(
        self,
        params: Object | None,
        variables: dict[str, Expression],
        budget: int | CostBudget,
        *,
        namespaced: bool = True,
        authorized: bool = True,
    ) -> Evaluation:
        """Evaluates expressions with `params`, from no variable on.

        namespaced: whether they see the namespace. authorized: whether they may ask for permissions.
        """
        bindings = self._bindings()
        bindings["params"] = params
        if not namespaced:
            bindings["namespaceObject"] = None
        if not authorized:
            del bindings[admission.AUTHORIZER_NAME], bindings[admission.REQUEST_RESOURCE]
        left = budget if isinstance(budget, CostBudget) else CostBudget(budget)
        return Evaluation(self, bindings, variables, left)

    def _bindings(self) -> dict[str, Any]:
        """The variables that every expression sees; the caller may change the dict."""
        if self._common is None:
            a, decide = self.attributes, self.authority.decide
            question = CheckQuestion(
                "",
                group=a.resource.group,
                resource=a.resource.plural,
                subresource=a.subresource,
                namespace=a.namespace,
                name=a.name,
            )
            self._common = {
                "oldObject": self.old,
                "request": request_of(a, self.matched),
                "namespaceObject": self.namespace,
                admission.AUTHORIZER_NAME: AuthorizerCheck(decide),
                admission.REQUEST_RESOURCE: ResourceCheck(decide, question),
            }
        bindings = self._common.copy()
        bindings["object"] = self.obj
        return bindings


class MatchConditions:
    """The matchConditions of a policy or a webhook (apiserver plugin/webhook/matchconditions)."""

    __slots__ = ("_conditions", "_counts", "_ignore")

    def __init__(
        self, conditions: Sequence[Expression], failure_policy: str, counts: ConditionCounts | None = None
    ) -> None:
        self._conditions = conditions
        self._counts = counts
        self._ignore = failure_policy == "Ignore"

    async def match(
        self, scope: Scope, params: Object | None, variables: dict[str, Expression]
    ) -> ExpressionResult:
        """Whether all of them are true.
        The first false one decides; errors count only where none is false."""
        if not self._conditions:
            return ExpressionResult(True)
        evaluation = scope.evaluation(params, variables, MATCH_CONDITIONS, namespaced=False)
        started, results = perf_counter(), []
        try:
            results = await evaluation.results(self._conditions)
        except OutOfBudget as err:
            return ExpressionResult(False) if self._ignore else ExpressionResult(None, str(err))
        finally:
            if self._counts is not None:
                failed = sum(bool(one.error) for one in results)
                self._counts.evaluated(scope.attributes.operation, perf_counter() - started, failed)
        return self._judged(results)

    def _judged(self, results: list[ExpressionResult]) -> ExpressionResult:
        """The joint result of the conditions."""
        if any(not one.error and one.value is False for one in results):
            return ExpressionResult(False)
        texts = list(dict.fromkeys(one.error for one in results if one.error))
        if not texts:
            return ExpressionResult(True)
        if self._ignore:
            return ExpressionResult(False)
        return ExpressionResult(None, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def _seen_namespace(namespace: Object | None) -> Object | None:
    """The namespace as expressions see it (CreateNamespaceObject)."""
    if namespace is None:
        return None
    metadata = namespace["metadata"]
    return {
        "metadata": {name: metadata[name] for name in _NAMESPACE_METADATA if name in metadata},
        "spec": namespace.get("spec") or {},
        "status": namespace.get("status") or {},
    }


def request_of(a: AdmissionAttributes, matched: Matched) -> Object:
    """The request of a review, without uid and objects (CreateAdmissionRequest)."""
    user, own, resource = a.user, a.resource, matched.resource
    group, version, kind = a.kind
    info: Object = {"username": user.name, "uid": user.uid}
    info = {name: value for name, value in info.items() if value}
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = user.extra
    out: Object = {
        "kind": dict(zip(("group", "version", "kind"), matched.kind, strict=True)),
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
        "requestKind": {"group": group, "version": version, "kind": kind},
        "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
        "operation": a.operation,
        "userInfo": info,
        "dryRun": a.dry_run,
        "options": a.options,
    }
    if a.subresource:
        out["subResource"] = out["requestSubResource"] = a.subresource
    if a.name:
        out["name"] = a.name
    if a.namespace:
        out["namespace"] = a.namespace
    return out
