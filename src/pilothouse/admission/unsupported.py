"""Warns about fields that are stored but have no effect in this server; --strict-admission refuses them.

Remove a feature's row here when it is implemented. CEL rules and conversion webhooks of definitions are not
listed, because most operators' definitions contain some and they protect the operator's own objects only; the
log names them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pilothouse import errors
from pilothouse.admission.chain import Plugin
from pilothouse.api.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers


class Row(NamedTuple):
    """A part of a kind that has no effect. `part` returns it, or an empty value if the object has none."""

    part: Callable[[Object], Any]
    sentence: str


def _member(name: str) -> Callable[[Object], Any]:
    return lambda obj: obj.get(name)


_WEBHOOKS = "this server does not call admission webhooks yet: the configuration is stored and has no effect"
_ADMISSION = "admissionregistration.k8s.io"

UNSUPPORTED: dict[str, tuple[Row, ...]] = {
    f"validatingwebhookconfigurations.{_ADMISSION}": (Row(_member("webhooks"), _WEBHOOKS),),
    f"mutatingwebhookconfigurations.{_ADMISSION}": (Row(_member("webhooks"), _WEBHOOKS),),
}


def stored_without_effect(readers: Readers) -> Iterator[tuple[str, int, str]]:
    """Counts stored objects that contain such parts: (resource, number of objects, sentence), for the log at start.

    Resources with an object that cannot be decrypted are skipped.
    """
    for resource, rows in UNSUPPORTED.items():
        counts = [0] * len(rows)
        try:
            for obj in readers.list(resource):
                for i, row in enumerate(rows):
                    counts[i] += bool(row.part(obj))
        except errors.InternalError:
            continue
        yield from ((resource, n, row.sentence) for n, row in zip(counts, rows, strict=True) if n)


class Unsupported(Plugin):
    """Warns about each row that applies to the object; with `strict`, refuses writes that add or change its part."""

    name = "Unsupported"

    def __init__(self, strict: bool = False, warn: bool = True) -> None:
        self.strict = strict
        self.warn = warn

    def wants(self, a: AdmissionAttributes) -> bool:
        return (
            a.resource.group_resource in UNSUPPORTED
            and not a.subresource
            and a.operation in ("CREATE", "UPDATE")
        )

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        for row in UNSUPPORTED[a.resource.group_resource]:
            part = row.part(a.obj)
            if not part:
                continue
            if self.strict and (a.old is None or row.part(a.old) != part):
                raise a.refuse(f"{row.sentence}, and --strict-admission is on")
            if self.warn:
                a.warnings.append(row.sentence)
