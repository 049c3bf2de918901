"""Faults of a test's server: requests that fail, wait or are cut, as a rule says."""

import itertools
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from pilothouse.api.values.fields import Object
from pilothouse.testing.client import KubeClient, RefusedError

PATH = "/faults"

_numbers = itertools.count(1)


class AddedFault:
    """A fault that is there, or that is added by a `with` statement, at whose end it is removed."""

    def __init__(self, client: Callable[[], KubeClient], name: str, rule: Object) -> None:
        self.name = name
        self.rule = rule
        self._client = client
        self._last: Object = {"matched": 0, "hits": 0, "requests": []}
        self._there = False

    def add(self) -> Self:
        """Have the server answer by it from now on; RefusedError for a rule that is none."""
        self._last = self._call("PUT", self.rule)
        self._there = True
        return self

    def remove(self) -> None:
        """End it; `hits` stay as they are."""
        if self._there:
            self._there = False
            try:
                self._last = self._call("DELETE")
            except RefusedError as error:  # a reset of the server has removed it
                if error.code != 404:
                    raise

    @property
    def hits(self) -> list[Object]:
        """The requests that it has struck, at most the last 100: `time`, `auditID`, `verb`, `path`, `user`
        and `userAgent` of each."""
        return list(self._now()["requests"])

    @property
    def count(self) -> int:
        """How many requests it has struck."""
        return int(self._now()["hits"])

    def __enter__(self) -> Self:
        return self.add()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _now(self) -> Object:
        if self._there:
            self._last = self._call("GET")
        return self._last

    def _call(self, method: str, body: Object | None = None) -> Object:
        with self._client() as client:
            return _asked(client, method, f"{PATH}/{self.name}", body)


class FaultSet:
    """All faults of a server."""

    def __init__(self, client: Callable[[], KubeClient]) -> None:
        self._client = client

    def add(self, name: str = "", **rule: Any) -> AddedFault:
        """Add a fault, which stays until it is removed, or the server is reset."""
        return self.made(rule, name).add()

    def made(self, rule: Object, name: str = "") -> AddedFault:
        """A fault that is not there yet."""
        members = {_camel(member): value for member, value in rule.items()}
        return AddedFault(self._client, name or f"fault-{next(_numbers)}", members)

    def clear(self) -> None:
        """Remove all faults."""
        with self._client() as client:
            _asked(client, "DELETE", PATH)

    def __iter__(self) -> Iterator[Object]:
        """Each fault as the server shows it."""
        with self._client() as client:
            yield from _asked(client, "GET", PATH)["faults"]


def _asked(client: KubeClient, method: str, path: str, body: Object | None = None) -> Object:
    try:
        return client.call(method, path, body)
    except RefusedError as error:
        if error.code == 404 and not error.status.get("details"):
            raise RuntimeError("the server has no faults: start it with --faults") from None
        raise


def _camel(member: str) -> str:
    first, *rest = member.split("_")
    return first + "".join(word.title() for word in rest)
