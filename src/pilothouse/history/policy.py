"""The policy of a history: of which resources and namespaces changes are kept, for how long, and how many.

    apiVersion: pilothouse.dev/v1
    kind: HistoryPolicy
    keepFor: 720h
    maxBytes: 1Gi
    rules:                                      # the first rule that fits decides
    - resources: [events, leases.coordination.k8s.io]
      keep: Nothing
    - resources: ["*"]
      namespaces: [kube-system]
      keep: Everything

`keep` is Nothing, Changes or Everything. Changes are all but those of a status, of which at most one a minute
and object is kept, and always the last one. Without a rule that fits, it is Changes.
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pilothouse.api import configfile
from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values import duration, quantity
from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen

API_VERSION, KIND = "pilothouse.dev/v1", "HistoryPolicy"
WHAT = "error reading the history policy"
DAY = 86_400.0
SETTLED = 60.0
"""Seconds after which a change is moved; of changes of a status, the last one of so long is kept."""
BEHIND = 600.0
"""Seconds by which the history may be late before it says so, and leaves out all changes of a status but the
last."""


class Keep(Enum):
    """How much is kept of an object's changes."""

    NOTHING = "Nothing"
    CHANGES = "Changes"
    EVERYTHING = "Everything"


@frozen
class HistoryRule:
    """One rule; no namespaces mean all, and objects without one."""

    resources: tuple[str, ...]
    namespaces: tuple[str, ...]
    keep: Keep

    def fits(self, resource: str, namespace: str) -> bool:
        """Whether the rule is about a resource in a namespace."""
        group = resource.partition(".")[2]
        return (not self.namespaces or namespace in self.namespaces) and any(
            name in ("*", resource) or name == f"*.{group}" for name in self.resources
        )


NOISE = HistoryRule(
    (
        "events",
        "leases.coordination.k8s.io",
        "endpoints",
        "endpointslices.discovery.k8s.io",
    ),
    (),
    Keep.NOTHING,
)
"""The default: resources that change all the time and tell nothing that is not elsewhere."""


@frozen
class HistoryPolicy:
    """A policy. keep_for: seconds. max_bytes: of the changes in the file."""

    keep_for: float = 30 * DAY
    max_bytes: int = 1 << 30
    rules: Sequence[HistoryRule] = (NOISE,)

    def keep(self, resource: str, namespace: str) -> Keep:
        """How much is kept of an object's changes; nothing of what no API serves."""
        if not resource:
            return Keep.NOTHING
        return next((rule.keep for rule in self.rules if rule.fits(resource, namespace)), Keep.CHANGES)

    def left_out(self, resources: Sequence[str]) -> list[str]:
        """The resources, among some, of which nothing is kept in any namespace."""

        def nowhere(resource: str) -> bool:
            for rule in self.rules:
                if rule.keep is Keep.NOTHING and not rule.namespaces and rule.fits(resource, ""):
                    return True
                if rule.keep is not Keep.NOTHING and any(
                    rule.fits(resource, namespace) for namespace in rule.namespaces or ("",)
                ):
                    return False
            return False

        return [resource for resource in resources if nowhere(resource)]


def load(path: str) -> HistoryPolicy:
    """The policy in a file; ConfigurationError when it cannot be used."""
    return parse(configfile.read(Path(path), WHAT))


def parse(config: Object) -> HistoryPolicy:
    """The policy that an object describes; ConfigurationError names the field that is wrong."""
    configfile.expect(config, (API_VERSION,), KIND, ("keepFor", "maxBytes", "rules"))
    default = HistoryPolicy()
    return HistoryPolicy(
        _duration(config["keepFor"]) if "keepFor" in config else default.keep_for,
        _bytes(config["maxBytes"]) if "maxBytes" in config else default.max_bytes,
        tuple(_rule(rule, f"rules[{at}]") for at, rule in enumerate(_list(config["rules"], "rules")))
        if "rules" in config
        else default.rules,
    )


def _rule(rule: Any, path: str) -> HistoryRule:
    members = configfile.refuse_unknown(rule, ("resources", "namespaces", "keep"), f"{path}.")
    resources = _texts(members.get("resources"), f"{path}.resources")
    if not resources:
        raise ConfigurationError(f"{path}.resources: Required value")
    kept = [one.value for one in Keep]
    if members.get("keep") not in kept:
        raise ConfigurationError(
            f'{path}.keep: Unsupported value: "{members.get("keep", "")}": supported values: '
            + ", ".join(f'"{one}"' for one in kept)
        )
    return HistoryRule(
        resources, _texts(members.get("namespaces"), f"{path}.namespaces"), Keep(members["keep"])
    )


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigurationError(f"{path}: it must be a list")
    return value


def _texts(value: Any, path: str) -> tuple[str, ...]:
    found = _list([] if value is None else value, path)
    for at, one in enumerate(found):
        if not isinstance(one, str) or not one:
            raise ConfigurationError(f"{path}[{at}]: it must be a text")
    return tuple(found)


def _duration(value: Any) -> float:
    try:
        seconds = duration.go_duration(value) / 1e9 if isinstance(value, str) else -1.0
    except ValueError:
        seconds = -1.0
    if seconds <= 0:
        raise ConfigurationError(
            f'keepFor: Invalid value: "{value}": must be a duration above zero, such as 720h'
        )
    return seconds


def _bytes(value: Any) -> int:
    try:
        number = quantity.parse(str(value)).value() if isinstance(value, (str, int)) else 0
    except (ValueError, ArithmeticError):
        number = 0
    if number < 1 << 20:
        raise ConfigurationError(f'maxBytes: Invalid value: "{value}": must be a quantity of at least 1Mi')
    return number
