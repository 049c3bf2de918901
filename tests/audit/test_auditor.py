"""The auditor: callers, verdicts and back ends."""

import asyncio
import json
import time
from collections.abc import Awaitable, Sequence

import pytest
from audit.kept import Kept, auditor, policy

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.audit._audit import Event
from pilothouse.audit.auditor import Auditor
from pilothouse.audit.policy import parse
from pilothouse.server.request import Request, Response

PODS = AuthorizationAttributes(User(""), "get", "/x", True, "", "v1", "pods", "", "default", "p")


def request(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/api/v1/pods?a=<b>", named, [], b"", ("1.2.3.4", 5))


def whole(made: Auditor, kept: Kept, user: User | None, sent: Request) -> dict[str, object]:
    record = made.begin(sent, user, PODS, 'i"d', time.perf_counter())
    record.answered(Response(200))
    record.complete()
    found: dict[str, object] = kept.events()[-1]
    return found


def test_users_of_one_name_are_not_mixed_up() -> None:
    made, kept = auditor({"level": "Metadata"})
    users = [
        User("jane"),
        User("jane", "1"),
        User("jane", groups=("a",)),
        User("jane", extra={"scopes": ["x"]}),
        User("jane", extra={"scopes": ["y"]}),
        User("jane"),
    ]
    shown = [whole(made, kept, user, request())["user"] for user in users]
    assert shown == [
        {"username": "jane"},
        {"username": "jane", "uid": "1"},
        {"username": "jane", "groups": ["a"]},
        {"username": "jane", "extra": {"scopes": ["x"]}},
        {"username": "jane", "extra": {"scopes": ["y"]}},
        {"username": "jane"},
    ]
    assert whole(made, kept, None, request())["user"] == {}


def test_where_a_request_came_from_is_told_each_time() -> None:
    made, kept = auditor({"level": "Metadata"})
    jane = User("jane")
    for agent in ("a", "b", "c" * 2000, "<d>"):
        event = whole(made, kept, jane, request(user_agent=agent, x_forwarded_for="9.9.9.9"))
        assert event["userAgent"] == (agent if len(agent) < 1024 else agent[:1024] + "...TRUNCATED")
        assert event["sourceIPs"] == ["9.9.9.9", "1.2.3.4"]
    assert event["auditID"] == 'i"d' and event["requestURI"] == "/api/v1/pods?a=<b>"


@pytest.mark.parametrize("rule", [{"users": ["jane"]}, {"userGroups": ["dev"]}])
def test_verdicts_know_the_user(rule: dict[str, object]) -> None:
    made, _ = auditor({"level": "Metadata", **rule})
    jane, joe = User("jane", groups=("dev",)), User("joe")
    for _ in range(2):
        assert made.begin(request(), jane, PODS, "id", time.perf_counter()) is not None
        assert made.begin(request(), joe, PODS, "id", time.perf_counter()) is None
        assert made.begin(request(), None, PODS, "id", time.perf_counter()) is None
    assert made.metrics.level_counts == [4, 2, 0, 0]


def test_verdicts_know_the_name() -> None:
    resources = [{"resources": ["pods"], "resourceNames": ["p"]}]
    made, _ = auditor({"level": "Metadata", "resources": resources})
    other = AuthorizationAttributes(User(""), "get", "/x", True, "", "v1", "pods", "", "default", "q")
    assert made.begin(request(), None, PODS, "id", time.perf_counter()) is not None
    assert made.begin(request(), None, other, "id", time.perf_counter()) is None


class Waiting(Kept):
    """A back end that has to be awaited."""

    def __init__(self, good: bool) -> None:
        super().__init__()
        self.waits = True
        self.good = good

    def store(self, event: Event) -> Awaitable[bool]:  # type: ignore[override]
        async def stored() -> bool:
            await asyncio.sleep(0)
            self.made.append(event)
            return self.good

        return stored()


@pytest.mark.parametrize("good", [True, False])
def test_all_back_ends_get_all_events(good: bool) -> None:
    async def body() -> None:
        kept, waiting = Kept(), Waiting(good)
        made = Auditor(parse(policy({"level": "Metadata"})), [kept, waiting])
        record = made.begin(request(), None, PODS, "id", time.perf_counter())
        answer = record.received()
        assert not isinstance(answer, bool)
        assert await answer == good
        record.answered(Response(200))
        record.complete()
        stages = [[json.loads(event.line)["stage"] for event in one.made] for one in (kept, waiting)]
        assert stages == [["RequestReceived", "ResponseComplete"]] * 2
        assert made.metrics.event_counts[0] == 2

    asyncio.run(body())


def test_a_read_is_handed_on_once() -> None:
    calls: list[int] = []

    class Counting(Kept):
        def offer(self, events: Sequence[Event]) -> bool:
            calls.append(len(events))
            return super().offer(events)

    made = Auditor(parse(policy({"level": "Metadata"})), [Counting()])
    record = made.begin(request(), None, PODS, "id", time.perf_counter())
    assert record.received() is True and calls == []
    record.answered(Response(200))
    record.complete()
    assert calls == [2] and made.metrics.event_counts[0] == 2


def test_omitted_stages_are_not_made() -> None:
    made, kept = auditor({"level": "Metadata", "omitStages": ["RequestReceived", "ResponseComplete"]})
    record = made.begin(request(), None, PODS, "id", time.perf_counter())
    record.received()
    record.answered(Response(200))
    record.started()
    record.complete()
    assert [event["stage"] for event in kept.events()] == ["ResponseStarted"]


def test_the_legacy_form_has_its_fields() -> None:
    made, kept = auditor({"level": "Metadata"}, legacy=True)
    record = made.begin(request(user_agent="u"), User("jane"), PODS, "id", time.perf_counter())
    record.received()
    record.acts_as(User("joe", groups=("g",)), "")
    record.answered(Response(200))
    record.complete()
    first, second = (event.fields.text().decode() for event in kept.made)
    assert 'stage="RequestReceived"' in first and 'as="<self>"' in first and 'response="<deferred>"' in first
    assert 'stage="ResponseComplete"' in second and 'as="joe" asgroups="\\"g\\""' in second
    assert 'namespace="default" uri="/api/v1/pods?a=<b>" response="200"' in second
