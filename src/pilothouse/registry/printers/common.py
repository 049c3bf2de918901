"""What cells of several kinds are made of: ages, selectors, lists cut short (printers/internalversion)."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from pilothouse.api.fields import Object

Cells = list[Any]
Printer = Callable[[Object, float], Cells]
"""The cells of one object; the second argument is now, in seconds since the epoch."""

RowConditions = Callable[[Object], list[Object] | None]
"""The conditions of one object's row, None for a row without any."""
RowOrder = Callable[[Object], tuple[int, str]]
"""What the rows of a Table are sorted by."""

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"


class Columns:
    """The columns of a kind and the function that fills them. `definitions` is shared: never change it.

    order: what rows are sorted by, None = as they are stored.
    """

    __slots__ = ("cells", "conditions", "definitions", "order")

    def __init__(
        self,
        definitions: list[Object],
        cells: Printer,
        conditions: RowConditions | None = None,
        order: RowOrder | None = None,
    ) -> None:
        self.definitions = definitions
        self.cells = cells
        self.conditions = conditions
        self.order = order


class Printed(Protocol):
    """A served resource: what Tables need of registry.resource.Resource."""

    @property
    def group(self) -> str: ...

    @property
    def plural(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def api_version(self) -> str: ...

    @property
    def storage(self) -> "Printed | None":
        """The record that is stored, None where it is this one."""

    @property
    def to_storage(self) -> Callable[[Object], Object] | None:
        """Makes the stored form of an object, None where it is the served one."""

    @property
    def columns(self) -> Columns | None:
        """The columns that a definition declares."""

    def table_columns(self) -> Columns:
        """The columns of its Tables."""


def spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def status(obj: Object) -> Object:
    return obj.get("status") or {}


def name(obj: Object) -> str:
    named: str = (obj.get("metadata") or {}).get("name", "")
    return named


def annotations(obj: Object) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def deleting(obj: Object) -> bool:
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def seconds(timestamp: str) -> float:
    """Seconds since the epoch of an RFC 3339 text; ValueError when it is none."""
    moment = datetime.fromisoformat(timestamp)
    if moment.tzinfo is None:
        raise ValueError(f"no zone in {timestamp!r}")
    return moment.astimezone(UTC).timestamp()


def human_duration(length: float) -> str:
    """A length in seconds to two or three significant figures (util/duration.HumanDuration)."""
    total = int(length)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes, rest = divmod(total, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days, rest = divmod(hours, 24)
    if hours < 24 * 8:
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years, rest = divmod(days, 365)
    if years < 8:
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


def since(timestamp: str | None, now: float) -> str:
    """How long ago a time was."""
    if not timestamp:
        return UNKNOWN
    try:
        return human_duration(now - seconds(timestamp))
    except ValueError:
        return UNKNOWN


def age(obj: Object, now: float) -> str:
    """How long ago the object was made."""
    return since((obj.get("metadata") or {}).get("creationTimestamp"), now)


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, sorted (labels.FormatLabels)."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


_OPERATORS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


def selector_string(selector: Object | None) -> str:
    """A LabelSelector as its requirements in the order of their keys, "" when it has none."""
    selector = selector or {}
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key = rule.get("key", "")
        form = _OPERATORS.get(rule.get("operator", ""))
        if form is None:
            return "<error>"
        parts.append((key, form.format(key=key, values=",".join(sorted(rule.get("values") or ())))))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def selector_text(selector: Object | None) -> str:
    """The same with a word for the empty one (metav1.FormatLabelSelector)."""
    return selector_string(selector) or NONE


def containers_text(template: Object | None) -> tuple[str, str]:
    """Names and images of a pod template's containers, or of a pod's."""
    containers = spec(template or {}).get("containers") or ()
    return (
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
    )


def cut(items: Iterable[str], most: int = 3) -> str:
    """The first few of a list and how many more there are."""
    items = list(items)
    text = ",".join(items[:most])
    if len(items) > most:
        return f"{text} + {len(items) - most} more..."
    return text or UNSET


def condition(obj: Object, kind: str) -> Object | None:
    """The status condition of one type."""
    conditions: Iterable[Object] = status(obj).get("conditions") or ()
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def condition_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


_ACCESS_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def access_modes(modes: Iterable[str] | None) -> str:
    """Short names of access modes, each once, in their fixed order."""
    given = set(modes or ())
    return ",".join(short for mode, short in _ACCESS_MODES.items() if mode in given)


def go_float(value: float) -> str:
    """A float as Go's %v prints it."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    return f"{mantissa}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"
