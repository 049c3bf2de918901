"""The environment of device selectors
(k8s.io/dynamic-resource-allocation cel/compile.go, with the feature gates of 1.36).

`device` is what a ResourceSlice says of a device: its driver, whether it can be allocated several times, and
its attributes and capacities by domain and name.
Attributes may be of several types; the size of everything is known.
"""

from functools import cache

from pilothouse.api.cel import (
    ANY,
    BINDINGS,
    BOOL,
    QUANTITY,
    STRING,
    Environment,
    Range,
    ValuePath,
    map_of,
    object_type,
)
from pilothouse.api.expressions import schema_types
from pilothouse.api.expressions.schema_types import DeclaredType

DEVICE = "device"
MAX_COST = 1_000_000
"""Units that a selector may cost by its estimate."""
MAX_PER_DEVICE = 32
"""Attributes and capacities of a device."""
MAX_VALUE, MAX_DOMAIN, MAX_ID, MAX_DRIVER = 64, 63, 32, 63


class _Attributes(DeclaredType):
    """The attributes of a domain: one has the same size whether it is reached by its index or as a field."""

    def below(self, step: str) -> DeclaredType | None:
        return super().below(step) or self.items


def _by_name(values: DeclaredType, longest: int, kind: type[DeclaredType] = DeclaredType) -> DeclaredType:
    """A map from names to values."""
    out = kind(map_of(STRING, values.type), most=MAX_PER_DEVICE)
    out.items = values
    out.keys = DeclaredType(STRING, most=longest)
    return out


_FIELDS = {
    "driver": DeclaredType(STRING, most=MAX_DRIVER),
    "allowMultipleAllocations": DeclaredType(BOOL, most=1),
    "attributes": _by_name(_by_name(DeclaredType(ANY, most=MAX_VALUE), MAX_ID, _Attributes), MAX_DOMAIN),
    "capacity": _by_name(_by_name(DeclaredType(QUANTITY), MAX_ID), MAX_DOMAIN),
}
_DEVICE = DeclaredType(object_type("DRADevice", **{name: one.type for name, one in _FIELDS.items()}))
_DEVICE.fields = _FIELDS
_SIZES = schema_types.sizes(_DEVICE)


@cache
def environment() -> Environment:
    """The environment of the selectors of a device class, a claim or a claim template."""
    return Environment({DEVICE: _DEVICE.type}, extra=[BINDINGS])


def sizes(path: ValuePath) -> Range | None:
    """The size of the value at a path; None where a device has no such path."""
    return _SIZES(path) if path[:1] == (DEVICE,) else None
