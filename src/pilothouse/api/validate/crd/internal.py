"""A definition in upstream's internal form, which has values common to all versions at the top level."""

from collections.abc import Callable

from pilothouse.api.validate.common import equal
from pilothouse.api.validate.crd.schema import walk
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record

_SHARED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


@record
class Internal:
    """A spec in upstream's internal form: `top` holds the values that all versions have in common."""

    spec: Object
    versions: list[Object]
    top: Object

    @classmethod
    def of(cls, spec: Object) -> "Internal":
        versions = [dict(version) for version in spec.get("versions") or ()]
        top: Object = {}
        for name in _SHARED:
            first = versions[0].get(name) if versions else None
            if versions and all(equal(version.get(name), first) for version in versions):
                if first is not None:
                    top[name] = first
                for version in versions:
                    version.pop(name, None)
        return cls(spec, versions, top)

    def schemas(self) -> list[Object]:
        """All distinct schemas."""
        found = map(schema_of, [self.top, *self.versions])
        return [schema for schema in found if schema is not None]

    def any_schema(self, test: Callable[[Object], bool]) -> bool:
        return any(test(node) for schema in self.schemas() for node in walk(schema))


def schema_of(holder: Object) -> Object | None:
    """The schema of a version, or of all."""
    return (holder.get("schema") or {}).get("openAPIV3Schema")
