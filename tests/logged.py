"""The key/value pairs of log records."""

import logging
from typing import Any


def pairs(record: logging.LogRecord) -> dict[str, Any]:
    """The pairs that a line was logged with; KeyError if pilothouse.logs did not write it."""
    found: dict[str, Any] = vars(record)["kv"]
    return found
