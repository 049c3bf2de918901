"""The kinds of stores that --storage-backend names, and what sets each apart; storage/ has their code."""

from typing import NamedTuple


class StorageBackend(NamedTuple):
    """One kind of store.

    module: below storage/, with the functions that storage/backends.py calls. others_write: other processes
    write to it, so several servers can share it, and what its watches have delivered may be stale. addresses:
    --etcd-servers says where it is. missing:
    the extra of this package without which it cannot be used, "" for none.
    """

    module: str
    others_write: bool = False
    addresses: bool = False
    missing: str = ""


BACKENDS = {
    "etcd3": StorageBackend("etcd.opened", others_write=True, addresses=True, missing="etcd"),
    "sqlite": StorageBackend("sqlite.opened"),
    "memory": StorageBackend("memory"),
}
"""Name -> kind, in the order in which messages list them."""
ADDRESSED = "etcd3"
"""The kind that is used where there are addresses and no name."""
