"""AlwaysPullImages: images are pulled with the credentials of each pod,
however often a node has them already."""

from collections.abc import Iterator

from pilothouse import errors
from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object, show
from pilothouse.registry.admission import AdmissionAttributes


class AlwaysPullImages(AdmissionPlugin):
    name = "AlwaysPullImages"
    about = (About(WRITES, ("pods",)),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        if _has_new_images(a):
            for path, container in _containers(a.obj):
                if container.get("imagePullPolicy") != "Always":
                    a.changed(f"{path}.imagePullPolicy")
                    container["imagePullPolicy"] = "Always"

    def validate(self, a: AdmissionAttributes) -> None:
        """Refuse what a later plugin has changed;
        a list of errors is answered with a 500, as upstream does."""
        assert a.obj is not None
        if not _has_new_images(a):
            return
        faults = [
            a.refuse(
                f'{path}.imagePullPolicy: Unsupported value: {show(policy)}: supported values: "Always"'
            ).message
            for path, container in _containers(a.obj)
            if (policy := container.get("imagePullPolicy", "")) != "Always"
        ]
        if faults:
            raise errors.Unknown(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _has_new_images(a: AdmissionAttributes) -> bool:
    """Whether a write names an image that the stored pod does not use."""
    if a.operation != "UPDATE" or a.obj is None or a.old is None:
        return True
    old = {container.get("image") for _, container in _containers(a.old)}
    return any(container.get("image") not in old for _, container in _containers(a.obj))


def _containers(pod: Object) -> Iterator[tuple[str, Object]]:
    """Field path and record of every container."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for at, container in enumerate(pod["spec"].get(kind) or ()):
            yield f"spec.{kind}[{at}]", container
