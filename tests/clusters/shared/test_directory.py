"""A server has those clusters in memory that it has claimed, and gives up what it is not sure of."""

import asyncio

import pytest
from clusters.rig import CLUSTERS, MAPS, cluster_of
from clusters.sharing import SharingRig
from eventually import aeventually

from pilothouse.clusters.records import BASES, RECORDS
from pilothouse.clusters.shared.directory import CONTROLLER
from pilothouse.storage.claims import Lost
from pilothouse.storage.keyspaces import rows


async def test_a_cluster_is_claimed_while_it_is_in_memory(rig: SharingRig) -> None:
    await rig.make("one")
    uid = rig.uid("one")
    assert await rig.others.claimant(uid) == ""
    assert (await rig.call("GET", MAPS, cluster="one")).status == 200
    assert await rig.others.claimant(uid) == rig.mine.address
    await rig.directory.suspend("one")
    assert await rig.others.claimant(uid) == ""
    assert (await rig.others.claim(uid)).before == ""


async def test_what_another_server_left_is_taken_over(rig: SharingRig) -> None:
    await rig.make("one")
    await rig.others.claim(rig.uid("one"))
    metrics = rig.clusters.metrics
    assert (await rig.call("GET", MAPS, cluster="one")).status == 503  # nobody listens there
    rig.pass_lease(renew=rig.mine)
    assert (await rig.call("GET", MAPS, cluster="one")).status == 200
    assert metrics.taken_over.values[()] == 1
    await rig.directory.suspend("one")
    assert (await rig.call("GET", MAPS, cluster="one")).status == 200
    assert metrics.taken_over.values[()] == 1


async def test_all_are_given_up_when_the_lease_has_ended(rig: SharingRig) -> None:
    """The next request finds it, before anything else does; watches end, and writes on their way do."""
    for name in ("one", "two"):
        await rig.make(name)
        await rig.keep(name, "a", n="1")
    watch = await rig.call("GET", f"{MAPS}?watch=1", cluster="one")
    assert watch.stream is not None and not watch.stream.closed
    rig.pass_lease(renew=rig.others)
    refused = await rig.call("GET", f"{MAPS}/a", cluster="two")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert not rig.directory.open and not rig.clusters.leads
    await aeventually(lambda: watch.stream is not None and watch.stream.closed, "the end of the watch")
    rig.mine.renew()
    assert (await rig.call("GET", f"{MAPS}/a", cluster="two")).body["data"] == {"n": "1"}
    assert rig.clusters.metrics.lost.values[()] == 2


async def test_a_write_without_an_answer_gives_the_cluster_up(rig: SharingRig) -> None:
    """It may happen later: then it does not fit the claim under which the cluster was opened again."""
    await rig.make("one")
    before = await rig.keep("one", "a", n="1")
    rig.mine.loses = "late"
    lost = await rig.call("PUT", f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"n": "2"}}, cluster="one")
    assert lost.status == 500 and "no answer" in lost.body["message"]
    assert "one" not in rig.directory.open
    assert (await rig.call("GET", f"{MAPS}/a", cluster="one")).body == before
    after = await rig.keep("one", "a", n="3")
    with pytest.raises(Lost):
        await rig.mine.arrive()
    await rig.directory.suspend("one")
    assert (await rig.call("GET", f"{MAPS}/a", cluster="one")).body == after


async def test_a_write_that_has_happened_without_an_answer_is_seen(rig: SharingRig) -> None:
    await rig.make("one")
    await rig.keep("one", "a", n="1")
    rig.mine.loses = "kept"
    body = {"metadata": {"name": "a"}, "data": {"n": "2"}}
    assert (await rig.call("PUT", f"{MAPS}/a", body, cluster="one")).status == 500
    assert (await rig.call("GET", f"{MAPS}/a", cluster="one")).body["data"] == {"n": "2"}


async def test_a_server_that_has_lost_its_claim_writes_nothing(rig: SharingRig) -> None:
    """The other one has claimed the cluster though this server has not noticed that its lease had ended."""
    await rig.make("one")
    before = await rig.keep("one", "a", n="1")
    uid = rig.uid("one")
    del rig.shared.holders[uid]
    claim = await rig.others.claim(uid)
    body = {"metadata": {"name": "a"}, "data": {"n": "2"}}
    refused = await rig.call("PUT", f"{MAPS}/a", body, cluster="one")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.body["details"]["retryAfterSeconds"] == 1
    assert "one" not in rig.directory.open
    await rig.others.release(claim)
    assert (await rig.call("GET", f"{MAPS}/a", cluster="one")).body == before


async def test_a_claim_that_is_lost_while_a_cluster_is_opened(rig: SharingRig) -> None:
    await rig.make("one")
    rig.mine.gate.clear()
    answer = rig.call("GET", MAPS, cluster="one")
    uid = rig.uid("one")

    async def steal() -> None:
        await aeventually(lambda: uid in rig.shared.holders, "the claim")
        del rig.shared.holders[uid]
        await rig.others.claim(uid)
        rig.mine.gate.set()

    found, _ = await asyncio.gather(answer, steal())
    assert found.status == 503 and "one" not in rig.directory.open


# The server that makes and removes clusters


async def other_leads(rig: SharingRig) -> None:
    """Have the other server make and remove clusters."""
    await aeventually(lambda: rig.clusters.leads, "the first lead")
    rig.clusters.resign()
    del rig.shared.holders[CONTROLLER]
    await rig.others.claim(CONTROLLER)


async def test_only_the_leader_makes_clusters(rig: SharingRig) -> None:
    await other_leads(rig)
    await rig.ok("POST", CLUSTERS, cluster_of("one"))
    await aeventually(lambda: "one" in rig.directory.places, "the name")
    refused = await rig.call("GET", MAPS, cluster="one")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (await rig.shared.range(RECORDS)).items == []
    assert await rig.others.claimant(rig.uid("one")) == ""  # it has not kept the claim
    rig.pass_lease(renew=rig.mine)
    await rig.ready("one")
    assert (await rig.call("GET", MAPS, cluster="one")).status == 200


async def test_who_leads_from_now_on_removes_what_was_left(rig: SharingRig) -> None:
    """The object went while nobody led, and the other server has the cluster still."""
    await rig.make("gone")
    await rig.keep("gone", "a")
    uid = rig.uid("gone")
    await other_leads(rig)
    await rig.directory.suspend("gone")
    claim = await rig.others.claim(uid)
    obj = await rig.ok("GET", f"{CLUSTERS}/gone")
    obj["metadata"]["finalizers"] = []
    await rig.ok("PUT", f"{CLUSTERS}/gone", obj)
    await rig.ok("DELETE", f"{CLUSTERS}/gone")
    await rig.gone("gone")
    assert (await rig.shared.range(rows.prefix_of(uid))).items
    await rig.others.release(await rig.others.claim(CONTROLLER))

    async def is_removed() -> bool:
        return not (await rig.shared.range(rows.prefix_of(uid))).items

    await aeventually(lambda: rig.clusters.leads, "the lead")
    assert not await is_removed()
    await rig.others.release(claim)
    await aeventually(is_removed, "the removal", 30)

    async def is_forgotten() -> bool:  # the record goes after the rows, and its base at last
        bases = (await rig.shared.range(BASES)).items
        return not (await rig.shared.range(RECORDS)).items and len(bases) == 1  # that of fresh clusters

    await aeventually(is_forgotten, "the record's end")


async def test_issuers_change_where_another_server_leads(rig: SharingRig) -> None:
    await rig.make("one")
    await rig.call("GET", MAPS, cluster="one")
    await other_leads(rig)
    issuer = {"url": "https://login.example.com", "audiences": ["one"]}
    jwt = [{"issuer": issuer, "claimMappings": {"username": {"claim": "sub", "prefix": ""}}}]
    obj = await rig.ok("GET", f"{CLUSTERS}/one")
    obj["spec"]["authentication"] = {"jwt": jwt}
    await rig.ok("PUT", f"{CLUSTERS}/one", obj)
    await aeventually(lambda: len(rig.open("one").host.issuers.jwt) == 1, "the issuer")


async def test_what_a_former_leader_writes_late_does_not_happen(rig: SharingRig) -> None:
    await rig.make("one")
    await aeventually(lambda: rig.clusters.leads, "the lead")
    record = await rig.directory.records.read(rig.uid("one"))
    assert record is not None
    del rig.shared.holders[CONTROLLER]
    await rig.others.claim(CONTROLLER)
    with pytest.raises(Lost):
        await rig.directory.records.write("another", record)
    assert not rig.clusters.leads
    assert await rig.directory.records.read("another") is None


async def test_a_copy_of_a_cluster_that_the_other_server_has(rig: SharingRig) -> None:
    await rig.make("source")
    await rig.keep("source", "a", n="1")
    await rig.directory.suspend("source")
    await rig.others.claim(rig.uid("source"))
    await rig.make("copy", copyOf="source")
    assert (await rig.call("GET", f"{MAPS}/a", cluster="copy")).body["data"] == {"n": "1"}
