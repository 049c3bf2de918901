"""Storage errors as clients see them."""

from harness import Rig

from pilothouse.registry.storage_errors import storage_error
from pilothouse.storage import interface
from pilothouse.storage.claims import Lost


async def test_errors_of_the_store(rig: Rig) -> None:
    resource = rig.catalog.get("", "v1", "configmaps")
    kv = interface.KeyValue("/k", b"", 1)
    for err, code in (
        (interface.KeyExists(kv), 409),
        (interface.RevisionConflict("/k", None), 409),
        (interface.Compacted(5), 410),
        (interface.FutureRevision(5), 504),
        (interface.Unavailable("disk full"), 500),
        (interface.LimitReached("1000 objects"), 507),
    ):
        assert storage_error(resource, "a", err).code == code


async def test_clients_try_again_where_another_server_has_the_store(rig: Rig) -> None:
    error = storage_error(rig.catalog.get("", "v1", "configmaps"), "a", Lost("claimed"))
    assert (error.code, error.headers) == (503, [("Retry-After", "1")])
    assert error.status()["details"]["retryAfterSeconds"] == 1


async def test_a_store_without_space_says_so_without_a_reason(rig: Rig) -> None:
    resource = rig.catalog.get("", "v1", "configmaps")
    status = storage_error(resource, "a", interface.Full("mvcc: database space exceeded")).status()
    assert (status["code"], status["message"]) == (500, "mvcc: database space exceeded")
    assert "reason" not in status and "details" not in status
