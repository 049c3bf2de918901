"""Steps of a write that do not wait: the version that an update names,
the bytes to store, the error of a name that is taken."""

from pilothouse import errors
from pilothouse.api import codec
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.resource import Resource
from pilothouse.registry.rest import version_error
from pilothouse.registry.storage_errors import MODIFIED
from pilothouse.registry.store import Store, decode
from pilothouse.registry.strategy import Strategy

TOO_LARGE = "etcdserver: request is too large"
"""The message of an object that is larger than the store takes; upstream's, whatever the store is."""


def check_version(
    resource: Resource, name: str, strategy: Strategy, metadata: Object, live: Object, revision: int
) -> None:
    """Compare the resourceVersion of an object, which is the condition of its update, with the live one,
    and set it to that.

    Raises Conflict, Invalid where an update needs one, Unknown for one that is no number.
    """
    sent = metadata.get("resourceVersion")
    why = "" if not sent or sent == live["resourceVersion"] else version_error(sent)
    if why:
        raise errors.Unknown(why)
    if not sent or int(sent) == 0:
        if not strategy.unconditional_update:
            errs = Errors()
            errs.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            errs.raise_if_any(resource.group, resource.plural, name)
    elif int(sent) != revision:
        raise errors.conflict(resource.group, resource.plural, name, MODIFIED)
    metadata["resourceVersion"] = live["resourceVersion"]


def exists(store: Store, resource: Resource, namespace: str, metadata: Object) -> errors.AlreadyExists:
    """The error of a create whose name is taken."""
    name = metadata["name"]
    err = errors.already_exists(resource.group, resource.plural, name)
    if metadata.get("generateName"):
        err.message += ", the server was not able to generate a unique name for the object"
        err.details = {**(err.details or {}), "retryAfterSeconds": 1}
        err.headers = [("Retry-After", "1")]
    entry = store.cache(resource).get(resource.key(namespace, name))
    if entry is not None and entry.deleting and decode(entry)["metadata"].get("deletionTimestamp"):
        err.message = f"object is being deleted: {err.message}"
    return err


def encoded(obj: Object, stored: Resource, limit: int, *, large: bool) -> bytes:
    """The bytes of an object as the store keeps it; Unknown with TOO_LARGE when they are more than `limit`.

    large: whether to encode it in parts.
    """
    obj["metadata"].pop("resourceVersion", None)
    if large:
        value = codec.encode_large(obj, stored.kind, stored.api_version, limit)
    else:
        value = codec.encode(obj, stored.kind, stored.api_version)
    if value is None or len(value) > limit:
        raise errors.Unknown(TOO_LARGE)
    return value
