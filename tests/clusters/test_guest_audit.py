"""Requests to logical clusters are in the server's audit log, with annotations that tell the cluster."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from clusters.rig import MAPS, ClusterRig
from eventually import aeventually

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  resources: [{group: "", resources: [secrets]}]
- level: Request
  verbs: [create]
- level: Metadata
"""
NAME, UID = "clusters.pilothouse.dev/name", "clusters.pilothouse.dev/uid"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def rig(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRig]:
    folder = tmp_path_factory.mktemp("audited")
    (folder / "policy.yaml").write_text(POLICY)
    flags = f"--audit-policy-file={folder / 'policy.yaml'}", f"--audit-log-path={folder / 'audit.log'}"
    rig = ClusterRig(folder / "data", *flags)
    runner.run(rig.start())
    for name in ("one", "two"):
        runner.run(rig.make(name))
    yield rig
    runner.run(rig.stop())


async def events(rig: ClusterRig, path: str, count: int) -> list[Object]:
    """The last events of requests to a path below the URL of a cluster, at least so many."""
    file = rig.data.parent / "audit.log"

    async def found() -> list[Object]:
        every = [json.loads(line) for line in file.read_text().splitlines()]
        wanted = [one for one in every if one["requestURI"] == path and one["stage"] != "RequestReceived"]
        return wanted if len(wanted) >= count else []

    out = await aeventually(found, f"an event of {path}")
    assert out is not None
    return out


async def test_events_tell_the_cluster(rig: ClusterRig) -> None:
    for cluster in ("one", "two", ""):
        await rig.call("GET", f"{MAPS}/read", cluster=cluster)
    told = [
        {name: value for name, value in one["annotations"].items() if name in (NAME, UID)}
        for one in await events(rig, f"{MAPS}/read", 3)
    ]
    uids = {name: rig.directory.places[name].uid for name in ("one", "two")}
    assert told == [{NAME: "one", UID: uids["one"]}, {NAME: "two", UID: uids["two"]}, {}]


async def test_the_policy_of_the_server_counts(rig: ClusterRig) -> None:
    await rig.ok("POST", MAPS, {"metadata": {"name": "made"}, "data": {"a": "b"}}, cluster="one")
    await rig.call("GET", "/api/v1/namespaces/default/secrets/x", cluster="one")
    (made,) = [one for one in await events(rig, MAPS, 1) if one["verb"] == "create"]
    assert made["level"] == "Request" and made["requestObject"]["data"] == {"a": "b"}
    assert made["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert "secrets" not in (rig.data.parent / "audit.log").read_text()


async def test_who_is_not_known_is_told_with_the_cluster(rig: ClusterRig) -> None:
    answer = await rig.call("GET", f"{MAPS}/strange", cluster="two", authorization="Bearer wrong")
    assert answer.status == 401
    assert [one["annotations"][NAME] for one in await events(rig, f"{MAPS}/strange", 1)] == ["two"]


async def test_another_policy_counts_in_clusters_as_well(rig: ClusterRig) -> None:
    audit = rig.server.host.audit
    assert audit is not None
    before = audit.policy

    async def changed() -> bool:
        return audit.policy is not before

    (rig.data.parent / "policy.yaml").write_text(POLICY.replace("Metadata", "None"))
    rig.server.host.reloads.look()
    await aeventually(changed, "the new policy is in force")
    await rig.call("GET", f"{MAPS}/after", cluster="one")
    await rig.ok("POST", MAPS, {"metadata": {"name": "last"}}, cluster="one")
    assert [one["objectRef"].get("name") for one in await events(rig, MAPS, 2)][-1] == "last"
    assert "after" not in (rig.data.parent / "audit.log").read_text()
