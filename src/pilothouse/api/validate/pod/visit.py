"""Goes through the containers of a pod."""

from collections.abc import Iterator

from pilothouse.api.values.fields import Object


def visit(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Yield every container of a pod with its path: init, regular, ephemeral (VisitContainersWithPath)."""
    for member in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(member) or ()):
            yield container, f"{path}.{member}[{i}]"
