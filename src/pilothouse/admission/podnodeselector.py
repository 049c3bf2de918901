"""PodNodeSelector: a namespace's annotation, or the configuration, says on which nodes its pods run."""

from collections.abc import Callable, Mapping
from typing import Any

from pilothouse import errors
from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.validate.common import report
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.admission import AdmissionAttributes

ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector"
CLUSTER_DEFAULT = "clusterDefaultNodeSelector"
MEMBER = "podNodeSelectorPluginConfig"


class PodNodeSelector(AdmissionPlugin):
    """`selectors` has the default of the cluster, and for a namespace the labels that its pods may choose."""

    name = "PodNodeSelector"
    about = (About((CREATE,), ("pods",)),)

    def __init__(self, section: Object | None = None) -> None:
        self.selectors: Mapping[str, str]
        self.prepare(section)()

    def prepare(self, section: Object | None) -> Callable[[], None]:
        found: Any = (section or {}).get(MEMBER)
        selectors = found if isinstance(found, dict) else {}

        def use() -> None:
            self.selectors = selectors

        return use

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        wanted = self._wanted(a)
        own = spec.get("nodeSelector") or {}
        _refuse_conflict(a, wanted, own)
        if wanted:
            if not wanted.keys() <= own.keys():
                a.changed("spec.nodeSelector")
            spec["nodeSelector"] = {**wanted, **own}
        self._refuse_unlisted(a)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        _refuse_conflict(a, self._wanted(a), a.obj["spec"].get("nodeSelector") or {})
        self._refuse_unlisted(a)

    def _wanted(self, a: AdmissionAttributes) -> dict[str, str]:
        """The labels of the nodes on which pods of a namespace run."""
        namespace = a.readers.get("namespaces", "", a.namespace)
        if namespace is None:
            raise errors.InternalError(f"Internal error occurred: namespace {a.namespace} does not exist")
        text = (namespace["metadata"].get("annotations") or {}).get(ANNOTATION)
        return _labels(self.selectors.get(CLUSTER_DEFAULT, "") if text is None else text)

    def _refuse_unlisted(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        listed = _labels(self.selectors.get(a.namespace, ""))
        own = a.obj["spec"].get("nodeSelector") or {}
        if listed and any(listed.get(key) != value for key, value in own.items()):
            raise _forbidden(a, "pod node label selector labels conflict with its namespace whitelist")


def _refuse_conflict(a: AdmissionAttributes, wanted: Mapping[str, str], own: Mapping[str, str]) -> None:
    if any(own.get(key, value) != value for key, value in wanted.items()):
        raise _forbidden(a, "pod node label selector conflicts with its namespace node label selector")


def _forbidden(a: AdmissionAttributes, why: str) -> errors.Forbidden:
    assert a.obj is not None
    return errors.forbidden("", "pods", a.obj["metadata"].get("name", ""), why)


def _labels(text: str) -> dict[str, str]:
    """The labels of `a=b,c=d` (labels.ConvertSelectorToLabelsMap); the 500 of upstream for other texts."""
    out: dict[str, str] = {}
    for term in text.split(",") if text else ():
        parts = term.split("=")
        if len(parts) != 2:
            raise errors.Unknown(f"invalid selector: [{' '.join(parts)}]")
        key, value = (part.strip() for part in parts)
        errs = Errors()
        report("", key, names.qualified_name(key), errs)
        report(key, value, names.label_value(value), errs)
        if errs:
            cause = errs.causes[0]
            raise errors.Unknown(f"{cause['field'] or '<nil>'}: {cause['message']}")
        out[key] = value
    return out
