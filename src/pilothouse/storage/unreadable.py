"""The error of a stored value that cannot be read."""

from pilothouse.gotext import quote
from pilothouse.storage.interface import KeyValue, StorageError


class UnreadableError(StorageError):
    """A stored value cannot be read: its encryption key is not available, or it is damaged or no object."""

    def __init__(self, kv: KeyValue, why: str) -> None:
        super().__init__(why)
        self.kv = kv

    def in_list(self) -> "UnreadableError":
        """The error for a list or a watch, whose message names the key."""
        return UnreadableError(self.kv, f"unable to transform key {quote(self.kv.key)}: {self}")
