"""Shared parts of table cells: ages, selectors, conditions, shortened lists (printers/internalversion)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.registry.conversion import Conversion

Cells = list[Any]
Printer = Callable[[Object, float], Cells]
"""Returns an object's cells; the second argument is the current time in seconds since the epoch."""

RowConditions = Callable[[Object], list[Object] | None]
"""Returns the conditions of an object's row, None for a row without any."""
RowOrder = Callable[[Object], tuple[int, str]]
"""Returns the sort key of an object's row."""

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"


class Columns:
    """The columns of a kind and the function that makes their cells.
    `definitions` is shared and must not be changed.

    `order` returns the sort key of a row; None keeps the stored order.
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
    """The attributes of registry.resource.Resource that tables use."""

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
        """The record under which objects are stored, None if it is this one."""

    @property
    def conversion(self) -> Conversion | None:
        """How its objects are stored, None where they are stored as they are served."""

    def table_columns(self) -> Columns:
        """The columns of the resource's tables."""


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
    """A stored time as seconds since the epoch; raises ValueError."""
    whole, micro = times.to_unix(timestamp)
    return whole + micro / 1_000_000


LONGEST = (1 << 63) // times.SECOND
"""Seconds of the longest time.Duration;
two times that lie further apart are that far apart for Go (Time.Sub)."""


def human_duration(length: float) -> str:
    """Format a number of seconds with two or three significant figures (util/duration.HumanDuration)."""
    total = min(int(length), LONGEST)
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
    """The time since a timestamp, formatted."""
    if not timestamp:
        return UNKNOWN
    try:
        return human_duration(now - seconds(timestamp))
    except ValueError:
        return UNKNOWN


def age(obj: Object, now: float) -> str:
    """The time since the object's creation, formatted."""
    return since((obj.get("metadata") or {}).get("creationTimestamp"), now)


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Labels as `a=b,c=d`, sorted (labels.FormatLabels)."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


_OPERATORS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


def selector_string(selector: Object | None) -> str:
    """A LabelSelector as text, its requirements sorted by key; "" if it is empty."""
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
    """A LabelSelector as text, `<none>` if it is empty (metav1.FormatLabelSelector)."""
    return selector_string(selector) or NONE


def containers_text(template: Object | None) -> tuple[str, str]:
    """Names and images of the containers in a pod or pod template."""
    containers = spec(template or {}).get("containers") or ()
    return (
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
    )


def cut(items: Iterable[str], most: int = 3) -> str:
    """The first items of a list, and the number of the others."""
    items = list(items)
    text = ",".join(items[:most])
    if len(items) > most:
        return f"{text} + {len(items) - most} more..."
    return text or UNSET


def condition(obj: Object, kind: str) -> Object | None:
    """The status condition of the given type; None if there is none."""
    conditions: list[Object] = status(obj).get("conditions") or []
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
    """Abbreviated access modes, each once, in a fixed order."""
    given = set(modes or ())
    return ",".join(short for mode, short in _ACCESS_MODES.items() if mode in given)


def go_float(value: float) -> str:
    """A float as Go's %v formats it."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    return f"{mantissa}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"
