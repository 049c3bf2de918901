"""Writes that are refused: which exceptions say so, and which refusal needs no attention."""

from pilothouse import errors
from pilothouse.storage.interface import StorageError

FAILED = (errors.StatusError, StorageError)
"""The exceptions by which a write is refused."""


def namespace_ends(error: BaseException) -> bool:
    """Whether a write is refused because its namespace is being deleted, with all that is in it."""
    causes = ((error.details or {}).get("causes") if isinstance(error, errors.StatusError) else None) or ()
    return any(one.get("reason") == "NamespaceTerminating" for one in causes)
