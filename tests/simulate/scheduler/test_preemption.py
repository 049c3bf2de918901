"""Which pods go for a more important one."""

from typing import Any

from simulate.scheduler.views import Object, decided, node, pod


def victims(wanted: Object, *objects: Object, **lists: Any) -> tuple[str, list[str]]:
    """The node where room is made, and the pods that go."""
    found = decided(wanted, *objects, **lists).preemption
    assert found is not None
    return found.node, [one.name for one in found.victims]


def test_as_few_and_as_unimportant_pods_as_possible_go() -> None:
    given = (
        node("n", cpu="3"),
        *(pod(name, on="n", cpu="1", priority=priority) for name, priority in (("a", 3), ("b", 1), ("c", 2))),
    )
    assert victims(pod("p", cpu="1", priority=9), *given) == ("n", ["b"])
    assert victims(pod("p", cpu="2", priority=9), *given) == ("n", ["c", "b"])


def test_the_node_with_the_least_important_victims_is_chosen() -> None:
    given = node("x", cpu="1"), node("y", cpu="1"), node("z", cpu="2")
    pods = pod("a", on="x", cpu="1", priority=2), pod("b", on="y", cpu="1", priority=1)
    more = pod("c", on="z", cpu="1", priority=1), pod("d", on="z", cpu="1", priority=1)
    assert victims(pod("p", cpu="1", priority=9), *given[:2], *pods)[0] == "y"
    assert victims(
        pod("p", cpu="2", priority=9),
        node("w", cpu="2"),
        given[2],
        *more,
        pod("e", on="w", cpu="2", priority=1),
    ) == ("w", ["e"])


def test_budgets_are_kept_where_that_is_possible() -> None:
    given = node("x", cpu="1"), node("y", cpu="1")
    pods = pod("a", on="x", cpu="1", labels={"app": "a"}), pod("b", on="y", cpu="1", priority=1)
    budget = {
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}},
        "status": {"disruptionsAllowed": 0},
    }
    wanted = pod("p", cpu="1", priority=9)
    assert victims(wanted, *given, *pods)[0] == "x"
    assert victims(wanted, *given, *pods, poddisruptionbudgets_policy=[budget])[0] == "y"
    allowed = {**budget, "status": {"disruptionsAllowed": 1}}
    assert victims(wanted, *given, *pods, poddisruptionbudgets_policy=[allowed])[0] == "x"


def test_of_two_pods_the_one_goes_whose_budget_allows_it() -> None:
    budget = {
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}},
        "status": {"disruptionsAllowed": 0},
    }
    pods = pod("a", on="n", cpu="1", labels={"app": "a"}), pod("b", on="n", cpu="1", priority=1)
    wanted = pod("p", cpu="1", priority=9)
    given = node("n", cpu="2"), *pods
    assert victims(wanted, *given) == ("n", ["a"])
    assert victims(wanted, *given, poddisruptionbudgets_policy=[budget]) == ("n", ["b"])


def test_pods_that_are_as_important_stay() -> None:
    found = decided(pod("p", cpu="1", priority=1), node("n", cpu="1"), pod("a", on="n", cpu="1", priority=1))
    assert found.preemption is None
    assert found.message.endswith("1 No preemption victims found for incoming pod.")


def test_what_does_not_fit_without_them_either_is_told() -> None:
    wanted = pod("p", cpu="2", priority=9)
    given = node("n", cpu="2"), pod("a", on="n", cpu="1"), pod("b", on="n", cpu="1", priority=10)
    found = decided(wanted, *given)
    assert found.preemption is None
    assert found.message.endswith("preemption: 0/1 nodes are available: 1 Insufficient cpu.")


def test_anti_affinity_to_a_weaker_pod_is_solved_by_its_going() -> None:
    terms = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]
    away = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    given = node("n"), pod("a", on="n", labels={"app": "a"}), pod("b", on="n", labels={"app": "b"})
    assert victims(pod("p", priority=1, affinity=away), *given) == ("n", ["a"])
