"""YAML texts to values and back. PyYAML is imported with the first of them: most servers never see one."""

from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pilothouse.api.yaml.scalars import YAMLError

if TYPE_CHECKING:
    from pilothouse.api.yaml.reader import Document

__all__ = ["YAMLError", "dump", "parse"]


@cache
def _reader() -> ModuleType:
    from pilothouse.api.yaml import reader

    return reader


@cache
def _writer() -> ModuleType:
    from pilothouse.api.yaml import writer

    return writer


def parse(data: bytes) -> "Document":
    """Parse the first document of a YAML stream; raises YAMLError with upstream's message."""
    document: Document = _reader().parse(data)
    return document


def dump(value: Any) -> bytes:
    """Write JSON data as YAML with go-yaml's order of keys."""
    text: bytes = _writer().dump(value)
    return text
