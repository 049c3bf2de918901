"""Field managers of a Scale: those of the object that own its replicas
(apimachinery managedfields ScaleHandler)."""

from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.changes._fieldset import decode, encode
from pilothouse.api.changes.managed import Entries, Path
from pilothouse.api.values.fields import Object

API_VERSION = "autoscaling/v1"
_IN_SCALE = ("f:spec", "f:replicas")


def to_scale(encoded: list[Object] | None, replicas: Path) -> list[Object]:
    """The managedFields of the Scale of an object whose own are `encoded`;
    `replicas` is where the object has them."""
    path, own = _names(replicas), fieldset.of((_IN_SCALE,))
    return encode(
        {
            key: entry.replaced(own, api_version=API_VERSION)
            for key, entry in decode(encoded).items()
            if fieldset.has(entry.fields, path)
        }
    )


def to_object(
    encoded: list[Object] | None, scale: list[Object] | None, replicas: Path, api_version: str
) -> list[Object]:
    """The managedFields of an object, `encoded` before, whose Scale was written and has `scale` now.

    As upstream, an entry for an update never keeps the replicas: its identity names the version of the
    object, that of the Scale's entry the version of the Scale.
    So a manager may have two entries, and new ones have no time.
    """
    path, out = _names(replicas), Entries()
    before, left = decode(encoded), decode(scale)
    for key, entry in before.items():
        if not fieldset.has(entry.fields, path):
            out[key] = entry
        elif key in left:
            out[key] = entry
            del left[key]
        elif fields := fieldset.difference(entry.fields, fieldset.of((path,))):
            out[key] = entry.replaced(fields)
    for key, entry in left.items():
        if fieldset.has(entry.fields, _IN_SCALE):
            time = before[key].time if key in before else ""
            out[key] = entry.replaced(fieldset.of((path,)), time, api_version)
    return encode(out)


def _names(path: Path) -> Path:
    return tuple(f"f:{name}" for name in path)
