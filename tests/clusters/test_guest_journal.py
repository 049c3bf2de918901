"""`pilothouse why` in a logical cluster: its requests, and nobody else's."""

import pytest
from clusters.rig import MAPS, ClusterRig

PATH = "/debug/requests"


async def ids(rig: ClusterRig, cluster: str, query: str = "limit=1000") -> set[str]:
    found = await rig.ok("GET", f"{PATH}?{query}", cluster=cluster)
    return {one["auditID"] for one in found["requests"]}


async def test_each_cluster_has_its_own_requests(rig: ClusterRig) -> None:
    """Of requests by their plans as well, and of those that were refused."""
    told: dict[str, set[str]] = {}
    for cluster in ("one", "two", ""):
        if cluster:
            await rig.make(cluster)
        await rig.keep(cluster, "a")
        for number in range(3):
            await rig.call("GET", f"{MAPS}/a", cluster=cluster, audit_id=f"read-{cluster}-{number}")
        answer = await rig.call("GET", MAPS, cluster=cluster, anonymous=True, audit_id=f"nobody-{cluster}")
        assert answer.status == 403
        told[cluster] = {f"read-{cluster}-{number}" for number in range(3)} | {f"nobody-{cluster}"}
    everybody = set().union(*told.values())
    for cluster, own in told.items():
        assert await ids(rig, cluster) & everybody == own
        assert await ids(rig, cluster, "user=admin&verb=get&resource=configmaps") & everybody == {
            one for one in own if one.startswith("read")
        }
    assert (await rig.call("GET", f"{PATH}/read-one-0", cluster="two")).status == 404
    found = await rig.ok("GET", f"{PATH}/read-one-2", cluster="one")
    (request,) = found["requests"]
    assert request["auditID"] == "read-one-2"
    kept = (await rig.ok("GET", PATH, cluster="one"))["kept"]
    assert 4 <= kept < len(rig.directory.guests.journal or ())


async def test_a_refused_write_is_explained(rig: ClusterRig) -> None:
    await rig.make("writes")
    bad = {"metadata": {"name": "Bad Name"}}
    assert (await rig.call("POST", MAPS, bad, cluster="writes", audit_id="bad")).status == 422
    (request,) = (await rig.ok("GET", f"{PATH}/bad", cluster="writes"))["requests"]
    assert "metadata.name" in str(request)


@pytest.mark.parametrize("cluster", ["", "asks"])
async def test_who_may_not_ask(rig: ClusterRig, cluster: str) -> None:
    if cluster:
        await rig.make(cluster)
    identity = rig.identity(cluster, "jane", ())
    assert (await rig.call("GET", PATH, cluster=cluster, identity=identity)).status == 403
