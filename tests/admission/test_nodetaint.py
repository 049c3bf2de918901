"""New nodes are tainted as not ready."""

from typing import Any

from harness import Rig, is_asked

from pilothouse.admission.nodetaint import TAINT, TaintNodesByCondition

NODES = ("", "v1", "nodes")


async def test_a_new_node_is_tainted(rig: Rig) -> None:
    plugin = TaintNodesByCondition()
    for spec, taints in (
        ({}, [TAINT]),
        ({"taints": [{"key": "k", "effect": "NoSchedule"}]}, [{"key": "k", "effect": "NoSchedule"}, TAINT]),
        ({"taints": [TAINT]}, [TAINT]),
        ({"taints": [{**TAINT, "effect": "NoExecute"}]}, [{**TAINT, "effect": "NoExecute"}, TAINT]),
    ):
        node: Any = {"metadata": {"name": "n"}, "spec": spec}
        plugin.mutate(rig.attributes(node, resource=NODES))
        assert node["spec"]["taints"] == taints
    node = {"metadata": {"name": "n"}}
    plugin.mutate(rig.attributes(node, resource=NODES))
    assert node["spec"]["taints"] == [TAINT]


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = TaintNodesByCondition()
    assert is_asked(plugin, rig.attributes({}, resource=NODES))
    assert not is_asked(plugin, rig.attributes({}, {}, resource=NODES))
    assert not is_asked(plugin, rig.attributes({}, resource=NODES, subresource="status"))
    assert not is_asked(plugin, rig.attributes({}))
