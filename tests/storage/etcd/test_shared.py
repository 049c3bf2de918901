"""Servers that share an etcd: claims end with their leases, and writes with their claims."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from eventually import aeventually
from storage.contract import StoreContract

from pilothouse.storage.claims import Claim, Lost, Rejected, Taken
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.shared import SharedEtcdStorage
from pilothouse.storage.etcd.wire import TxnAnswer
from pilothouse.storage.interface import Op, Unavailable
from pilothouse.testing.etcd import BINARY, EtcdCluster

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.mark.slow
class TestSharedEtcd(StoreContract):
    """It is a store like others."""

    cluster: EtcdCluster

    @pytest.fixture(autouse=True)
    def _etcd(self, etcd: EtcdCluster) -> None:
        type(self).cluster = etcd

    def make(self, directory: Path) -> SharedEtcdStorage:
        return SharedEtcdStorage(self.cluster.urls, prefix=f"/{uuid.uuid4()}/clusters")


class Pair:
    """Two servers over one store."""

    def __init__(self, etcd: EtcdCluster) -> None:
        prefix = f"/{uuid.uuid4()}"
        self.one, self.other = (SharedEtcdStorage(etcd.urls, prefix=prefix) for _ in range(2))
        self.one.address, self.other.address = "one:1", "other:1"

    async def __aenter__(self) -> Self:
        await self.one.start()
        await self.other.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.one.close()
        await self.other.close()

    async def end_lease(self) -> None:
        """Have etcd end the lease of the first server, which does not hear of it."""
        revoked = etcd_wire.lease_revocation(self.one.session.lease)
        await self.other.rpc.write(etcd_rpc.LEASE_REVOKE, revoked)


async def test_one_server_has_a_claim(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    async with Pair(etcd) as pair:
        claim = await pair.one.claim("a")
        assert claim.before == ""
        with pytest.raises(Taken) as taken:
            await pair.other.claim("a")
        assert taken.value.address == "one:1"
        assert (await pair.one.claimant("a"), await pair.other.claimant("a")) == ("", "one:1")
        await pair.one.release(claim)
        assert await pair.other.claimant("a") == ""
        assert (await pair.other.claim("a")).before == ""


async def test_the_first_of_two_gets_it(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    async with Pair(etcd) as pair:
        for number in range(20):
            name = f"n{number}"
            both = await asyncio.gather(pair.one.claim(name), pair.other.claim(name), return_exceptions=True)
            assert sorted(type(one).__name__ for one in both) == ["Claim", "Taken"]


async def test_writes_end_with_the_claim(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    async with Pair(etcd) as pair:
        claim = await pair.one.claim("a")
        assert await pair.one.txn([Op("/rows/1", b"1"), Op("/rows/2", b"2")], claim) > claim.revision
        await pair.end_lease()
        for held in (False, True):
            if held:
                assert (await pair.other.claim("a")).before == "one:1"
            with pytest.raises(Lost):
                await pair.one.txn([Op("/rows/1", b"late"), Op("/rows/3", b"late")], claim)
        await pair.one.release(claim)
        assert await pair.one.claimant("a") == "other:1"
        page = await pair.other.range("/rows/")
        assert [(kv.key, kv.value) for kv in page.items] == [("/rows/1", b"1"), ("/rows/2", b"2")]


async def test_a_new_claim_of_the_same_server_ends_the_old_one(
    runner: asyncio.Runner, etcd: EtcdCluster
) -> None:
    async with Pair(etcd) as pair:
        old = await pair.one.claim("a")
        new = await pair.one.claim("a")
        with pytest.raises(Lost):
            await pair.one.txn([Op("/rows/1", b"1")], old)
        await pair.one.txn([Op("/rows/1", b"1")], new)
        await pair.one.release(old)
        assert await pair.other.claimant("a") == "one:1"


async def test_a_server_that_closes_leaves_nothing(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    async with Pair(etcd) as pair:
        await pair.one.claim("a")
        await pair.one.close()
        assert await pair.other.claimant("a") == ""


class Lapsing(SharedEtcdStorage):
    """Its lease ends while a claim is on its way."""

    async def _txn(self, *arguments: Any) -> TxnAnswer:
        answer = await super()._txn(*arguments)
        self.session.lease = 0
        await self.session.begin()
        return answer


async def test_a_claim_by_a_lease_that_has_ended_is_none(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    """Another server gets it, once etcd has ended that lease as well."""
    store = Lapsing(etcd.urls, prefix=f"/{uuid.uuid4()}")
    await store.start()
    with pytest.raises(Unavailable, match="has ended meanwhile"):
        await store.claim("a")
    assert store.holds_lease()
    await store.close()


@pytest.mark.slow
async def test_a_lease_that_is_not_renewed_ends(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    """The task that renews it is stopped, as that of a dead server is."""
    async with Pair(etcd) as pair:
        await pair.one.claim("a")
        await pair.one.session.close()

        async def claimed() -> Claim | None:
            try:
                return await pair.other.claim("a")
            except Taken:
                return None

        claim = await aeventually(claimed, "the end of the lease", 60)
        assert claim is not None and claim.before == "one:1"
        assert not pair.one.holds_lease()
        with pytest.raises(Unavailable):
            await pair.one.claim("b")


async def test_what_etcd_does_not_take_is_rejected(runner: asyncio.Runner, etcd: EtcdCluster) -> None:
    """So it is known that nothing was written."""
    async with Pair(etcd) as pair:
        claim = await pair.one.claim("a")
        for ops in ([Op("/rows/1", b"x" * (3 << 20))], [Op(f"/rows/{n}", b"1") for n in range(129)]):
            with pytest.raises(Rejected):
                await pair.one.txn(ops, claim)
        with pytest.raises(Rejected):
            await pair.one.txn([Op("/rows/1", b"x" * ((3 << 19) + 1))], claim)
        assert (await pair.one.range("/rows/")).items == []
