"""A namespace says on which nodes its pods run."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.podnodeselector import ANNOTATION, PodNodeSelector


async def annotate(rig: Rig, text: str) -> None:
    body = {"metadata": {"name": "default", "annotations": {ANNOTATION: text}}}
    await rig.ok("PUT", "/api/v1/namespaces/default", body)


def plugin(**selectors: Any) -> PodNodeSelector:
    return PodNodeSelector({"podNodeSelectorPluginConfig": selectors} if selectors else None)


def placed(rig: Rig, selector: Any = None, which: Any = None) -> Any:
    """The pod's selector after the plugin; the message of a refusal."""
    obj = pod("p", spec={"nodeSelector": selector} if selector else {})
    try:
        (which or plugin()).mutate(rig.attributes(obj))
    except errors.StatusError as err:
        return err.message
    return obj["spec"].get("nodeSelector")


CONFLICT = 'pods "p" is forbidden: pod node label selector conflicts with its namespace node label selector'
UNLISTED = 'pods "p" is forbidden: pod node label selector labels conflict with its namespace whitelist'


@pytest.mark.parametrize(
    ("annotation", "own", "expected"),
    [
        ("a=b, c = d", None, {"a": "b", "c": "d"}),
        ("a=b", {"e": "f"}, {"a": "b", "e": "f"}),
        ("a=b", {"a": "b"}, {"a": "b"}),
        ("a=b", {"a": "x"}, CONFLICT),
        ("", {"a": "x"}, {"a": "x"}),
        ("a", None, "invalid selector: [a]"),
        ("a=b=c", None, "invalid selector: [a b c]"),
    ],
)
async def test_annotations(rig: Rig, annotation: str, own: dict[str, Any] | None, expected: Any) -> None:
    await annotate(rig, annotation)
    assert placed(rig, own) == expected


async def test_the_default_of_the_cluster(rig: Rig) -> None:
    which = plugin(clusterDefaultNodeSelector="z=1")
    assert placed(rig, None, which) == {"z": "1"}
    await annotate(rig, "")
    assert placed(rig, None, which) is None  # an empty annotation is one


async def test_what_a_namespace_may_choose(rig: Rig) -> None:
    which = plugin(default="a=b,c=d")
    assert placed(rig, {"a": "b"}, which) == {"a": "b"}
    assert placed(rig, {"a": "c"}, which) == UNLISTED
    assert placed(rig, {"x": "y"}, which) == UNLISTED
    await annotate(rig, "x=y")
    assert placed(rig, None, which) == UNLISTED


async def test_labels_that_are_none(rig: Rig) -> None:
    await annotate(rig, "a!=b")
    assert placed(rig).startswith('<nil>: Invalid value: "a!": name part must consist of')
    await annotate(rig, "a=b!")
    assert placed(rig).startswith('a: Invalid value: "b!": a valid label must be')


async def test_what_a_later_plugin_has_changed(rig: Rig) -> None:
    await annotate(rig, "a=b")
    with pytest.raises(errors.Forbidden):
        plugin().validate(rig.attributes(pod("p", spec={"nodeSelector": {"a": "c"}})))
    with pytest.raises(errors.InternalError, match="namespace none does not exist"):
        plugin().validate(rig.attributes(pod("p"), namespace="none"))


async def test_only_new_pods(rig: Rig) -> None:
    assert is_asked(plugin(), rig.attributes({})) and not is_asked(plugin(), rig.attributes({}, {}))
