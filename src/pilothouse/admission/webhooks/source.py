"""Follows webhook configurations (apiserver pkg/admission/configuration, plugin/webhook/accessors.go)."""

from collections import Counter
from collections.abc import Iterable

from pilothouse.admission.expressions import Expression, MatchConditions
from pilothouse.admission.matching import Criteria
from pilothouse.admission.metrics import AdmissionMetrics, ConditionCounts
from pilothouse.admission.source import GROUP, POLICIES, HookSource
from pilothouse.admission.webhooks.breaker import Breaker
from pilothouse.admission.webhooks.review import VERSIONS
from pilothouse.api.cel import BOOL
from pilothouse.api.expressions import admission
from pilothouse.api.values.fields import Object
from pilothouse.registry.readers import Readers

MUTATING, VALIDATING = f"mutatingwebhookconfigurations.{GROUP}", f"validatingwebhookconfigurations.{GROUP}"
EXEMPT = POLICIES | {MUTATING, VALIDATING}
"""Resources that no webhook is called for: a wrong one could not be removed otherwise."""
SECONDS = 30
"""The time-out of a webhook that names none; configurations get ten seconds by default."""
WITHOUT_SIDE_EFFECTS = ("None", "NoneOnDryRun")


class AdmissionWebhook:
    """One webhook of a configuration.
    Its match conditions are compiled when the first request comes to them."""

    __slots__ = (
        "_conditions",
        "_counts",
        "_spec",
        "breaker",
        "client_config",
        "configuration",
        "criteria",
        "dry_run",
        "ignore",
        "index",
        "name",
        "reinvocable",
        "seconds",
        "uid",
        "version",
    )

    def __init__(
        self, configuration: str, spec: Object, uid: str, counts: ConditionCounts | None = None
    ) -> None:
        self._spec = spec
        self._counts = counts
        self._conditions: MatchConditions | None = None
        self.configuration = configuration
        self.uid = uid
        self.index = 0
        """Its place among all webhooks of its kind, which audit annotations name."""
        self.name: str = spec["name"]
        self.criteria = Criteria(spec, spec.get("rules") or ())
        self.client_config: Object = spec.get("clientConfig") or {}
        self.ignore = spec.get("failurePolicy") == "Ignore"
        self.reinvocable = spec.get("reinvocationPolicy") == "IfNeeded"
        self.dry_run = spec.get("sideEffects") in WITHOUT_SIDE_EFFECTS
        self.seconds: int = spec.get("timeoutSeconds") or SECONDS
        versions = spec.get("admissionReviewVersions") or ()
        self.version = next((one for one in versions if one in VERSIONS), "")
        self.breaker = Breaker() if self.ignore else None

    @property
    def conditions(self) -> MatchConditions | None:
        """Its match conditions, None without any."""
        listed = self._spec.get("matchConditions")
        if listed and self._conditions is None:
            seen = admission.environment(params=False)
            expressions = [Expression(seen, one["expression"], BOOL) for one in listed]
            policy = self._spec.get("failurePolicy") or "Fail"
            self._conditions = MatchConditions(expressions, policy, self._counts)
        return self._conditions


class WebhookSource(HookSource[AdmissionWebhook]):
    """The webhooks of a kind of configuration: by the configurations' names, and in each as it lists them.

    Those of a configuration are made anew when it changes.
    """

    def __init__(self, readers: Readers, resource: str, metrics: AdmissionMetrics, step: str) -> None:
        """`step` is ADMIT or VALIDATE."""
        self._resource = resource
        self._metrics, self._step = metrics, step
        self._known: dict[str, tuple[tuple[str, int], list[AdmissionWebhook]]] = {}
        super().__init__(readers, (resource,), EXEMPT)

    def gather(self) -> Iterable[AdmissionWebhook]:
        """Gather the webhooks (HookSource.gather);
        those without rules match nothing and keep their place only."""
        known: dict[str, tuple[tuple[str, int], list[AdmissionWebhook]]] = {}
        found: list[AdmissionWebhook] = []
        for obj in sorted(self._readers.list(self._resource), key=_name):
            name, metadata = _name(obj), obj["metadata"]
            identity = (metadata.get("uid", ""), metadata.get("generation", 0))
            if name not in self._known or self._known[name][0] != identity:
                known[name] = identity, self._webhooks_of(obj)
            else:
                known[name] = self._known[name]
            found += known[name][1]
        self._known = known
        for index, hook in enumerate(found):
            hook.index = index
        return [hook for hook in found if hook.criteria.rules]

    def _webhooks_of(self, obj: Object) -> list[AdmissionWebhook]:
        """The webhooks of a configuration; several may have the same name."""
        seen: Counter[str] = Counter()
        found = []
        for spec in obj.get("webhooks") or ():
            name = spec["name"]
            counts = ConditionCounts(self._metrics, "webhook", name, self._step)
            found.append(AdmissionWebhook(_name(obj), spec, f"{_name(obj)}/{name}/{seen[name]}", counts))
            seen[name] += 1
        return found


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name
