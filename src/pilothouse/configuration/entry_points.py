"""The admission plugins that the installed packages offer:
the entry points of the group `pilothouse.admission`.

A package is not imported here. `importlib.metadata` is imported only where a flag asks for plugins, as it
takes some 30 ms.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

GROUP = "pilothouse.admission"


class Offered(NamedTuple):
    """A plugin that a package offers: its name, `module:attribute` and the package as `name version`."""

    name: str
    value: str
    package: str

    def load(self) -> Any:
        """Import the package and return what it offers. Raises whatever the import raises."""
        module, _, attribute = self.value.partition(":")
        found: Any = import_module(module.strip())
        for name in filter(None, attribute.strip().split(".")):
            found = getattr(found, name)
        return found


def offered(path: Iterable[str] | None = None) -> list[Offered]:
    """All plugins that installed packages offer, in the order of their names;
    `path` takes the place of sys.path.

    Of a package that is found twice on the path the first one counts, as it does in an import.
    """
    from importlib import metadata

    out: dict[tuple[str, str, str], Offered] = {}
    seen: set[str] = set()
    found = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    for distribution in found:
        declared = [point for point in distribution.entry_points if point.group == GROUP]
        if not declared:
            continue
        name = distribution.metadata["Name"]
        if name in seen:
            continue
        seen.add(name)
        package = f"{name} {distribution.version}"
        for point in declared:
            out[point.name, package, point.value] = Offered(point.name, point.value, package)
    return [out[key] for key in sorted(out)]
