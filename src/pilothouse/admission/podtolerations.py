"""PodTolerationRestriction: a namespace's annotations give
its pods tolerations and bound those that they bring."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pilothouse import errors
from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.configfile import ConfigurationError, expect
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.pod.resources import quality_of_service
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes

DEFAULTS = "scheduler.alpha.kubernetes.io/defaultTolerations"
ALLOWED = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
MEMORY_PRESSURE = {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}
VERSIONS = ("podtolerationrestriction.admission.k8s.io/v1alpha1",)


class PodTolerationRestriction(AdmissionPlugin):
    name = "PodTolerationRestriction"
    about = (About(WRITES, ("pods",)),)

    def __init__(self, section: Object | None = None) -> None:
        self._default: list[Object]
        self._allowed: list[Object]
        self.prepare(section)()

    def prepare(self, section: Object | None) -> Callable[[], None]:
        if section is not None:
            expect(section, VERSIONS, "Configuration", ("default", "whitelist"))
        default, allowed = _configured(section, "default"), _configured(section, "whitelist")

        def use() -> None:
            self._default, self._allowed = default, allowed

        return use

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        extra: list[Object] = []
        if a.operation == "CREATE":
            extra += _annotated(a, DEFAULTS, self._default)
        quality = (a.obj.get("status") or {}).get("qosClass") or quality_of_service(spec)
        if quality != "BestEffort":
            extra.append(MEMORY_PRESSURE)
        if extra:
            before = spec.get("tolerations") or []
            spec["tolerations"] = merged(before, [dict(one) for one in extra])
            if spec["tolerations"] != before:
                a.changed("spec.tolerations")
        self.validate(a)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        tolerations = a.obj["spec"].get("tolerations") or ()
        if not tolerations:
            return
        allowed = _annotated(a, ALLOWED, self._allowed)
        if allowed and not all(any(covers(one, t) for one in allowed) for t in tolerations):
            raise errors.Unknown(
                "pod tolerations (possibly merged with namespace default tolerations) conflict with its "
                "namespace whitelist"
            )


def _configured(section: Object | None, member: str) -> list[Object]:
    found = (section or {}).get(member) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ConfigurationError(f"{member}: it must be a list of tolerations")
    return found


def _annotated(a: AdmissionAttributes, annotation: str, otherwise: list[Object]) -> list[Object]:
    """The tolerations in an annotation of the namespace;
    an empty annotation has none, a missing one the default."""
    namespace = a.readers.get("namespaces", "", a.namespace)
    if namespace is None:
        raise errors.not_found("", "namespaces", a.namespace)
    text = (namespace["metadata"].get("annotations") or {}).get(annotation)
    if text is None:
        return otherwise
    if not text:
        return []
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise errors.Unknown(f"invalid character in annotation {annotation}: {error}") from None
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise errors.Unknown("json: cannot unmarshal object into Go value of type []v1.Toleration")
    return found


def merged(first: Sequence[Object], second: Sequence[Object]) -> list[Object]:
    """Both lists in one; what another toleration covers is left out (tolerations.MergeTolerations)."""
    every = [*first, *second]
    out: list[Object] = []
    for at, one in enumerate(every):
        covered = any(covers(other, one) for other in out)
        if not covered and not any(not equal(one, other) and covers(other, one) for other in every[at + 1 :]):
            out.append(one)
    return out


def covers(wide: Object, narrow: Object) -> bool:
    """Whether a toleration tolerates all that another one does (tolerations.isSuperset)."""
    if equal(wide, narrow):
        return True
    operator = wide.get("operator") or ""
    key, effect = wide.get("key") or "", wide.get("effect") or ""
    if (narrow.get("key") or "") != key and (key or operator != "Exists"):
        return False
    if effect and (narrow.get("effect") or "") != effect:
        return False
    seconds, others = wide.get("tolerationSeconds"), narrow.get("tolerationSeconds")
    if effect == "NoExecute" and seconds is not None and (others is None or others > seconds):
        return False
    if operator == "Exists":
        return True
    return (
        operator in ("", "Equal")
        and narrow.get("operator") == "Equal"
        and (narrow.get("value") or "") == (wide.get("value") or "")
    )
