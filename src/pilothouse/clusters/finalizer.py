"""Gives new logical clusters the finalizer by which what they hold is removed before their object goes."""

from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.clusters.definition import FINALIZER, NAME
from pilothouse.registry.admission import AdmissionAttributes


class ClusterFinalizer(AdmissionPlugin):
    """Adds the finalizer at creation, which saves a write and an entry in the managed fields."""

    name = "ClusterFinalizer"
    about = (About((CREATE,), (NAME,)),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        finalizers = a.obj["metadata"].setdefault("finalizers", [])
        if FINALIZER not in finalizers:
            a.changed("metadata.finalizers")
            finalizers.append(FINALIZER)
