"""Renewals: the updates by which the holder of a lease says that it is still there.

They are most of the writes of a cluster, and change one time of an object and the time of one entry of its
managed fields. What they leave as it is was judged when it was written, so all that the rules of the kind
could still say is whether the new time is one. Every other update goes the whole way (write.py).
"""

from time import perf_counter
from typing import NamedTuple

from pilothouse.api.values.identity import User
from pilothouse.offload import INLINE
from pilothouse.registry._renewal import RenewedTime
from pilothouse.registry.admission import Admission
from pilothouse.registry.object_metrics import UNEQUAL_SLOW
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import storage_error
from pilothouse.registry.store import Store, key_of
from pilothouse.registry.timeline import Timeline
from pilothouse.storage import interface

LONGEST = 4096
"""Bytes of an update up to which it may be a renewal."""


class RenewalRequest(NamedTuple):
    """An update that may be a renewal: of which object, by whom, and when. body: the update, in JSON."""

    resource: Resource
    namespace: str
    name: str
    user: User
    manager: str
    now: str
    body: bytes
    timeline: Timeline | None


async def renew(
    store: Store, admission: Admission, renewal: RenewedTime, asked: RenewalRequest
) -> bytes | None:
    """Write an update if it is a renewal that all plugins let pass; the bytes to serve.

    None: it is another update, or the object has changed meanwhile, and nothing was written. StatusError.
    """
    resource, namespace, name, user, manager, now, body, timeline = asked
    entry = store.get(resource, key_of(resource, namespace, name))
    began = perf_counter()
    if entry is None or len(entry.value) > INLINE:  # a walk over a large object does not run on the loop
        return None
    value = renewal.of(body, entry.value, manager, now)
    if value is None or not admission.passes_renewal(resource, user, namespace, name):
        return None
    ready = perf_counter()
    store.metrics.compared[UNEQUAL_SLOW].observe(ready - began)
    try:
        written = await store.storage.update(entry.key, value, entry.rev)
    except interface.RevisionConflict:
        return None
    except interface.StorageError as err:
        raise storage_error(resource, name, err) from err
    if timeline is not None:
        timeline.committed(written.mod, perf_counter() - ready)
        timeline.mark("commit")
    return store.served(resource, written)
