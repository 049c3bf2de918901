"""Errors of values that are encrypted at rest."""

from pilothouse.storage.interface import StorageError


class EncryptionError(StorageError):
    """A value cannot be written because no key to encrypt it is available."""


class DecryptionError(StorageError):
    """A stored value cannot be read: no key fits, the value was changed, or its key is not available."""
