"""The server tells how many clusters there are and what they hold; a cluster tells of itself alone."""

from clusters.rig import ClusterRig


async def samples(rig: ClusterRig, name: str, cluster: str = "") -> dict[str, float]:
    """The values of a metric by their labels."""
    answer = await rig.call("GET", "/metrics", cluster=cluster)
    lines = [line for line in answer.body.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return {line.rpartition(" ")[0].removeprefix(name): float(line.rpartition(" ")[2]) for line in lines}


async def test_clusters_by_state(rig: ClusterRig) -> None:
    before = await samples(rig, "pilothouse_clusters")
    await rig.make("counted")
    await rig.call("GET", "/version", cluster="counted")
    awake = await samples(rig, "pilothouse_clusters")
    await rig.directory.suspend("counted")
    suspended = await samples(rig, "pilothouse_clusters")
    one, two = '{state="awake"}', '{state="suspended"}'
    assert (awake[one], awake[two]) == (before.get(one, 0) + 1, before.get(two, 0))
    assert (suspended[one], suspended[two]) == (before.get(one, 0), before.get(two, 0) + 1)


async def test_what_a_cluster_holds_and_does(rig: ClusterRig) -> None:
    await rig.make("held")
    await rig.call("GET", "/version", cluster="held")
    label = '{cluster="held"}'

    async def found() -> tuple[float, ...]:
        names = ("objects", "bytes", "requests")
        return tuple([(await samples(rig, f"pilothouse_cluster_{name}"))[label] for name in names])

    objects, size, requests = await found()
    await rig.keep("held", "more", x="x" * 1000)  # a PUT that finds nothing, and a POST
    after = await found()
    assert (after[0], after[2]) == (objects + 1, requests + 2)
    assert size + 1000 < after[1] < size + 2000
    storage = rig.open("held").storage
    assert after[1] == sum(len(kv.value) for kv in storage.snapshot()[0])


async def test_a_cluster_has_none_of_these(rig: ClusterRig) -> None:
    await rig.make("alone")
    for name in ("pilothouse_clusters", "pilothouse_cluster_objects", "pilothouse_cluster_requests"):
        assert await samples(rig, name, cluster="alone") == {}
    await rig.keep("alone", "written", n="1")
    assert await samples(rig, "apiserver_request_total", cluster="alone")
