"""Match conditions of authorization webhooks:
CEL over the SubjectAccessReview (apiserver pkg/authorization/cel)."""

from collections.abc import Sequence
from time import perf_counter

from pilothouse.api.cel import (
    BOOL,
    PER_CALL,
    STRING,
    CompileError,
    CostBudget,
    Environment,
    EvaluationError,
    Program,
    ProgramError,
    ResultError,
    list_of,
    map_of,
    object_type,
)
from pilothouse.api.values.fields import Object
from pilothouse.authz.metrics import AuthorizationMetrics

MAX_CONDITIONS = 64


_TEXTS = list_of(STRING)
_REQUIREMENTS = list_of(object_type("SelectorRequirement", key=STRING, operator=STRING, values=_TEXTS))
_RESOURCE = object_type(
    "ResourceAttributes",
    namespace=STRING,
    verb=STRING,
    group=STRING,
    version=STRING,
    resource=STRING,
    subresource=STRING,
    name=STRING,
    fieldSelector=object_type("FieldSelectorAttributes", rawSelector=STRING, requirements=_REQUIREMENTS),
    labelSelector=object_type("LabelSelectorAttributes", rawSelector=STRING, requirements=_REQUIREMENTS),
)
_REQUEST = object_type(
    "SubjectAccessReviewSpec",
    resourceAttributes=_RESOURCE,
    nonResourceAttributes=object_type("NonResourceAttributes", path=STRING, verb=STRING),
    user=STRING,
    groups=_TEXTS,
    extra=map_of(STRING, _TEXTS),
    uid=STRING,
)
_ENVIRONMENT = Environment({"request": _REQUEST})
_NAMES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")


class ConditionError(Exception):
    """An expression that does not compile or a condition without an answer; the text is upstream's."""


def compiled(text: str) -> Program:
    """The program of a match condition; ConditionError."""
    try:
        return _ENVIRONMENT.compile(text, BOOL)
    except ResultError as err:
        raise ConditionError(f"must evaluate to bool but got {err.found}") from None
    except ProgramError as err:
        raise ConditionError(f"program instantiation failed: {err}") from None
    except CompileError as err:
        raise ConditionError(f"compilation failed: {err}") from None


class Conditions:
    """The match conditions of one webhook, which `name` stands for in the metrics."""

    def __init__(self, expressions: Sequence[str], name: str, metrics: AuthorizationMetrics) -> None:
        """ConditionError when an expression does not compile."""
        self._programs = [compiled(text) for text in expressions]
        self._name = name
        self._metrics = metrics

    def match(self, spec: Object) -> bool:
        """Whether a request is the webhook's; `spec` is that of a v1 SubjectAccessReview.

        One condition that is false decides. ConditionError when none is, and one of them has no answer.
        """
        if not self._programs:
            return True
        started = perf_counter()
        failures = []
        bindings = {"request": _complete(spec)}
        try:
            for program in self._programs:
                try:
                    if not program.evaluate(bindings, CostBudget(PER_CALL)):
                        self._metrics.conditions_excluded.inc(self._name, "Webhook")
                        return False
                except EvaluationError as err:
                    failures.append(
                        f"cel evaluation error: expression '{program.text}' resulted in error: {err}"
                    )
        finally:
            self._metrics.conditions_seconds.observe(perf_counter() - started, self._name, "Webhook")
        if failures:
            self._metrics.conditions_failed.inc(self._name, "Webhook")
            raise ConditionError(failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]")
        return True


def _complete(spec: Object) -> Object:
    """The spec with every text that it may have: expressions read those that are empty, too."""
    request: Object = {"user": "", "uid": "", "groups": [], "extra": {}, **spec}
    resource = spec.get("resourceAttributes")
    if resource is not None:
        request["resourceAttributes"] = {**dict.fromkeys(_NAMES, ""), **resource}
    return request
