"""A stream and pods for tests of the watch cache."""

import json
from collections.abc import Callable
from typing import Any

from pilothouse.api._json import JsonEncoder

P = "/registry/pods/"
JSON = JsonEncoder("Pod", "v1")


class Sink:
    """A stream that takes everything until `room` is used up."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.frames: list[bytes] = []
        self.room = room
        self.waiting = 0
        self.closed = False
        self.drain: list[Callable[[], None]] = []
        self.gone: list[Callable[[], None]] = []

    def write(self, data: bytes) -> None:
        self.frames.append(data)
        self.waiting += max(0, len(data) - self.room)
        self.room = max(0, self.room - len(data))

    def buffered(self) -> int:
        return self.waiting

    def close(self) -> None:
        self.closed = True

    def abort(self, error: BaseException | None = None) -> None:
        self.closed = True

    def on_close(self, callback: Callable[[], None]) -> None:
        self.gone.append(callback)

    def on_drain(self, callback: Callable[[], None]) -> None:
        self.drain.append(callback)

    def take(self) -> None:
        self.waiting = 0
        for callback in self.drain:
            callback()

    @property
    def events(self) -> list[tuple[str, str, int]]:
        out = []
        for frame in self.frames:
            event = json.loads(frame)
            metadata = event["object"]["metadata"]
            out.append((event["type"], metadata.get("name", ""), int(metadata["resourceVersion"])))
        return out


def pod(name: str, node: str = "", labels: dict[str, str] | None = None, pad: int = 0) -> bytes:
    metadata: dict[str, Any] = {"name": name}
    if labels:
        metadata["labels"] = labels
    obj = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"nodeName": node, "pad": "x" * pad},
    }
    return json.dumps(obj, separators=(",", ":")).encode()


def fields(obj: dict[str, Any]) -> dict[str, str]:
    return {"metadata.name": obj["metadata"]["name"], "spec.nodeName": obj["spec"].get("nodeName", "")}
