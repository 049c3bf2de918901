"""PodSecurity: a namespace's labels say how far its pods may be trusted
(plugin/pkg/admission/security/podsecurity)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from pilothouse import errors
from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.podsecurity.checks import Pod
from pilothouse.admission.podsecurity.configuration import Configuration, read
from pilothouse.admission.podsecurity.evaluator import evaluate, told
from pilothouse.admission.podsecurity.policy import (
    LABELS,
    LATEST,
    MODES,
    PREFIX,
    PRIVILEGED,
    LevelVersion,
    PodSecurityLevels,
    labels_of,
    namespace_policy,
    stricter,
    version_text,
)
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes

TEMPLATES: dict[str, tuple[str, ...]] = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
"""Where workloads keep the template of their pods."""

WITHOUT_SPEC = frozenset(("exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"))
"""Subresources of pods that cannot change a pod's spec."""

CHECKED_PODS, CHECK_SECONDS = 3000, 1.0
"""Existing pods that are held against a namespace's new policy, and the seconds that it may take."""

TURN = 64
"""Pods that are judged before other requests have a turn."""

SERVED = 36
"""The minor version of this server: later ones are counted as `future`."""


class PodSecurity(AdmissionPlugin):
    """Pods are refused, audited and warned of;
    workloads are audited and warned of; namespaces get valid labels."""

    name = "PodSecurity"
    about = (
        About(WRITES, ("pods/*",), but=(f"pods/{name}" for name in WITHOUT_SPEC)),
        About(WRITES, ("namespaces", *TEMPLATES)),
    )

    def __init__(
        self,
        configuration: Configuration | None = None,
        metrics: AdmissionMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.configuration = configuration or Configuration()
        self._metrics = metrics or AdmissionMetrics()
        self._clock = clock

    def prepare(self, section: Object | None) -> Callable[[], None]:
        found = read(section)

        def use() -> None:
            self.configuration = found

        return use

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        kind = a.resource.group_resource
        if kind == "namespaces":
            return self._namespace(a)
        if not self._exempt(a):
            self._pod(a) if kind == "pods" else self._template(a, TEMPLATES[kind])
        return None

    # Pods and templates

    def _exempt(self, a: AdmissionAttributes) -> bool:
        if a.namespace in self.configuration.namespaces:
            return self._note_exemption(a, "namespace")
        return a.user.name in self.configuration.usernames and self._note_exemption(a, "user")

    def _note_exemption(self, a: AdmissionAttributes, why: str) -> bool:
        a.annotations[PREFIX + "exempt"] = why
        self._metrics.pod_security_exemptions.inc(*_labels(a))
        return True

    def _pod(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        namespace = a.readers.get("namespaces", "", a.namespace)
        if namespace is None:
            self._metrics.pod_security_errors.inc("true", *_labels(a))
            why = f"failed to lookup namespace {quote(a.namespace)}"
            a.annotations[PREFIX + "error"] = f"Internal error occurred: {why}: {_missing(a)}"
            raise errors.internal(why)
        labels = namespace["metadata"].get("labels")
        policy, problems = namespace_policy(labels, self.configuration.defaults)
        if policy.free and not problems:
            a.annotations[PREFIX + "enforce-policy"] = "privileged:latest"
            self._metrics.pod_security_evaluations.inc("allow", "enforce", PRIVILEGED, "latest", *_labels(a))
            return
        if a.operation == "UPDATE" and a.old is not None and not _is_significant(a.obj, a.old):
            return
        self._evaluate(a, policy, problems, a.obj["metadata"], a.obj["spec"], enforce=True)

    def _template(self, a: AdmissionAttributes, path: tuple[str, ...]) -> None:
        namespace = a.readers.get("namespaces", "", a.namespace)
        if namespace is None:
            self._metrics.pod_security_errors.inc("true", *_labels(a))
            why = f"failed to lookup namespace {quote(a.namespace)}: {_missing(a)}"
            a.annotations[PREFIX + "error"] = why
            return
        policy, problems = namespace_policy(labels_of(namespace), self.configuration.defaults)
        if not problems and policy.audit.level == policy.warn.level == PRIVILEGED:
            return
        template = a.obj
        for member in path:
            template = (template or {}).get(member)
        if template is None:
            return
        metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
        self._evaluate(a, policy, problems, metadata, spec, enforce=False)

    def _evaluate(
        self,
        a: AdmissionAttributes,
        policy: PodSecurityLevels,
        problems: Sequence[Mapping[str, str]],
        metadata: Object,
        spec: Object,
        *,
        enforce: bool,
    ) -> None:
        """Judge a pod by all modes of a policy;
        raises the 403 of the enforced one (Admission.EvaluatePod)."""
        if spec.get("runtimeClassName") in self.configuration.runtime_classes:
            self._note_exemption(a, "runtimeClass")
            return
        if problems:
            a.annotations[PREFIX + "error"] = f"Failed to parse policy: {_joined(problems)}"
            self._metrics.pod_security_errors.inc("false", *_labels(a))
        pod = Pod(metadata, spec)
        found: dict[LevelVersion, str] = {}

        def violation(mode: str, level: LevelVersion) -> str:
            """The level and why it forbids the pod, "" when it allows it."""
            if level not in found:
                found[level] = told(evaluate(level, pod))
            if not found[level]:
                return ""
            self._count(a, "deny", level, mode)
            return f"PodSecurity {quote(str(level))}: {found[level]}"

        refusal = ""
        if enforce:
            a.annotations[PREFIX + "enforce-policy"] = str(policy.enforce)
            refusal = violation("enforce", policy.enforce)
            if not refusal:
                self._count(a, "allow", policy.enforce, "enforce")
        if text := violation("audit", policy.audit):
            a.annotations[PREFIX + "audit-violations"] = f"would violate {text}"
        if refusal:
            raise errors.forbidden(a.resource.group, a.resource.plural, a.name, f"violates {refusal}")
        if text := violation("warn", policy.warn):
            a.warnings.append(f"would violate {text}")

    # Namespaces

    def _namespace(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        """Refuse labels that cannot be read, and warn of pods that a stricter policy would refuse."""
        assert a.obj is not None
        defaults = self.configuration.defaults
        name = a.name or a.obj["metadata"].get("name", "")
        policy, problems = namespace_policy(labels_of(a.obj), defaults)
        before, known = namespace_policy(labels_of(a.old), defaults) if a.old is not None else (None, ())
        if problems and problems != known:
            raise errors.invalid(a.resource.group, a.resource.kind, name, problems)
        if before is not None and not _is_stricter(policy.enforce, before.enforce):
            return None
        if name in self.configuration.namespaces:
            self._warn_of_exemption(a, name, policy)
            return None
        return self._warn_of_pods(a, name, policy.enforce) if before is not None else None

    def _warn_of_exemption(self, a: AdmissionAttributes, name: str, policy: PodSecurityLevels) -> None:
        if policy.free or policy.equivalent(self.configuration.defaults):
            return
        assert a.obj is not None
        labels = labels_of(a.obj) or {}
        shown = [
            f"{mode}={level}"
            for at, (mode, level) in enumerate(zip(MODES, policy, strict=True))
            if level.level != PRIVILEGED and any(label in labels for label in LABELS[2 * at : 2 * at + 2])
        ]
        a.warnings.append(
            f"namespace {quote(name)} is exempt from Pod Security, and the policy ({', '.join(shown)}) will"
            " be ignored"
        )

    async def _warn_of_pods(self, a: AdmissionAttributes, name: str, enforce: LevelVersion) -> None:
        """Tell which existing pods violate a policy,
        alike ones together (Admission.EvaluatePodsInNamespace)."""
        until = self._clock() + CHECK_SECONDS
        pods = self._prioritized(a.readers.list("pods", name))
        counts: dict[str, tuple[str, int]] = {}
        checked = 0
        for pod in pods[:CHECKED_PODS]:
            checked += 1
            reason = ", ".join(v.reason for v in evaluate(enforce, Pod(pod["metadata"], pod["spec"])))
            if reason:
                first, count = counts.get(reason, (pod["metadata"]["name"], 0))
                counts[reason] = min(first, pod["metadata"]["name"]), count + 1
            if self._clock() >= until:
                break
            if checked % TURN == 0:
                await asyncio.sleep(0)
        if checked < len(pods):
            a.warnings.append(
                f"new PodSecurity enforce level only checked against the first {checked} of {len(pods)}"
                " existing pods"
            )
        if counts:
            a.warnings.append(
                f"existing pods in namespace {quote(name)} violate the new PodSecurity enforce level "
                f"{quote(str(enforce))}"
            )
        a.warnings += sorted(f"{first}{_others(count - 1)}: {why}" for why, (first, count) in counts.items())

    def _prioritized(self, pods: Iterable[Object]) -> list[Object]:
        """The pods to judge, the first one of each controller before the other ones of it."""
        first: list[Object] = []
        more: list[Object] = []
        controllers: set[str] = set()
        for pod in pods:
            if pod["spec"].get("runtimeClassName") in self.configuration.runtime_classes:
                continue
            owners = pod["metadata"].get("ownerReferences") or ()
            uid = next((owner.get("uid", "") for owner in owners if owner.get("controller")), None)
            (more if uid in controllers else first).append(pod)
            if uid is not None:
                controllers.add(uid)
        return first + more

    def _count(self, a: AdmissionAttributes, decision: str, level: LevelVersion, mode: str) -> None:
        version = "latest" if level.level == PRIVILEGED else version_text(level.version)
        if level.level != PRIVILEGED and SERVED < level.version < LATEST:
            version = "future"
        self._metrics.pod_security_evaluations.inc(decision, mode, level.level, version, *_labels(a))


def _labels(a: AdmissionAttributes) -> tuple[str, str, str]:
    """Operation, resource and subresource, as metrics name them."""
    kind = "pod" if a.resource.group_resource == "pods" else "controller"
    return "create" if a.operation == "CREATE" else "update", kind, a.subresource


def _missing(a: AdmissionAttributes) -> str:
    return errors.not_found("", "namespaces", a.namespace).message


def _joined(problems: Sequence[Mapping[str, str]]) -> str:
    texts = [f"{cause['field']}: {cause['message']}" for cause in problems]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _others(count: int) -> str:
    if count == 0:
        return ""
    return " (and 1 other pod)" if count == 1 else f" (and {count} other pods)"


def _is_stricter(new: LevelVersion, old: LevelVersion) -> bool:
    """Whether pods that the old level allows may violate the new one."""
    if new == old or new.level == PRIVILEGED:
        return False
    return new.version != old.version or stricter(new.level, old.level)


def _is_significant(pod: Object, old: Object) -> bool:
    """Whether an update of a pod changes an image or adds a container;
    other fields that may change are harmless."""
    new_spec, old_spec = pod["spec"], old["spec"]
    for kind in ("containers", "initContainers"):
        new_images = [container.get("image") for container in new_spec.get(kind) or ()]
        if new_images != [container.get("image") for container in old_spec.get(kind) or ()]:
            return True
    known = {c.get("name"): c.get("image") for c in old_spec.get("ephemeralContainers") or ()}
    added = new_spec.get("ephemeralContainers") or ()
    return any(c.get("name") not in known or known[c.get("name")] != c.get("image") for c in added)
