"""The rules of a user are listed beside the loop, remembered by part, and forgotten at each change."""

import asyncio
from typing import Any

import pytest

from pilothouse.api.values.identity import User
from pilothouse.authz.rbac import RBACAuthorizer
from pilothouse.caches import CacheBudget
from pilothouse.offload import INLINE_WORK, Offload, Work

JANE = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}
MANY = 300


def rule(resource: str) -> Any:
    return {"verbs": ["get"], "apiGroups": [""], "resources": [resource]}


@pytest.fixture
def budget() -> CacheBudget:
    return CacheBudget()


@pytest.fixture
def rbac(readers: Any, budget: CacheBudget) -> RBACAuthorizer:
    return RBACAuthorizer(readers, budget)


class Steps:
    """Work that counts its steps and the bytes that it was entered with; `between` runs after each step."""

    def __init__(self) -> None:
        self.bytes = self.count = 0
        self.between: Any = lambda: None

    async def enter(self, size: int) -> None:
        self.bytes = max(self.bytes, size)

    async def run(self, call: Any, *args: Any) -> Any:
        self.count += 1
        out = call(*args)
        self.between()
        return out


def many(readers: Any) -> None:
    for n in range(MANY):
        readers.role(f"r{n}", rule(f"things{n}"))
        readers.bind(f"b{n}", f"r{n}", JANE)


def listed(rbac: RBACAuthorizer, namespace: str, work: Any = INLINE_WORK, user: str = "jane") -> Any:
    return asyncio.run(rbac.list_rules(User(user), namespace, work))


def test_the_cluster_part_is_made_once_for_all_namespaces(readers: Any, rbac: RBACAuthorizer) -> None:
    many(readers)
    steps: Any = Steps()
    for n in range(50):
        assert listed(rbac, f"ns{n}", steps) == rbac.rules_for(User("jane"), f"ns{n}")
    assert steps.count == 1
    assert steps.bytes > 100_000


def test_a_change_of_a_role_or_a_binding_is_seen_at_once(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule("pods"))
    readers.bind("b", "r", JANE)
    assert listed(rbac, "ns").resource == [rule("pods")]
    readers.role("r", rule("secrets"))
    assert listed(rbac, "ns").resource == [rule("secrets")]
    readers.role("own", rule("jobs"), namespace="ns")
    readers.bind("own", "own", JANE, namespace="ns", kind="Role")
    assert listed(rbac, "ns").resource == [rule("secrets"), rule("jobs")]
    assert listed(rbac, "other").resource == [rule("secrets")]
    assert listed(rbac, "ns", user="joe").resource == []


def test_a_list_made_while_a_role_changes_is_not_remembered(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule("pods"))
    readers.bind("b", "r", JANE)
    steps: Any = Steps()
    steps.between = lambda: readers.role("r", rule("secrets"))
    assert listed(rbac, "ns", steps).resource == [rule("pods")]
    assert listed(rbac, "ns").resource == [rule("secrets")]


def test_groups_are_told_apart(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule("pods"))
    readers.bind("b", "r", {"kind": "Group", "name": "dev"})
    user = User("jane", groups=("dev",))
    assert asyncio.run(rbac.list_rules(user, "ns", INLINE_WORK)).resource == [rule("pods")]
    assert listed(rbac, "ns").resource == []


def test_what_is_listed_may_be_changed_by_its_caller(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule("pods"))
    readers.bind("b", "r", JANE)
    listed(rbac, "ns").resource.clear()
    assert listed(rbac, "ns").resource == [rule("pods")]


def test_one_large_role_is_expected_to_be_large(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", *[rule(f"things{n}") for n in range(1000)])
    readers.bind("b", "r", JANE)
    steps: Any = Steps()
    listed(rbac, "ns", steps)
    assert steps.bytes > 16 << 10


def test_names_without_bindings_take_no_place(
    readers: Any, rbac: RBACAuthorizer, budget: CacheBudget
) -> None:
    many(readers)
    listed(rbac, "ns")
    used = budget.used
    for n in range(1000):
        listed(rbac, f"ns{n}")
        listed(rbac, "ns", user=f"nobody{n}")
    assert budget.used == used


def test_many_users_stay_within_the_budget(readers: Any) -> None:
    budget = CacheBudget(total=1 << 20)
    rbac = RBACAuthorizer(readers, budget)
    for n in range(MANY):
        readers.role(f"r{n}", rule(f"things{n}"))
        readers.bind(f"b{n}", f"r{n}", {"kind": "Group", "name": "all"})
    for n in range(100):
        user = User(f"u{n}", groups=("all",))
        assert len(asyncio.run(rbac.list_rules(user, "ns", INLINE_WORK)).resource) == MANY
        assert budget.used <= budget.total


def test_many_rules_are_made_on_a_thread(readers: Any, rbac: RBACAuthorizer) -> None:
    many(readers)

    async def run() -> int:
        offload = Offload()
        work = Work(offload, "jane")
        listing = asyncio.ensure_future(rbac.list_rules(User("jane"), "ns", work))
        await asyncio.sleep(0)
        running = offload.running
        assert len((await listing).resource) == MANY
        work.leave()
        offload.close()
        return running

    assert asyncio.run(run()) == 1
