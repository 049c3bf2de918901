"""The metrics of admission (apiserver admission/metrics)."""

from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.instruments import Counter, Group, Histogram, Summary

SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5)
POLICY_SECONDS = (0.0000005, 0.001, 0.01, 0.1, 1.0)
ADMIT, VALIDATE = "admit", "validate"
"""The types of steps: plugins may change the object in the first, and judge it in the second."""


class AdmissionMetrics(Group):
    """How long admission takes, as a whole and in each plugin;
    what webhooks, policies and PodSecurity decide."""

    def __init__(self) -> None:
        labels = ("operation", "rejected", "type")
        self.plugins = Histogram(
            "apiserver_admission_controller_admission_duration_seconds",
            "[STABLE] Seconds in each admission plugin.",
            ("name", *labels),
            SECONDS,
        )
        step = "apiserver_admission_step_admission_duration_seconds"
        self.steps = Summary(
            f"{step}_summary", "[ALPHA] Seconds in all admission plugins of a type, lately.", labels, SECONDS
        )
        self.step_seconds = Histogram(
            step,
            "[STABLE] Seconds in all admission plugins of a type.",
            labels,
            SECONDS,
            lambda: self.steps.values,
        )
        self.plugin_failures = Counter(
            "pilothouse_admission_plugin_failures_total",
            "[ALPHA] Calls of installed plugins that took too long or raised an error that is not a refusal.",
            ("name", "reason", "type"),
        )
        self._declare_webhooks()
        request = ("request_operation", "resource", "subresource")
        self.pod_security_evaluations = Counter(
            "pod_security_evaluations_total",
            "[ALPHA] Pods and pod templates that a policy judged.",
            ("decision", "mode", "policy_level", "policy_version", *request),
        )
        self.pod_security_exemptions = Counter(
            "pod_security_exemptions_total", "[ALPHA] Requests that are exempt from pod security.", request
        )
        self.pod_security_errors = Counter(
            "pod_security_errors_total",
            "[ALPHA] Requests whose policy the server could not get or read.",
            ("fatal", *request),
        )

        self._declare_policies()

    def _declare_policies(self) -> None:
        labels = ("error_type", "policy", "policy_binding")
        self.validations = Counter(
            "apiserver_validating_admission_policy_check_total",
            "[BETA] Validations of policies that have failed, by what was done about it.",
            ("enforcement_action", *labels),
        )
        self.validation_seconds = Histogram(
            "apiserver_validating_admission_policy_check_duration_seconds",
            "[BETA] Seconds in which the expressions of failed validations were evaluated.",
            ("enforcement_action", *labels),
            POLICY_SECONDS,
        )
        self.mutations = Counter(
            "apiserver_mutating_admission_policy_check_total", "[ALPHA] Mutations of policies.", labels
        )
        self.mutation_seconds = Histogram(
            "apiserver_mutating_admission_policy_check_duration_seconds",
            "[ALPHA] Seconds in the mutations of policies.",
            labels,
            POLICY_SECONDS,
        )

    def validated(self, action: str, error: str, policy: str, binding: str, seconds: float) -> None:
        """A validation has failed. action:
        deny, audit, warn, or allow where the failure policy ignores the error."""
        labels = (action, _error_type(error), policy, binding)
        self.validations.inc(*labels)
        self.validation_seconds.observe(seconds, *labels)

    def mutated(self, error: str, policy: str, binding: str, seconds: float) -> None:
        """A mutation was carried out, or has failed where `error` says why."""
        labels = (_error_type(error), policy, binding)
        self.mutations.inc(*labels)
        self.mutation_seconds.observe(seconds, *labels)

    def _declare_webhooks(self) -> None:
        prefix = "apiserver_admission"
        self.webhook_seconds = Histogram(
            f"{prefix}_webhook_admission_duration_seconds",
            "[STABLE] Seconds in each admission webhook.",
            ("name", "operation", "rejected", "type"),
            (*SECONDS, 10, 25),
        )
        self.webhook_requests = Counter(
            f"{prefix}_webhook_request_total",
            "[ALPHA] Calls of admission webhooks, by the code of the answer; 600 stands for all above.",
            ("code", "name", "operation", "rejected", "type"),
        )
        self.webhook_rejections = Counter(
            f"{prefix}_webhook_rejection_count",
            "[ALPHA] Requests that a webhook, or the failure of its call, has refused.",
            ("error_type", "name", "operation", "rejection_code", "type"),
        )
        self.webhook_fail_open = Counter(
            f"{prefix}_webhook_fail_open_count",
            "[ALPHA] Requests that continued although the call of a webhook failed.",
            ("name", "type"),
        )
        self.webhook_skipped = Counter(
            "pilothouse_admission_webhook_skipped_total",
            "[ALPHA] Requests for which a webhook was not called because its last calls have timed out.",
            ("name", "type"),
        )
        labels = ("kind", "name", "operation", "type")
        self.condition_errors = Counter(
            f"{prefix}_match_condition_evaluation_errors_total",
            "[ALPHA] Match conditions whose evaluation has failed.",
            labels,
        )
        self.condition_exclusions = Counter(
            f"{prefix}_match_condition_exclusions_total",
            "[ALPHA] Requests that match conditions have excluded.",
            labels,
        )
        self.condition_seconds = Histogram(
            f"{prefix}_match_condition_evaluation_seconds",
            "[ALPHA] Seconds in which match conditions were evaluated.",
            labels,
            (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25),
        )

    def timers(self, kind: str) -> "Timers":
        """Where a type of step (ADMIT or VALIDATE) is timed."""
        return Timers(self, kind)


def _error_type(message: str) -> str:
    """How an error of a policy, or the message of a failed validation,
    is counted (plugin/policy/*/errors.go)."""
    if not message:
        return "no_error"
    if message.startswith("compilation"):
        return "compile_error"
    out_of_budget = message.startswith("validation failed due to running out of cost budget")
    return "out_of_budget" if out_of_budget else "invalid_error"


class Timers(dict[tuple[str, str], tuple[Distribution, Distribution]]):
    """(name of a plugin, operation) -> the durations of those that passed, and of those that were rejected.

    The name "" stands for all plugins together. PERF: a duration is counted by one look-up and one call.
    """

    def __init__(self, metrics: AdmissionMetrics, kind: str) -> None:
        super().__init__()
        self._metrics = metrics
        self._kind = kind

    def __missing__(self, key: tuple[str, str]) -> tuple[Distribution, Distribution]:
        name, operation = key
        series = self._metrics.plugins.series if name else self._metrics.steps.series
        labels = (name,) if name else ()
        self[key] = passed, rejected = (
            series(*labels, operation, "false", self._kind),
            series(*labels, operation, "true", self._kind),
        )
        return passed, rejected


class ConditionCounts:
    """Counts the match conditions of one webhook or policy.
    kind: webhook or policy. type: ADMIT or VALIDATE."""

    __slots__ = ("_kind", "_metrics", "_name", "_type")

    def __init__(self, metrics: AdmissionMetrics, kind: str, name: str, type: str) -> None:
        self._metrics = metrics
        self._kind, self._name, self._type = kind, name, type

    def evaluated(self, operation: str, seconds: float, errors: int) -> None:
        """The conditions were evaluated; `errors` of them have failed."""
        labels = self._kind, self._name, operation, self._type
        self._metrics.condition_seconds.observe(seconds, *labels)
        if errors:
            self._metrics.condition_errors.inc(*labels, by=errors)
