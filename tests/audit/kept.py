"""A back end that keeps the events in memory, and auditors over it."""

import json
from collections.abc import Sequence
from typing import Any

from pilothouse.audit._audit import Event, Lines
from pilothouse.audit.auditor import Auditor
from pilothouse.audit.policy import parse

Object = dict[str, Any]


class Kept:
    """Keeps the events; while `broken`, it takes none."""

    def __init__(self, *, strict: bool = False, legacy: bool = False) -> None:
        self.name = "kept"
        self.strict = strict
        self.waits = False
        self.legacy = legacy
        self.lines: Lines | None = None
        self.buffered = 0
        self.broken = False
        self.made: list[Event] = []

    def store(self, event: Event) -> bool:
        return self.offer((event,)) or not self.strict

    def offer(self, events: Sequence[Event]) -> bool:
        if not self.broken:
            self.made += events
        return not self.broken

    def flush(self) -> None:
        pass

    def written(self) -> list[bytes]:
        """The lines that have come since the last look."""
        made, self.made = self.made, []
        return [event.line for event in made]

    def events(self) -> list[Object]:
        """The events that have come since the last look."""
        return [json.loads(line) for line in self.written()]


def policy(*rules: Object, **more: Any) -> bytes:
    """The text of a policy."""
    return json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, **more}).encode()


def auditor(*rules: Object, strict: bool = False, legacy: bool = False, **more: Any) -> tuple[Auditor, Kept]:
    """An auditor with these rules, and what keeps its events."""
    kept = Kept(strict=strict, legacy=legacy)
    return Auditor(parse(policy(*rules, **more)), [kept]), kept
