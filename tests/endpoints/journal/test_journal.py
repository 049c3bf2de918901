"""The content of the journal of requests, and its size in bytes."""

import asyncio
import gc
import sys
from dataclasses import replace
from typing import Any

import pytest
from harness import ADMIN, CONFIG_MAPS, Rig, config_map

from pilothouse import errors
from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.authn.authenticator import Recognition
from pilothouse.authz.authorizer import Decision
from pilothouse.endpoints.journal._journal import RECORD
from pilothouse.endpoints.journal.journal import BYTES_EACH, FEWEST, SLOW, Journal, JournalEntry
from pilothouse.endpoints.request.context import Context, Refusal
from pilothouse.registry.timeline import Timeline
from pilothouse.server.request import Request

SECRETS = "/api/v1/namespaces/default/secrets"


def context(path: str = "/version", user: User = ADMIN, **info: Any) -> Context:
    request = Request("GET", path, {"user-agent": "test"}, [("user-agent", "test")])
    ctx = Context(request, RequestInfo(path, "get", **info), {}, "id")
    ctx.user = ctx.caller = user
    ctx.status = 200
    return ctx


def latest(journal: Journal) -> list[JournalEntry]:
    return list(journal.entries())


def only(journal: Journal) -> JournalEntry:
    (entry,) = latest(journal)
    return entry


def test_the_newest_come_first_and_the_oldest_go() -> None:
    journal = Journal(3)
    for i in range(5):
        journal.add(context(f"/{i}"), 1.0, 0, None)
    assert [entry.info.path for entry in latest(journal)] == ["/4", "/3", "/2"]
    assert len(journal) == 3 and journal.size == sum(entry.kept.size for entry in latest(journal))


def ended(
    journal: Journal, path: str, status: int, ended: float = 1.0, by: str = "token", **info: Any
) -> None:
    ctx = context(path, **info)
    ctx.status, ctx.started, ctx.request.recognition = status, 1.0, Recognition(by)
    journal.add(ctx, ended, 0, None)


def flood(journal: Journal, count: int, status: int, ended_: float = 1.0, by: str = "token") -> None:
    for i in range(count):
        ended(journal, f"/flood/{i}", status, ended_, by)


def kept(journal: Journal) -> set[str]:
    return {entry.info.path for entry in latest(journal) if not entry.info.path.startswith("/flood")}


def test_refused_failed_and_slow_requests_outlive_all_others() -> None:
    journal = Journal(50)
    for path, status in (("/found", 200), ("/missing", 404), ("/forbidden", 403), ("/invalid", 422)):
        ended(journal, path, status)
    ended(journal, "/unknown", 401, by="anonymous")
    ended(journal, "/failed", 500)
    ended(journal, "/slow", 200, 1.0 + SLOW)
    ended(journal, "/api/v1/pods", 200, 600.0, is_resource=True, resource="pods")
    pods = context(
        "/api/v1/namespaces/default/pods/p/log", is_resource=True, resource="pods", subresource="log"
    )
    journal.add(pods, 600.0, 0, None)  # as long as its client wishes
    assert len(kept(journal)) == 9
    flood(journal, 20_000, 200)
    assert kept(journal) == {"/forbidden", "/invalid", "/unknown", "/failed", "/slow", "/api/v1/pods"}
    flood(journal, 20_000, 404)
    flood(journal, 20_000, 401, by="anonymous")
    flood(journal, 20_000, 403, by="anonymous")
    flood(journal, 20_000, 429)
    assert kept(journal) == {"/forbidden", "/invalid", "/failed", "/slow", "/api/v1/pods"}
    flood(journal, 20_000, 503)
    flood(journal, 20_000, 200, 2.0)
    assert kept(journal) == {"/forbidden", "/invalid"}
    flood(journal, 50, 200)
    assert len(journal) <= 50 + 4 * FEWEST
    assert journal.size == sum(entry.kept.size for entry in latest(journal)) <= len(journal) * BYTES_EACH


def test_the_newest_come_first_out_of_all_rings() -> None:
    journal = Journal(50)
    for i in range(400):
        ended(journal, f"/{i}", (200, 403, 500, 401)[i % 4], 1.0 + i / 10_000)
    times = [entry.kept.ended for entry in latest(journal)]
    assert times == sorted(times, reverse=True) and len(times) > 250


def test_how_far_it_reaches_back() -> None:
    """Refused requests that outlive others do not count: those between them are gone."""
    journal = Journal(10)
    ended(journal, "/old", 403, 1.0)
    assert journal.reaches(0.0)
    flood(journal, 10, 200, 2.0)
    assert "/old" in kept(journal)
    assert [journal.reaches(time) for time in (0.5, 1.5, 2.0, 2.1)] == [False, False, False, True]


def test_what_is_pushed_out_meanwhile_does_not_come() -> None:
    journal = Journal(50)
    flood(journal, 50, 200)
    found = journal.entries()
    next(found)
    flood(journal, 100, 200)
    assert len(list(found)) <= 1


def test_long_heads_are_cut_and_long_requests_push_out_more_than_one() -> None:
    journal = Journal(100)
    for i in range(100):
        journal.add(context(f"/{i}"), 1.0, 0, None)
    journal.add(context("/" + "x" * 60_000), 1.0, 0, None)
    path = latest(journal)[0].info.path
    assert len(journal) == 100 and len(path) == 1024 and path.endswith("x…")
    for _ in range(100):
        journal.add(context("/" + "x" * 3_000), 1.0, 0, None)
    assert journal.size <= 100 * BYTES_EACH
    assert 10 < len(journal) < 40 and len(latest(journal)[0].info.path) == 3_001
    small = Journal(1)
    small.add(context("/" + "x" * 3_000), 1.0, 0, None)
    assert len(small) == 0 and small.size == 0


def test_what_is_counted_is_at_least_what_is_taken() -> None:
    """The bytes of a record with all that belongs to it alone, as Python counts them."""
    journal = Journal(10)
    ctx = context(
        "/apis/apps/v1/namespaces/default/deployments/one",
        is_resource=True,
        resource="deployments",
        group="apps",
    )
    ctx.timeline = timeline = Timeline()
    for i in range(20):
        timeline.changed.append("spec.a")
        timeline.asked("admit", f"Plugin{i}", 0.123456789)
    ctx.refusal = Refusal.of(errors.Forbidden("m" * 500))
    journal.add(ctx, 1.0, 5, None)
    kept = only(journal).kept
    assert kept.size >= RECORD + len(kept.told) + sys.getsizeof(kept.detail)


def test_requests_of_a_user_share_what_is_kept_of_them() -> None:
    journal = Journal(10)
    for user in (ADMIN, ADMIN, replace(ADMIN)):
        journal.add(context(user=user), 1.0, 0, None)
    users = [entry.kept.user for entry in latest(journal)]
    assert users[1] is users[2] and users[0] == users[1]


def test_users_in_many_groups_are_cut_and_not_remembered() -> None:
    journal = Journal(2000)
    for i in range(600):
        user = User(
            f"u{i}", groups=tuple(f"group-{j}-{'x' * 90}" for j in range(300)), extra={"a": ["b" * 9000]}
        )
        journal.add(context(user=user), 1.0, 0, None)
        entry = latest(journal)[0]
        assert len(entry.kept.user) < 4096 and b"296 more" in entry.kept.user
    del user, entry
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is User and one.name.startswith("u5")]


def test_the_remembered_users_are_bounded() -> None:
    journal = Journal(10)
    for i in range(1000):
        journal.add(context(user=User(f"u{i}")), 1.0, 0, None)
    assert len(journal._users) <= 256


def test_an_error_and_a_timeline_come_back_as_they_were() -> None:
    journal = Journal(10)
    ctx = context()
    err = errors.invalid(
        "", "Pod", "p", [{"reason": "FieldValueRequired", "message": "Required value", "field": "a"}]
    )
    ctx.refusal = Refusal.of(err)
    ctx.timeline = Timeline()
    ctx.timeline.asked("admit", "One", 0.5)
    ctx.timeline.called("admit", "Hooks", "hook", "c", 0.25, "refused", "because", ("/a",))
    ctx.timeline.committed(7, 0.125)
    ctx.timeline.mark("commit")
    ctx.decision = Decision(True, by="RBAC")
    journal.add(ctx, 1.0, 5, ConnectionResetError())
    entry = only(journal)
    detail = entry.unpacked()
    assert detail.refusal == ctx.refusal and (detail.revision, detail.stored) == (7, 0.125)
    assert [tuple(step)[:3] for step in detail.steps] == [("admit", "One", 0.5), ("admit", "Hooks", 0.25)]
    assert detail.steps[1].text == "because" and list(detail.steps[1].changed) == ["/a"]
    assert detail.marks == tuple(ctx.timeline.marks)
    assert entry.kept.error == "ConnectionResetError" and entry.kept.decision is ctx.decision


def test_text_that_is_no_unicode() -> None:
    journal = Journal(10)
    ctx = context("/half \ud800")
    ctx.refusal = Refusal.of(errors.BadRequest("half \ud800"))
    journal.add(ctx, 1.0, 0, None)
    entry = only(journal)
    refusal = entry.unpacked().refusal
    assert refusal is not None and refusal.message == "half \ud800"
    assert "\n/half \\ud800\n" in entry.kept.told


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", SECRETS, {"metadata": {"name": "Canary_"}, "stringData": {"a": "canary"}}, 422),
        ("POST", SECRETS, {"metadata": {"name": "s"}, "data": {"a": "canary!"}}, 400),
        ("POST", SECRETS, {"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson",
                           "stringData": {".dockerconfigjson": "canary"}}, 422),
        ("POST", SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "canary"}}, 201),
        ("GET", "/api/v1/namespaces/default/pods/p/exec?command=canary", None, 404),
        ("GET", "/api/v1/namespaces/default/services/s/proxy/?password=canary", None, 404),
    ],
)  # fmt: skip
async def test_no_body_no_credential_and_nothing_of_a_secret_is_kept(
    rig: Rig, method: str, path: str, body: Any, code: int
) -> None:
    headers = {"Cookie": "canary", "X-Other": "canary"}
    answer = await rig.call(method, path, body, headers=headers)
    assert answer.status in (code, 403, 503), answer.body
    await rig.call("GET", CONFIG_MAPS, user="canary")
    journal = rig.handlers.journal
    assert journal is not None and len(journal) > 1
    assert "canary" not in repr([tuple(entry.kept) for entry in latest(journal)]).lower()


def held(kind: type[Any]) -> list[Any]:
    """The objects of a type that this process holds."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is kind]


async def test_no_request_is_held(rig: Rig) -> None:
    """The body of a request that is kept is free as soon as it has been answered."""
    marker = "m" * 5000
    others = held(Context)  # of tests that failed before this one
    await rig.call("POST", CONFIG_MAPS, config_map("kept", data={"a": marker}))
    await rig.call("POST", CONFIG_MAPS, config_map("Bad_", data={"a": marker}))
    await rig.call("GET", f"{CONFIG_MAPS}/missing")  # the last answer of the rig is held by its loop
    assert [one for one in held(Request) if marker.encode() in one.body] == []
    assert [one for one in held(Context) if one.info.verb == "create" and one not in others] == []


async def test_none_is_kept_when_none_is_wanted(runner: asyncio.Runner) -> None:
    async with Rig(flags=["--explained-requests=0"]) as rig:
        assert rig.handlers.journal is None and rig.pipeline.stages.observer.journal is None
        assert (await rig.call("GET", "/debug/requests")).status == 404
