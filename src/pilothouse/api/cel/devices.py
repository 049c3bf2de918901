"""The environment
of device selectors (k8s.io/dynamic-resource-allocation cel/compile.go, with the feature gates of 1.36).

`device` is what a ResourceSlice says of a device: its driver, whether it can be allocated several times, and
its attributes and capacities by domain and name.
Attributes may be of several types; the size of everything is known.
"""

from functools import cache

from pilothouse.api.cel.environment import BINDINGS, Environment
from pilothouse.api.cel.libraries.quantities import QUANTITY
from pilothouse.api.cel.schema_types import Declared
from pilothouse.api.cel.sizes import Path, Range
from pilothouse.api.cel.types import ANY, BOOL, STRING, Field, map_of, struct

DEVICE = "device"
MAX_COST = 1_000_000
"""Units that a selector may cost by its estimate."""
MAX_PER_DEVICE = 32
"""Attributes and capacities of a device."""
MAX_VALUE, MAX_DOMAIN, MAX_ID, MAX_DRIVER = 64, 63, 32, 63


def _by_name(values: Declared) -> Declared:
    """Domain -> name -> a value."""
    out = values
    for longest in (MAX_ID, MAX_DOMAIN):
        inner = out
        out = Declared(map_of(STRING, inner.type), most=MAX_PER_DEVICE)
        out.items = inner
        out.keys = Declared(STRING, most=longest)
    return out


_ATTRIBUTE = Declared(ANY, most=MAX_VALUE)
_FIELDS = {
    "driver": Declared(STRING, most=MAX_DRIVER),
    "allowMultipleAllocations": Declared(BOOL, most=1),
    "attributes": _by_name(_ATTRIBUTE),
    "capacity": _by_name(Declared(QUANTITY)),
}
_TYPE = struct("kubernetes.DRADevice", {name: Field(found.type, name) for name, found in _FIELDS.items()})


@cache
def environment() -> Environment:
    """The environment of the selectors of a device class, a claim or a claim template."""
    return Environment({DEVICE: _TYPE}, extra=[BINDINGS])


def sizes(path: Path) -> Range | None:
    """How large what stands at a path may be; None for what is no part of the device.

    An attribute has the same size whether it is reached by its index or as a field.
    """
    if not path or path[0] != DEVICE:
        return None
    at = Declared(_TYPE)
    at.fields = _FIELDS
    for step in path[1:]:
        if step in ("@items", "@values"):
            found = at.items
        elif step == "@keys":
            found = at.keys
        elif at.items is _ATTRIBUTE:
            found = _ATTRIBUTE
        else:
            found = at.fields.get(step)
        if found is None:
            return None
        at = found
    return Range(0, at.most)
