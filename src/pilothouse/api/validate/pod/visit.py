"""Goes through the containers of a pod."""

from collections.abc import Iterator

from pilothouse.api.values.fields import Object

MEMBERS = ("initContainers", "containers", "ephemeralContainers")


def containers(spec: Object) -> list[Object]:
    """All containers of a pod: init, regular, ephemeral."""
    regular: list[Object] = spec.get("containers") or []
    if "initContainers" not in spec and "ephemeralContainers" not in spec:  # PERF: most pods
        return regular
    return [*(spec.get("initContainers") or ()), *regular, *(spec.get("ephemeralContainers") or ())]


def visit(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Yield every container of a pod with its path: init, regular, ephemeral (VisitContainersWithPath)."""
    for member in MEMBERS:
        for i, container in enumerate(spec.get(member) or ()):
            yield container, f"{path}.{member}[{i}]"
