"""Encodes watch events in protobuf: a length of four bytes, then a meta.v1 WatchEvent with the object."""

import orjson

from pilothouse.api.protobuf.writer import dump, write
from pilothouse.api.types import depth
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.answers.left_out import LeftOut
from pilothouse.endpoints.answers.response import needed, partial
from pilothouse.endpoints.request.negotiation import Media
from pilothouse.registry.resource import Resource
from pilothouse.storage._entry import Entry
from pilothouse.wire import field


class ProtobufEncoder:
    """Frames of one kind, whole or its metadata alone; encoders of the same answers share them."""

    def __init__(self, resource: Resource, media: Media, left_out: LeftOut) -> None:
        self._left_out = left_out
        self.resource = resource
        self.partial = f"{media.group}/{media.version}" if media.transform else ""
        self.conversion = needed(resource, media)
        self.key: object = ("protobuf", resource.api_version, resource.kind, self.partial)

    def encode(self, type: str, value: bytes, entry: Entry | None) -> bytes:
        if type == "ERROR":
            return _frame(type, dump(orjson.loads(value)))
        try:
            obj = depth.outlined(value)
            return self.event(type, obj if self.conversion is None else self.conversion.present(obj))
        except Exception as error:
            self._left_out.record(self.resource, value, error)
            return b""

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        return self.event("BOOKMARK", {"metadata": metadata})

    def event(self, type: str, obj: Object) -> bytes:
        """The event of an object in the version that is shown."""
        if self.partial:
            return _frame(type, dump(partial(obj, self.partial)))
        return _frame(type, write(obj, self.resource.api_version, self.resource.kind))


def _frame(type: str, body: bytes) -> bytes:
    event = field(1, type.encode()) + field(2, field(1, body))
    return len(event).to_bytes(4, "big") + event
