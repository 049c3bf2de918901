"""Translates storage errors to Status errors; the only place that does so."""

from pilothouse import errors
from pilothouse.registry.strategy import HookResource
from pilothouse.storage import interface
from pilothouse.storage.claims import Lost

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def storage_error(resource: HookResource, name: str, err: interface.StorageError) -> errors.StatusError:
    """The Status of a storage error that a request for the object `name` met."""
    if isinstance(err, interface.KeyExists):
        return errors.already_exists(resource.group, resource.plural, name)
    if isinstance(err, interface.RevisionConflict):
        return errors.conflict(resource.group, resource.plural, name, MODIFIED)
    if isinstance(err, interface.Compacted):
        return errors.Expired("The resourceVersion for the provided list is too old.")
    if isinstance(err, interface.FutureRevision):
        return too_large(0, err.current)
    if isinstance(err, interface.LimitReached):
        return errors.InsufficientStorage(str(err))
    if isinstance(err, interface.Full):
        return errors.Unknown(str(err))
    return unavailable(err)


def unavailable(err: interface.StorageError) -> errors.StatusError:
    """The 500 of a store that cannot be used at the moment, the 503 of one that another server has now."""
    if isinstance(err, Lost):
        return errors.ServiceUnavailable(
            str(err), details={"retryAfterSeconds": 1}, headers=[("Retry-After", "1")]
        )
    return errors.internal(str(err))


def too_large(asked: int, current: int) -> errors.Timeout:
    """A resourceVersion that has not been reached (storage.NewTooLargeResourceVersionError)."""
    return errors.Timeout(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        headers=[("Retry-After", "1")],
    )
