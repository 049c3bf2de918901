"""The nodes of the cluster and the pods on them."""

from simulate.scheduler.views import cluster, node, pod


def test_pods_of_a_node_that_comes_later_count_on_it() -> None:
    early = pod("early", on="a", cpu="4")
    state = cluster(early, node("a"), node("b"))
    assert state.nodes["a"].requested == {"cpu": 4000}
    state.set_node("a", None)
    assert state.node_of("default/early") == "a" and "a" not in state.nodes
    state.set_node("a", node("a"))
    assert state.nodes["a"].requested == {"cpu": 4000}
    state.drop("default/early")
    assert state.nodes["a"].requested == {"cpu": 0} and not state.nodes["a"].pods
