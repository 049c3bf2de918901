"""Texts of paths lead back to the paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history.paths import parsed, shown

STEPS = (
    st.integers(0, 99) | st.text(max_size=5) | st.sampled_from(["spec", "a.b/c", "it's", "\\", "$ref", "é"])
)


@given(st.lists(STEPS, max_size=5))
def test_a_text_leads_back_to_its_path(path: list[str | int]) -> None:
    assert parsed(shown(path)) == tuple(path)


def test_how_paths_look() -> None:
    assert shown(["spec", "containers", 0, "image"]) == ".spec.containers[0].image"
    assert shown(["metadata", "labels", "a.b/it's"]) == ".metadata.labels['a.b/it\\'s']"
    assert shown([]) == "."


@pytest.mark.parametrize("text", ["spec", ".a[", ".a['b", ".a[-1]", "..", ".a b"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a path of a field"):
        parsed(text)
