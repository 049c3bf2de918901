"""Which of several nodes a pod gets."""

from simulate.scheduler.views import decided, node, pod

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def test_the_node_with_more_left_is_better() -> None:
    given = node("a"), node("b"), pod("x", on="a", cpu="1", memory="2Gi")
    assert decided(pod("p", cpu="1", memory="2Gi"), *given).node == "b"


def test_pods_that_request_nothing_count_as_small_ones() -> None:
    given = node("a"), node("b"), pod("x", on="a")
    assert decided(pod("p"), *given).node == "b"


def test_balanced_use_is_better() -> None:
    given = (
        node("a"),
        node("b"),
        pod("x", on="a", cpu="2", memory="1Mi"),
        pod("y", on="b", cpu="1m", memory="4Gi"),
    )
    assert decided(pod("p", cpu="1", memory="2Mi"), *given).node == "b"
    assert decided(pod("p", cpu="1m", memory="2Gi"), *given).node == "a"


def test_of_equal_nodes_it_is_the_first() -> None:
    assert decided(pod("p"), node("b"), node("a")).node == "b"


def test_preferred_affinity_counts_by_its_weight() -> None:
    def wish(weight: int, value: str) -> dict[str, object]:
        expression = {"key": "disk", "operator": "In", "values": [value]}
        return {"weight": weight, "preference": {"matchExpressions": [expression]}}

    affinity = {"nodeAffinity": {PREFERRED: [wish(1, "hdd"), wish(9, "ssd")]}}
    given = node("a", labels={"disk": "hdd"}), node("b", labels={"disk": "ssd"}), node("c")
    assert decided(pod("p", affinity=affinity), *given).node == "b"


def test_soft_taints_are_avoided_unless_tolerated() -> None:
    soft = {"key": "a", "effect": "PreferNoSchedule"}
    given = node("a", taints=[soft]), node("b"), pod("x", on="b", cpu="1", memory="2Gi")
    assert decided(pod("p"), *given).node == "b"
    assert decided(pod("p", tolerations=[{"operator": "Exists"}]), *given).node == "a"
