"""One scheduling cycle as a whole."""

from simulate.scheduler.views import Objects, cluster, decided, node, pod

from pilothouse.simulate.scheduler.decision import decide
from pilothouse.simulate.scheduler.pods import Pending


def test_room_that_was_made_for_a_pod_is_kept_for_it() -> None:
    expected = Pending(pod("e", cpu="1", priority=5))
    expected.nominated = "n"
    state = cluster(node("n", cpu="1"))
    weaker, stronger = (Pending(pod("p", cpu="1", priority=priority)) for priority in (1, 9))
    refused = decide(weaker, state, Objects(), [expected])  # type: ignore[arg-type]
    assert (refused.node, refused.plugins) == ("", frozenset(("NodeResourcesFit",)))
    assert decide(stronger, state, Objects(), [expected]).node == "n"  # type: ignore[arg-type]
    assert decide(expected, state, Objects(), [expected]).node == "n"  # type: ignore[arg-type]


def test_the_node_on_which_room_was_made_is_taken_though_another_is_better() -> None:
    wanted = Pending(pod("p", cpu="1"))
    wanted.nominated = "a"
    state = cluster(node("a"), node("b"), pod("x", on="a", cpu="1", memory="2Gi"))
    assert decide(wanted, state, Objects(), []).node == "a"  # type: ignore[arg-type]
    assert decided(pod("p", cpu="1"), node("a"), node("b"), pod("x", on="a", cpu="1")).node == "b"
