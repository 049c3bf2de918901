"""Images are pulled for every pod anew."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.alwayspullimages import AlwaysPullImages

KINDS = ("initContainers", "containers", "ephemeralContainers")


def with_policies(*policies: Any) -> Any:
    """A pod with a container of each policy in each list."""
    named = [{"name": f"c{n}", "image": "i", "imagePullPolicy": policy} for n, policy in enumerate(policies)]
    return pod("p", spec={kind: [dict(one) for one in named] for kind in KINDS})


def policies(obj: Any) -> Any:
    return {container.get("imagePullPolicy") for kind in KINDS for container in obj["spec"].get(kind, ())}


async def test_every_container(rig: Rig) -> None:
    obj = with_policies("Never", "IfNotPresent", "Always")
    AlwaysPullImages().mutate(rig.attributes(obj))
    assert policies(obj) == {"Always"}
    AlwaysPullImages().validate(rig.attributes(obj))


@pytest.mark.parametrize(("image", "expected"), [("i", {"Never"}), ("new", {"Always"})])
async def test_updates_count_where_they_bring_an_image(rig: Rig, image: str, expected: set[str]) -> None:
    old, new = with_policies("Never"), with_policies("Never")
    new["spec"]["containers"][0]["image"] = image
    AlwaysPullImages().mutate(rig.attributes(new, old))
    assert policies(new) == expected


async def test_what_a_later_plugin_has_changed(rig: Rig) -> None:
    obj = pod("p", spec={"initContainers": [{"name": "i", "imagePullPolicy": "Never"}]})
    with pytest.raises(errors.Unknown) as caught:
        AlwaysPullImages().validate(rig.attributes(obj))
    where = (
        'pods "p" is forbidden: spec.{}[0].imagePullPolicy: Unsupported value: {}: supported values: "Always"'
    )
    first, second = where.format("initContainers", '"Never"'), where.format("containers", '""')
    assert caught.value.message == f"[{first}, {second}]"
    AlwaysPullImages().validate(rig.attributes(obj, obj))


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = AlwaysPullImages()
    assert is_asked(plugin, rig.attributes({})) and is_asked(plugin, rig.attributes({}, {}))
    assert not is_asked(plugin, rig.attributes({}, {}, subresource="status"))
    assert not is_asked(plugin, rig.attributes(None, {}, operation="DELETE"))
