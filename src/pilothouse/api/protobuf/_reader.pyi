from typing import Any

from pilothouse.api.types.schema import Type

MAGIC: bytes

class ProtobufError(ValueError): ...

def read(data: bytes) -> tuple[str, str, bytes]: ...
def decode(data: bytes, type: Type) -> dict[str, Any]: ...
