"""DefaultIngressClass: sets the default class on an ingress without one."""

from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.defaultclass import default_class
from pilothouse.registry.admission import AdmissionAttributes

CLASSES = "ingressclasses.networking.k8s.io"
IS_DEFAULT = ("ingressclass.kubernetes.io/is-default-class",)
OLD_ANNOTATION = "kubernetes.io/ingress.class"


class DefaultIngressClass(AdmissionPlugin):
    name = "DefaultIngressClass"
    about = (About((CREATE,), ("ingresses.networking.k8s.io",)),)

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
