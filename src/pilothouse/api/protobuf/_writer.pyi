from typing import Any

from pilothouse.api.types.schema import Type

class Output: ...

def encode(obj: dict[str, Any], type: Type) -> bytes: ...
