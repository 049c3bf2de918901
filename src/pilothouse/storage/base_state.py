"""The state with which keyspaces begin. Those that begin with the same one share it until they change it."""

from collections.abc import Hashable, Iterable
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyValue


class BaseState:
    """Pairs that never change, at one revision, with what caches have made of them.

    `entries` are the entries of watch caches, `ordered` all of them by key, `decoded` their objects,
    `indexes` those of objects by the names of the indexes, each with the keys of its objects and their
    resources, and `judged` what was found out about objects of some resources, by who asked. All are filled
    on first use. `size` is the bytes of the values.
    """

    def __init__(self, pairs: Iterable[KeyValue] = (), revision: int = 1) -> None:
        self.current = {kv.key: kv for kv in pairs}
        self.keys = sorted(self.current)
        self.revision = revision
        self.size = sum(len(kv.value) for kv in self.current.values())
        self.entries: dict[str, Entry] = {}
        self.ordered: list[Entry] = []
        self.decoded: dict[str, Object] = {}
        self.indexes: dict[str, tuple[Any, dict[str, str]]] = {}
        self.judged: dict[Hashable, Any] = {}


EMPTY = BaseState()
