"""The base of the sections, and the declaration of a flag."""

from collections.abc import Iterator
from dataclasses import field
from functools import partial
from typing import Any

from pilothouse.process.frozen import frozen

GROUPS = (
    "generic",
    "etcd",
    "secure serving",
    "auditing",
    "features",
    "authentication",
    "authorization",
    "API enablement",
    "egress selector",
    "admission",
    "metrics",
    "logs",
    "traces",
    "misc",
    "pilothouse",
    "global",
)
"""The groups of flags, in the order in which --help lists them."""


def _flag(
    group: str, default: Any, kind: str, text: str, *, effective: bool = True, short: str = "", gone: str = ""
) -> Any:
    """The field of a flag: `kind` is its type in flags.KINDS, `gone` the sentence of a deprecated one."""
    meta = {
        "kind": kind,
        "group": group,
        "help": text,
        "effective": effective,
        "short": short,
        "deprecated": gone,
    }
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=meta)
    return field(default=default, metadata=meta)


(
    generic,
    etcd,
    secure_serving,
    auditing,
    features,
    authentication,
    authorization,
    api_enablement,
    egress_selector,
    admission,
    metrics,
    logs,
    traces,
    misc,
    own,
    everywhere,
) = (partial(_flag, group) for group in GROUPS)
"""Each declares a flag of its group: default, type, help."""


@frozen(eq=False)
class Section:
    """The settings of one subject: one field for each flag, hyphens as underscores, and an underscore behind
    a name that a method has.

    Durations are seconds, addresses text, lists tuples. `given` has the names of the flags that were passed,
    of this section and of those inside it.
    """

    given: frozenset[str] = field(default=frozenset(), kw_only=True)

    def faults(self) -> Iterator[str]:
        """Yield every fault within this section, in upstream's words where it has some."""
        yield from ()

    def negative(self, *names: str) -> Iterator[str]:
        """A sentence for each of these fields that is below 0."""
        for name in names:
            if getattr(self, name) < 0:
                yield f"--{name.replace('_', '-')} can not be a negative value"

    def together(self, first: str, second: str) -> Iterator[str]:
        """A sentence if only one of these two fields has a value."""
        if bool(getattr(self, first)) != bool(getattr(self, second)):
            one, other = first.replace("_", "-"), second.replace("_", "-")
            yield f"--{one} and --{other} must be given together"


def bytes_of(flag: str, text: str) -> tuple[int, str]:
    """The bytes of a flag that is a quantity, 0 where it is empty, and its fault, "" for none."""
    if not text:
        return 0, ""
    from pilothouse.api.values import quantity

    try:
        size = quantity.parse(text).value()
    except quantity.QuantityError as error:
        return 0, f"--{flag} {text!r}: {error}"
    return size, f"--{flag} {text} can not be negative" if size < 0 else ""
