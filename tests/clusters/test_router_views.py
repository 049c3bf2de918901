"""The answers of a cluster tell nothing of the others."""

import asyncio
import base64
import json
from typing import Any

import pytest
from clusters.rig import CLUSTERS, DOMAIN, MAPS, ClusterRig
from clusters.wire import Connection
from eventually import aeventually

MINE, OTHER = "view-mine", "viewother"
GROUP = "secretgroup.example"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DOCUMENTS = (
    "/",
    "/api",
    "/apis",
    "/version",
    "/metrics",
    "/metrics/slis",
    "/healthz?verbose",
    "/readyz?verbose",
    "/livez?verbose",
    "/statusz",
    "/flagz",
    "/openapi/v2",
    "/openapi/v3",
    "/.well-known/openid-configuration",
    "/openid/v1/jwks",
    "/debug/api_priority_and_fairness/dump_priority_levels",
    "/debug/api_priority_and_fairness/dump_queues",
    "/debug/api_priority_and_fairness/dump_requests",
    "/debug/pprof/",
    "/debug/pilothouse/why",
    "/console/",
    "/logs/",
    "/configz",
    "/apis/history.pilothouse.dev/v1",
)


def definition(group: str, plural: str = "things", kind: str = "Thing") -> Any:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
    }
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def two(runner: asyncio.Runner, rig: ClusterRig) -> ClusterRig:
    """Two clusters, one of which has a definition, objects and traffic."""

    async def fill() -> None:
        for name in (MINE, OTHER):
            await rig.make(name)
        await rig.ok("POST", DEFINITIONS, definition(GROUP), cluster=OTHER)

        async def served() -> bool:
            return (await rig.call("GET", f"/apis/{GROUP}/v1", cluster=OTHER)).status == 200

        await aeventually(served, "the definition")
        for number in range(5):
            await rig.keep(OTHER, f"secretmap-{number}", n=str(number))
        await rig.call("GET", "/api/v1/namespaces/secretspace/pods", cluster=OTHER)

    runner.run(fill())
    return rig


async def test_documents_name_nothing_of_others(two: ClusterRig) -> None:
    found = 0
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    paths = {
        *DOCUMENTS,
        *(await two.ok("GET", "/"))["paths"],
        *(await two.ok("GET", "/", cluster=MINE))["paths"],
    }
    paths |= {f"/openapi/v3/apis/{GROUP}/v1", f"/apis/{GROUP}", f"/apis/{GROUP}/v1"}
    for cluster in (MINE, ""):
        for path in sorted(paths):
            for accept in ("*/*", "application/json", "text/plain", aggregated):
                answer = await two.call("GET", path, cluster=cluster, accept=accept)
                found += answer.status == 200
                text = json.dumps(answer.body) + json.dumps(answer.headers)
                for word in (OTHER, GROUP, "secretmap", "secretspace"):
                    if cluster == "" and path == "/metrics" and word == OTHER:
                        continue  # the root has a label for each
                    if word in path:
                        continue  # what was asked for
                    assert word not in text, (cluster, path, word)
                if cluster:
                    assert str(two.data) not in text, path
    assert found > 40
    answer = await two.call("GET", "/metrics", cluster=OTHER)
    assert GROUP in answer.body  # such a text is there to be found


async def test_a_process_tells_tenants_nothing_of_its_flags(two: ClusterRig) -> None:
    root = await two.call("GET", "/flagz", cluster="")
    assert str(two.data) in str(root.body)
    mine = await two.call("GET", "/flagz", cluster=MINE)
    assert "authorization-mode=" in str(mine.body) and str(two.data) not in str(mine.body)


async def test_documents_lead_to_the_same_cluster(two: ClusterRig) -> None:
    configuration = await two.ok("GET", "/.well-known/openid-configuration", cluster=MINE)
    assert configuration["issuer"] == f"https://kubernetes.default.svc/clusters/{MINE}"
    assert configuration["jwks_uri"].startswith(f"https://127.0.0.1:{two.port}/")
    assert configuration["jwks_uri"].endswith(f"/clusters/{MINE}/openid/v1/jwks")
    keys = [await two.ok("GET", "/openid/v1/jwks", cluster=name) for name in (MINE, OTHER, "")]
    kids = {one["kid"] for document in keys for one in document["keys"]}
    assert len(kids) == 3
    index = await two.ok("GET", "/openapi/v3", cluster=MINE)
    place = index["paths"]["api/v1"]["serverRelativeURL"]
    assert place.startswith(f"/clusters/{MINE}/openapi/v3/api/v1?hash=")
    assert (await two.send("GET", place, identity=two.identity(MINE))).status == 200
    moved = await two.call("GET", "/openapi/v3/api/v1?hash=OLD", cluster=MINE)
    assert moved.status == 301
    assert moved.headers["location"].startswith(f"/clusters/{MINE}/")


async def test_issuers_are_told_apart_by_tokens(two: ClusterRig) -> None:
    token = await two.token(MINE)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["iss"].endswith(f"/clusters/{MINE}")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    for cluster, good in ((MINE, True), (OTHER, False), ("", False)):
        answer = await two.ok("POST", path, review, cluster=cluster)
        assert answer["status"].get("authenticated", False) is good


async def test_continue_tokens_show_only_the_own_objects(two: ClusterRig) -> None:
    page = await two.ok("GET", f"{MAPS}?limit=2", cluster=OTHER)
    token = page["metadata"]["continue"]
    for cluster in (MINE, ""):
        answer = await two.call("GET", f"{MAPS}?limit=2&continue={token}", cluster=cluster)
        assert answer.status in (200, 400, 410, 504), answer
        assert "secretmap" not in json.dumps(answer.body)
    following = await two.ok("GET", f"{MAPS}?limit=2&continue={token}", cluster=OTHER)
    assert "secretmap" in json.dumps(following)


async def test_revisions_are_each_clusters_own(two: ClusterRig) -> None:
    before = (await two.ok("GET", MAPS, cluster=MINE))["metadata"]["resourceVersion"]
    root = (await two.ok("GET", MAPS))["metadata"]["resourceVersion"]
    for number in range(50):
        made = await two.keep(OTHER, "busy", n=str(number))
    assert (await two.ok("GET", MAPS, cluster=MINE))["metadata"]["resourceVersion"] == before
    assert (await two.ok("GET", MAPS))["metadata"]["resourceVersion"] == root
    ahead = made["metadata"]["resourceVersion"]
    assert int(ahead) > int(before)
    answer = await two.call("GET", f"{MAPS}/kube-root-ca.crt?resourceVersion={ahead}", cluster=MINE)
    assert answer.status in (200, 504)
    assert "secretmap" not in json.dumps(answer.body)


async def test_an_object_of_another_cluster_is_none(two: ClusterRig) -> None:
    theirs = await two.ok("GET", f"{MAPS}/secretmap-1", cluster=OTHER)
    mine = await two.keep(MINE, "secretmap-1", n="mine")
    uid, revision = theirs["metadata"]["uid"], theirs["metadata"]["resourceVersion"]
    assert uid != mine["metadata"]["uid"]
    body = {"preconditions": {"uid": uid}}
    answer = await two.call("DELETE", f"{MAPS}/secretmap-1", body, cluster=MINE)
    assert answer.status == 409
    theirs["metadata"]["resourceVersion"] = str(int(revision) + 1_000_000)
    assert (await two.call("PUT", f"{MAPS}/secretmap-1", theirs, cluster=MINE)).status == 409
    assert (await two.ok("GET", f"{MAPS}/secretmap-1", cluster=MINE))["data"] == {"n": "mine"}
    await two.ok("DELETE", f"{MAPS}/secretmap-1", cluster=MINE)


async def test_watches_see_nothing_of_others(two: ClusterRig) -> None:
    streams = []
    for path in (f"{MAPS}?watch=1", "/api/v1/configmaps?watch=1", "/api/v1/namespaces?watch=1"):
        for cluster in (MINE, ""):
            answer = await two.call("GET", path, cluster=cluster)
            assert answer.stream is not None
            answer.stream.events()
            streams.append(answer.stream)
    theirs = (await two.call("GET", f"{MAPS}?watch=1", cluster=OTHER)).stream
    assert theirs is not None
    theirs.events()
    await two.keep(OTHER, "watched", n="1")
    await two.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "secretspace2"}}, cluster=OTHER)
    await aeventually(lambda: b"watched" in theirs.data, "the event in its own cluster")
    await two.settle()
    for stream in streams:
        assert stream.data == b""
        stream.close()
    theirs.close()


async def test_a_definition_is_one_clusters_own(two: ClusterRig) -> None:
    for cluster in (MINE, ""):
        assert (await two.call("GET", f"/apis/{GROUP}/v1", cluster=cluster)).status == 404
        assert (await two.call("GET", f"{DEFINITIONS}/things.{GROUP}", cluster=cluster)).status == 404
    other = definition("shared.example")
    changed = definition("shared.example")
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "required": ["must"], "properties": {"must": {"type": "string"}}}
        },
        "required": ["spec"],
    }
    await two.ok("POST", DEFINITIONS, other, cluster=OTHER)
    await two.ok("POST", DEFINITIONS, changed, cluster=MINE)
    path = "/apis/shared.example/v1/namespaces/default/things"
    body = {"apiVersion": "shared.example/v1", "kind": "Thing", "metadata": {"name": "one"}}

    async def status(cluster: str) -> int:
        answer = await two.call("POST", path + "?dryRun=All", body, cluster=cluster)
        return 0 if answer.status == 404 else int(answer.status)

    assert await aeventually(lambda: status(OTHER), "the definition") == 201
    assert await aeventually(lambda: status(MINE), "the definition") == 422


async def test_the_root_has_the_clusters_to_itself(two: ClusterRig) -> None:
    for target in (CLUSTERS, f"{DEFINITIONS}/clusters.pilothouse.dev"):
        assert (await two.call("GET", target, cluster=MINE)).status == 404
        assert (await two.call("GET", target)).status == 200


# Targets


def targets() -> list[tuple[str, str]]:
    """Targets, with the values of Host, that try to be in two clusters at once."""
    m, o = MINE, OTHER
    paths = [
        f"/clusters/{m}/../{o}{MAPS}",
        f"/clusters/{m}/..%2f{o}{MAPS}",
        f"/clusters/{m}%2f..%2f{o}{MAPS}",
        f"/clusters/{m}/%2e%2e/{o}{MAPS}",
        f"/clusters/{m}/clusters/{o}{MAPS}",
        f"/clusters/{m}//clusters/{o}{MAPS}",
        f"/clusters/{m}/.//../{o}{MAPS}",
        f"/clusters//{o}{MAPS}",
        f"//clusters/{o}{MAPS}",
        f"/./clusters/{o}{MAPS}",
        f"/%63lusters/{o}{MAPS}",
        f"/clusters/%76iewother{MAPS}",
        f"/clusters/{o.upper()}{MAPS}",
        f"/Clusters/{o}{MAPS}",
        f"/clusters/{o}.{MAPS}",
        f"/clusters/{o};x=y{MAPS}",
        f"/clusters/{o}%00{MAPS}",
        f"/clusters/{o}\\{MAPS}",
        f"/clusters/{m},{o}{MAPS}",
        f"/clusters/{m}?/../{o}{MAPS}",
        f"/clusters/{m}?x=/clusters/{o}/",
        f"/clusters/{'x' * 5000}{MAPS}",
        f"https://{o}.{DOMAIN}{MAPS}",
        f"https://{o}.{DOMAIN}/clusters/{m}/../{o}{MAPS}",
        "/clusters",
        "/clusters/",
        f"/clusters/{o}",
        f"/clusters/{o}/",
        f"/clusters/{o}?watch=1",
        "*",
    ]
    hosts = [
        f"{o}.{DOMAIN}",
        f"{o}.{DOMAIN}:1",
        f"{o.upper()}.{DOMAIN.upper()}",
        f"{o}.{DOMAIN}.",
        f"{m}.{o}.{DOMAIN}",
        f".{DOMAIN}",
        DOMAIN,
        f"{o}.{DOMAIN}@{m}.{DOMAIN}",
        f"{'x' * 5000}.{DOMAIN}",
        "",
        "[::1]:6443",
    ]
    return [(path, "localhost") for path in paths] + [(MAPS, host) for host in hosts]


async def test_no_target_leads_to_another_cluster(two: ClusterRig) -> None:
    mine = two.identity(MINE)
    context = two.context(mine)
    for path, host in targets():
        expected = range(400, 500) if "x" * 300 in path + host else range(200, 500)
        async with Connection(two.port, context) as connection:
            await connection.send("GET", path, headers={"host": host})
            status, body = await connection.answer()
        assert status in expected, (path, host, status, body)
        assert b"secretmap" not in body, (path, host)
        named = OTHER in path or OTHER in host
        assert named or OTHER.encode() not in body, (path, host, body)
        if b'"ConfigMapList"' in body:  # it was read as the own cluster's
            assert MINE in path or MINE in host, (path, host)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (f"{MINE}.{DOMAIN}", 200),
        (f"{MINE}.{DOMAIN}:6443", 200),
        (f"{MINE.upper()}.{DOMAIN.upper()}", 200),
        (f"{MINE}.{DOMAIN}.", 200),
        (f"{MINE}.{DOMAIN}.:443", 200),
        (f"{MINE}.{OTHER}.{DOMAIN}", 404),
        (f"{MINE}..{DOMAIN}", 404),
        (f".{DOMAIN}", 401),
        (DOMAIN, 401),
        (f"x{DOMAIN}", 401),
        (f"{MINE}.{DOMAIN}.evil", 401),
    ],
)
async def test_host_names_are_those_of_dns(two: ClusterRig, host: str, status: int) -> None:
    answer = await two.send("GET", MAPS, identity=two.identity(MINE), host=host)
    assert answer.status == status


async def test_absolute_targets_are_read_as_paths(two: ClusterRig) -> None:
    context = two.context(two.identity(MINE))
    for target, status in (
        (f"https://elsewhere/clusters/{MINE}{MAPS}", 200),
        (f"https://elsewhere/clusters/{OTHER}{MAPS}", 401),
        (f"https://{MINE}.{DOMAIN}/clusters/{OTHER}{MAPS}", 401),
    ):
        async with Connection(two.port, context) as connection:
            await connection.send("GET", target, headers={"host": f"{MINE}.{DOMAIN}"})
            assert (await connection.answer())[0] == status, target


async def test_errors_name_what_was_asked_for_only(two: ClusterRig) -> None:
    answer = await two.call("GET", MAPS, cluster="nobody-here", identity=two.identity(MINE))
    assert answer.status == 404
    assert answer.body["message"] == 'clusters.pilothouse.dev "nobody-here" not found'
    answer = await two.call("GET", MAPS, cluster=OTHER, identity=two.identity(MINE))
    assert (answer.status, answer.body["message"]) == (401, "Unauthorized")
