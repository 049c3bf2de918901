"""Collections: selectors, pages of a snapshot, versions."""

import asyncio
import base64
import gzip
import json
from typing import Any

import pytest
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VirtualLoop

from pilothouse.endpoints.answers._listbody import ListBody
from pilothouse.server.request import Packable
from pilothouse.storage.compaction import CompactionLoop

EXPIRED = "The provided continue parameter is too old to display a consistent list result."


def names(body: Any) -> list[Any]:
    return [item["metadata"]["name"] for item in body["items"]]


def version(body: Any) -> int:
    return int(body["metadata"]["resourceVersion"])


@pytest.fixture
def three(rig: Rig, runner: asyncio.Runner) -> Any:
    """Three config maps; the list as it is with them."""

    async def fill() -> Any:
        for name in "abc":
            await rig.config_map(name, labels={"n": name, "odd": str(name != "b").lower()})
        return await rig.ok("GET", CONFIG_MAPS)

    return runner.run(fill())


async def test_an_empty_collection(rig: Rig) -> None:
    assert await rig.ok("GET", CONFIG_MAPS) == {
        "kind": "ConfigMapList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(rig.storage.revision)},
        "items": [],
    }


async def test_items_stand_in_the_order_of_keys_and_without_their_kind(rig: Rig, three: Any) -> None:
    assert names(three) == ["a", "b", "c"]
    assert all("kind" not in item and "apiVersion" not in item for item in three["items"])
    await rig.ok("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("A-before".lower()))
    everywhere = await rig.ok("GET", "/api/v1/configmaps")
    assert names(everywhere) == ["a", "b", "c", "a-before"]


async def test_a_version_of_a_list_is_the_newest_of_all(rig: Rig, three: Any) -> None:
    await rig.namespace("later")
    assert version(await rig.ok("GET", CONFIG_MAPS)) == rig.storage.revision > version(three)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("labelSelector=odd%3Dtrue", ["a", "c"]),
        ("labelSelector=odd%3Dtrue,n!%3Da", ["c"]),
        ("labelSelector=n+in+(a,b)", ["a", "b"]),
        ("labelSelector=!n", []),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.name!%3Db", ["a", "c"]),
        ("fieldSelector=metadata.namespace%3Ddefault", ["a", "b", "c"]),
        ("fieldSelector=metadata.namespace%3Dother", []),
        ("fieldSelector=metadata.name%3Da&labelSelector=odd%3Dfalse", []),
    ],
)
async def test_selectors(rig: Rig, three: Any, selector: str, found: list[str]) -> None:
    body = await rig.ok("GET", f"{CONFIG_MAPS}?{selector}")
    assert names(body) == found and version(body) == version(three)


async def test_a_namespace_selected_by_field(rig: Rig, three: Any) -> None:
    await rig.ok("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("s"))
    body = await rig.ok("GET", "/api/v1/configmaps?fieldSelector=metadata.namespace%3Dkube-system")
    assert names(body) == ["s"]


async def test_selectors_that_are_none(rig: Rig) -> None:
    message = await rig.fail(400, "GET", CONFIG_MAPS + "?fieldSelector=data%3Dx")
    assert message == '"data" is not a known field selector: only "metadata.name", "metadata.namespace"'
    message = await rig.fail(400, "GET", CONFIG_MAPS + "?fieldSelector=%5C%3Dx")
    assert message.startswith('"\\\\" is not a known field selector')
    message = await rig.fail(400, "GET", PODS + "?fieldSelector=spec.nothing%3Dx")
    assert message == "field label not supported: spec.nothing"
    message = await rig.fail(400, "GET", CONFIG_MAPS + "?labelSelector=a%3D%3D%3Db")
    assert message.startswith("unable to parse requirement: ") or "found" in message


async def test_fields_of_pods(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a", spec={"nodeName": "n1"}))
    await rig.ok("POST", PODS, pod("b"))
    for selector, found in (
        ("spec.nodeName%3Dn1", ["a"]),
        ("spec.nodeName%3D", ["b"]),
        ("status.phase%3DPending", ["a", "b"]),
        ("status.phase!%3DPending", []),
        ("spec.restartPolicy%3DAlways,spec.nodeName!%3Dn1", ["b"]),
    ):
        assert names(await rig.ok("GET", f"{PODS}?fieldSelector={selector}")) == found, selector


async def test_pages(rig: Rig, three: Any) -> None:
    page = await rig.ok("GET", CONFIG_MAPS + "?limit=2")
    assert names(page) == ["a", "b"] and page["metadata"]["remainingItemCount"] == 1
    rest = await rig.ok("GET", f"{CONFIG_MAPS}?limit=2&continue={page['metadata']['continue']}")
    assert names(rest) == ["c"]
    assert rest["metadata"] == {"resourceVersion": page["metadata"]["resourceVersion"]}
    whole = await rig.ok("GET", CONFIG_MAPS + "?limit=3")
    assert names(whole) == ["a", "b", "c"] and "continue" not in whole["metadata"]


async def test_how_many_are_left_is_not_told_with_a_selector(rig: Rig, three: Any) -> None:
    page = await rig.ok("GET", CONFIG_MAPS + "?limit=1&labelSelector=odd%3Dtrue")
    assert names(page) == ["a"] and "remainingItemCount" not in page["metadata"]
    token = page["metadata"]["continue"]
    rest = await rig.ok("GET", f"{CONFIG_MAPS}?limit=1&labelSelector=odd%3Dtrue&continue={token}")
    assert names(rest) == ["c"] and "continue" not in rest["metadata"]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1&resourceVersion=0"])
async def test_limits_that_are_none(rig: Rig, three: Any, query: str) -> None:
    assert names(await rig.ok("GET", f"{CONFIG_MAPS}?{query}")) == ["a", "b", "c"]


async def test_pages_show_the_snapshot_of_the_first(rig: Rig, three: Any) -> None:
    page = await rig.ok("GET", CONFIG_MAPS + "?limit=1")
    token = page["metadata"]["continue"]
    await rig.ok("DELETE", CONFIG_MAPS + "/b")
    await rig.config_map("bb")
    await rig.ok("PUT", CONFIG_MAPS + "/c", config_map("c", data={"new": "1"}))
    rest = await rig.ok("GET", f"{CONFIG_MAPS}?continue={token}")
    assert rest["items"] == three["items"][1:] and version(rest) == version(three)
    assert names(await rig.ok("GET", CONFIG_MAPS)) == ["a", "bb", "c"]


async def test_versions_of_lists(rig: Rig, three: Any) -> None:
    """The table of resourceVersion and resourceVersionMatch."""
    old = version(three)
    await rig.config_map("d")
    now, before, all_ = rig.storage.revision, ["a", "b", "c"], ["a", "b", "c", "d"]
    for query, found, at in (
        ("", all_, now),
        ("resourceVersion=", all_, now),
        ("resourceVersion=0", all_, now),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", all_, now),
        (f"resourceVersion={old}", all_, now),
        (f"resourceVersion={old}&resourceVersionMatch=NotOlderThan", all_, now),
        (f"resourceVersion={old}&resourceVersionMatch=NotOlderThan&limit=9", all_, now),
        (f"resourceVersion={old}&resourceVersionMatch=Exact", before, old),
        (f"resourceVersion={old}&limit=9", before, old),
        (f"resourceVersion={now}&resourceVersionMatch=Exact", all_, now),
    ):
        body = await rig.ok("GET", f"{CONFIG_MAPS}?{query}")
        assert (names(body), version(body)) == (found, at), query


@pytest.mark.parametrize(
    "match", ["", "&resourceVersionMatch=NotOlderThan", "&resourceVersionMatch=Exact", "&limit=2"]
)
async def test_a_version_of_the_future(rig: Rig, three: Any, match: str) -> None:
    asked, now = rig.storage.revision + 5, rig.storage.revision
    answer = await rig.call("GET", f"{CONFIG_MAPS}?resourceVersion={asked}{match}")
    assert (answer.status, answer.headers["retry-after"]) == (504, "1")
    assert answer.body["message"] == f"Timeout: Too large resource version: {asked}, current: {now}"


async def test_versions_that_are_none(rig: Rig) -> None:
    message = await rig.fail(400, "GET", CONFIG_MAPS + "?resourceVersion=-1")
    assert message.startswith(
        'invalid resource version: resourceVersion: Invalid value: "-1": strconv.ParseUint'
    )
    answer = await rig.call("GET", CONFIG_MAPS + "?resourceVersionMatch=Exact")
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "resourceVersionMatch"
    assert await rig.fail(400, "GET", CONFIG_MAPS + "?limit=x") == (
        'strconv.ParseInt: parsing "x": invalid syntax'
    )


async def expire(rig: Rig, at: Any) -> None:
    """Forget what was before a revision, in the cache and in the store."""
    await rig.storage.compact(at)
    rig.store.cache(rig.catalog.get("", "v1", "configmaps")).forget_history(at)


async def test_an_old_snapshot_comes_out_of_the_store(rig: Rig, three: Any) -> None:
    """The cache forgets sooner than the store."""
    old = version(three)
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    rig.store.cache(rig.catalog.get("", "v1", "configmaps")).forget_history(rig.storage.revision)
    body = await rig.ok("GET", f"{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")
    assert body == three
    page = await rig.ok("GET", f"{CONFIG_MAPS}?resourceVersion={old}&limit=2&labelSelector=odd%3Dtrue")
    assert page["items"] == [three["items"][0], three["items"][2]]
    page = await rig.ok(
        "GET", f"{CONFIG_MAPS}?resourceVersion={old}&limit=1&fieldSelector=metadata.name!%3Db"
    )
    assert page["items"] == [three["items"][0]]
    token = page["metadata"]["continue"]
    rest = await rig.ok("GET", f"{CONFIG_MAPS}?limit=1&fieldSelector=metadata.name!%3Db&continue={token}")
    assert rest["items"] == [three["items"][2]] and rest["metadata"] == {"resourceVersion": str(old)}


async def test_a_snapshot_that_is_gone(rig: Rig, three: Any) -> None:
    old = version(three)
    await rig.config_map("d")
    await expire(rig, rig.storage.revision)
    answer = await rig.call("GET", f"{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")
    assert (answer.status, answer.body["reason"]) == (410, "Expired")
    assert answer.body["message"] == "The resourceVersion for the provided list is too old."
    assert answer.body["metadata"] == {}


async def test_an_expired_token_is_answered_with_one_that_goes_on(rig: Rig, three: Any) -> None:
    page = await rig.ok("GET", CONFIG_MAPS + "?limit=1")
    await rig.config_map("bb")
    await rig.config_map("x")
    await expire(rig, rig.storage.revision)
    answer = await rig.call("GET", f"{CONFIG_MAPS}?limit=2&continue={page['metadata']['continue']}")
    assert (answer.status, answer.body["reason"]) == (410, "Expired")
    assert answer.body["message"].startswith(EXPIRED)
    found = []
    token = answer.body["metadata"]["continue"]
    while token:
        page = await rig.ok("GET", f"{CONFIG_MAPS}?limit=2&continue={token}")
        found += names(page)
        token = page["metadata"].get("continue")
    assert found == ["b", "bb", "c", "x"], "what is there now, from where the first page ended"


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_token_expires_by_age(rig: Rig, virtual: VirtualLoop, three: Any, quiet: bool) -> None:
    """One interval it is good, after two it is not,
    whether something is written or not (etcd3/compact.go)."""
    compaction = CompactionLoop(rig.storage, 300)
    compaction.start()
    page = await rig.ok("GET", CONFIG_MAPS + "?limit=1")
    token, at = page["metadata"]["continue"], version(page)
    exact = f"{CONFIG_MAPS}?resourceVersion={at}&resourceVersionMatch=Exact"
    watched = f"{CONFIG_MAPS}?watch=1&timeoutSeconds=1&resourceVersion={at}"
    if not quiet:
        await rig.ok("PUT", CONFIG_MAPS + "/b", config_map("b", data={"new": "1"}))
    await virtual.advance(301)
    rest = await rig.ok("GET", f"{CONFIG_MAPS}?continue={token}")
    assert rest["items"] == three["items"][1:] and await rig.ok("GET", exact) == three
    await virtual.advance(300)
    assert (await rig.call("GET", exact)).status == 410
    assert (await rig.call("GET", watched)).status == 200, "the watch cache still knows all changes"
    answer = await rig.call("GET", f"{CONFIG_MAPS}?limit=1&continue={token}")
    assert (answer.status, answer.body["reason"], answer.body["code"]) == (410, "Expired", 410)
    assert answer.body["message"].startswith(EXPIRED)
    inconsistent = answer.body["metadata"]["continue"]
    assert json.loads(base64.urlsafe_b64decode(inconsistent + "==")) == {
        "v": "meta.k8s.io/v1",
        "rv": -1,
        "start": "a\0",
    }
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    page = await rig.ok("GET", f"{CONFIG_MAPS}?limit=1&continue={inconsistent}")
    assert names(page) == ["b"] and version(page) == rig.storage.revision > at
    assert page["metadata"]["remainingItemCount"] == 1
    await rig.ok("DELETE", CONFIG_MAPS + "/c")
    rest = await rig.ok("GET", f"{CONFIG_MAPS}?limit=1&continue={page['metadata']['continue']}")
    assert names(rest) == ["c"] and version(rest) == version(page), "from there on it is one snapshot again"
    await compaction.close()


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("!!!", "illegal base64 data at input byte 0"),
        (
            {"v": "meta.k8s.io/v2", "rv": 5, "start": "a\0"},
            "server does not recognize this encoded version meta.k8s.io/v2",
        ),
        ({"v": "meta.k8s.io/v1", "rv": 5}, "encoded start key empty (version meta.k8s.io/v1)"),
        ({"v": "meta.k8s.io/v1", "rv": 5, "start": "../../a\0"}, "../../a\0"),
    ],
)
async def test_tokens_that_are_none(rig: Rig, token: dict[str, Any] | str, why: str) -> None:
    if isinstance(token, dict):
        token = base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")
    message = await rig.fail(400, "GET", f"{CONFIG_MAPS}?limit=1&continue={token}")
    assert message.startswith("invalid continue token: continue key is not valid: ") and why in message


async def test_a_token_goes_with_no_version(rig: Rig, three: Any) -> None:
    page = await rig.ok("GET", CONFIG_MAPS + "?limit=1")
    token = page["metadata"]["continue"]
    message = await rig.fail(400, "GET", f"{CONFIG_MAPS}?continue={token}&resourceVersion={version(three)}")
    assert message == "specifying resource version is not allowed when using continue"
    assert names(await rig.ok("GET", f"{CONFIG_MAPS}?continue={token}&resourceVersion=0")) == ["b", "c"]


@settings(max_examples=12 * SCALE)
@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True),
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from("abcdefgh")), max_size=12),
)
def test_pages_together_are_the_list_at_their_revision(there: Any, limit: Any, writes: Any) -> None:
    """The pages are right, also while others write between them."""

    async def main() -> None:
        async with Rig() as rig:
            for name in there:
                await rig.config_map(name)
            whole = await rig.ok("GET", CONFIG_MAPS)
            found, token, left = [], "", list(writes)
            while True:
                page = await rig.ok("GET", f"{CONFIG_MAPS}?limit={limit}&continue={token}")
                assert version(page) == version(whole)
                found += page["items"]
                token = page["metadata"].get("continue")
                assert page["metadata"].get("remainingItemCount", 0) == len(there) - len(found)
                if not token:
                    break
                for action, name in left[:3]:
                    if action == "delete":
                        await rig.call("DELETE", f"{CONFIG_MAPS}/{name}")
                    elif (await rig.call("POST", CONFIG_MAPS, config_map(name))).status == 409:
                        await rig.ok(
                            "PUT", f"{CONFIG_MAPS}/{name}", config_map(name, data={"n": str(len(left))})
                        )
                del left[:3]
            assert found == whole["items"]
            exact = f"{CONFIG_MAPS}?resourceVersion={version(whole)}&resourceVersionMatch=Exact"
            assert await rig.ok("GET", exact) == whole

    asyncio.run(main())


async def raw(rig: Rig, target: Any, accept: str = "application/json") -> Any:
    """The body of an answer as the HTTP server gets it."""
    response = await rig.respond("GET", target, headers={"Accept": accept})
    assert response.status == 200
    return response.body


async def test_a_compressed_list_says_what_the_plain_one_says(rig: Rig) -> None:
    async def check(target: Any) -> Any:
        body = await raw(rig, target)
        assert isinstance(body, ListBody)
        parts = [part if isinstance(part, bytes) else part() for part in body.gzip()]
        plain = b"".join(body)
        assert gzip.decompress(b"".join(parts)) == plain and len(plain) == body.size
        return json.loads(plain)

    for i in range(30):
        await rig.config_map(f"c{i:02}", labels={"odd": str(i % 2)}, data={"text": f"{i} of thirty " * 400})
    targets = [CONFIG_MAPS, f"{CONFIG_MAPS}?labelSelector=odd%3D1", "/api/v1/configmaps?resourceVersion=0"]
    targets += [f"{CONFIG_MAPS}?fieldSelector=metadata.name!%3Dc07"]
    for turn in range(4):
        for target in targets:
            await check(target)
        token, seen = "", []
        while token is not None:
            page = await check(f"{CONFIG_MAPS}?limit=7&continue={token}")
            seen += names(page)
            token = page["metadata"].get("continue")
        assert seen == names(await check(CONFIG_MAPS)), "pages are put together from the same blocks"
        changed = await rig.ok("GET", f"{CONFIG_MAPS}/c{turn:02}")
        changed["data"] = {"turn": str(turn)}
        await rig.ok("PUT", f"{CONFIG_MAPS}/c{turn:02}", changed)
        await rig.ok("DELETE", f"{CONFIG_MAPS}/c{turn + 10:02}")
        old = page["metadata"]["resourceVersion"]
        await check(f"{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")


async def test_other_forms_of_a_list_are_compressed_as_any_answer(rig: Rig, three: Any) -> None:
    table = "application/json;as=Table;g=meta.k8s.io;v=v1"
    for accept in (table, "application/vnd.kubernetes.protobuf", "application/yaml"):
        assert not isinstance(await raw(rig, CONFIG_MAPS, accept), Packable)


async def test_long_lists_without_a_limit_are_warned_of_and_refused(runner: asyncio.Runner) -> None:
    async with Rig(flags=("--max-unpaged-list-bytes=100k",)) as rig:

        async def fill(count: int) -> None:
            for number in range(count):
                await rig.config_map(f"{rig.storage.revision}-{number}", data={"k": "x" * 10_000})

        await fill(4)
        assert not (await rig.call("GET", CONFIG_MAPS)).warnings
        await fill(3)
        answer = await rig.call("GET", CONFIG_MAPS)
        [warning] = answer.warnings
        assert answer.status == 200 and "without the parameter limit a list may have 100000" in warning
        await fill(4)
        message = await rig.fail(400, "GET", CONFIG_MAPS)
        assert "ask for pages with limit and continue" in message
        page = await rig.ok("GET", f"{CONFIG_MAPS}?limit=10")
        assert (
            len((await rig.ok("GET", f"{CONFIG_MAPS}?continue={page['metadata']['continue']}"))["items"]) == 1
        )
        await rig.ok("GET", f"{CONFIG_MAPS}?resourceVersion=0")
        await rig.ok("GET", f"{CONFIG_MAPS}?labelSelector=a%3Db")
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        stream = await rig.watch(f"{CONFIG_MAPS}?{query}")
        assert len(stream.events()) == 12
        stream.close()


async def test_long_lists_are_answered_when_nothing_else_is_said(rig: Rig) -> None:
    await rig.config_map("long", data={"k": "x" * 1_000_000})
    answer = await rig.call("GET", CONFIG_MAPS)
    assert answer.status == 200 and not answer.warnings
