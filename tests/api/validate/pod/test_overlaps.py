"""Overlaps of paths in volumes are those that comparing each with each finds, up to bounds."""

from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.validate.pod.overlaps import MOST, MOST_FILES, MountedFile, overlaps

PATHS = st.lists(st.sampled_from(["a", "b", "a.", "a-", "aa", ""]), min_size=1, max_size=3).map("/".join)
FILES = st.lists(st.tuples(PATHS, st.sampled_from(["", "S"])), max_size=7)


def shown(file: MountedFile) -> str:
    path, source = file
    return f'"{path}" ({source})' if source else f'"{path}"'


@given(FILES)
def test_pairs_are_those_of_comparing_each_with_each(files: list[MountedFile]) -> None:
    trimmed = [(path.rstrip("/"), source) for path, source in files]
    wanted = [
        f"{shown(late)} with {shown(early)}"
        for i, late in enumerate(trimmed)
        for early in trimmed[:i]
        if late[0] and early[0]
        if f"{late[0]}/".startswith(f"{early[0]}/") or f"{early[0]}/".startswith(f"{late[0]}/")
    ]
    assert list(overlaps(files)) == wanted


def test_bounds() -> None:
    assert len(list(overlaps([("a", "")] * (MOST_FILES + 1)))) == MOST
    apart = [(f"a{i}", "") for i in range(MOST_FILES)]
    assert list(overlaps([*apart, ("a0", "")])) == []
    assert len(list(overlaps([*apart[1:], ("a1", "")]))) == 1
