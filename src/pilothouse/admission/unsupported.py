"""What is stored and not carried out: whoever writes it is told, and refused where --strict-admission is on.

A feature that gets built loses its row here. CEL rules and conversion webhooks of definitions
are not in it: nearly every operator's definitions have some, and they guard the operator's own objects. The log names
them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pilothouse import errors
from pilothouse.admission.chain import Plugin
from pilothouse.api.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers

POD_SECURITY = tuple(f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn"))
"""The labels that ask for pod security on a namespace, unless they say that all is allowed."""
ALL_ALLOWED = "privileged"


class Row(NamedTuple):
    """A part of a kind that has no effect. `part` returns it, or something empty when an object has none of it."""

    part: Callable[[Object], Any]
    sentence: str


def _member(name: str) -> Callable[[Object], Any]:
    return lambda obj: obj.get(name)


def _pod_security(namespace: Object) -> dict[str, str]:
    labels = namespace["metadata"].get("labels") or {}
    return {key: labels[key] for key in POD_SECURITY if labels.get(key, ALL_ALLOWED) != ALL_ALLOWED}


_WEBHOOKS = "this server does not call admission webhooks yet: the configuration is stored and has no effect"
_ADMISSION = "admissionregistration.k8s.io"

UNSUPPORTED: dict[str, tuple[Row, ...]] = {
    f"validatingwebhookconfigurations.{_ADMISSION}": (Row(_member("webhooks"), _WEBHOOKS),),
    f"mutatingwebhookconfigurations.{_ADMISSION}": (Row(_member("webhooks"), _WEBHOOKS),),
    "resourcequotas": (
        Row(
            lambda quota: (quota.get("spec") or {}).get("hard"),
            "this server does not carry out resource quotas yet: the quota is stored and limits nothing",
        ),
    ),
    "namespaces": (
        Row(
            _pod_security,
            "this server does not carry out pod security yet: the labels pod-security.kubernetes.io/* have no "
            "effect",
        ),
    ),
}


def stored_without_effect(readers: Readers) -> Iterator[tuple[str, int, str]]:
    """What the cluster holds of it: resource, number of objects and sentence, for the log of a start.

    A resource of which something can not be read (its key is not to be had) is not counted.
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
    """Warns of every row that an object touches; with `strict` refuses what a write adds or changes of it."""

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
