"""DefaultIngressClass: sets the default class on an ingress without one."""

from pilothouse.admission.chain import Plugin
from pilothouse.admission.defaultclass import default_class
from pilothouse.registry.admission import AdmissionAttributes

CLASSES = "ingressclasses.networking.k8s.io"
IS_DEFAULT = ("ingressclass.kubernetes.io/is-default-class",)
OLD_ANNOTATION = "kubernetes.io/ingress.class"


class DefaultIngressClass(Plugin):
    name = "DefaultIngressClass"

    def wants(self, a: AdmissionAttributes) -> bool:
        return (
            a.resource.group_resource == "ingresses.networking.k8s.io"
            and a.operation == "CREATE"
            and not a.subresource
        )

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj.setdefault("spec", {})
        annotations = a.obj["metadata"].get("annotations") or {}
        if spec.get("ingressClassName") is not None or OLD_ANNOTATION in annotations:
            return
        found = default_class(a.readers.list(CLASSES), IS_DEFAULT)
        if found is not None:
            a.changed("spec.ingressClassName")
            spec["ingressClassName"] = found["metadata"]["name"]
