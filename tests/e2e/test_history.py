import pytest
from e2e.history import Log, Operation, check


def log(*changes: tuple[int, bool]) -> dict[str, Log]:
    out = Log()
    for revision, deleted in changes:
        out.add(revision, deleted)
    return {"a": out}


CHANGES = log((5, False), (8, False), (11, True), (14, False))


def op(kind: str, start: float, end: float, revision: int) -> Operation:
    return Operation("a", kind, start, end, revision)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [op("write", 0, 1, 5), op("read", 2, 3, 5), op("write", 4, 5, 8), op("read", 6, 7, 8)],
        [op("write", 0, 9, 5), op("read", 1, 2, 0), op("read", 3, 4, 5)],
        [op("read", 0, 9, 8), op("read", 1, 2, 5)],
        [op("write", 0, 1, 8), op("delete", 2, 3, 11), op("read", 4, 5, 0), op("write", 6, 7, 14)],
        [op("read", 0, 1, 0), op("read", 2, 3, 14)],
    ],
)
def test_possible(operations: list[Operation]) -> None:
    assert check(operations, CHANGES) == []


@pytest.mark.parametrize(
    ("operations", "why"),
    [
        ([op("write", 0, 1, 6)], "is lost"),
        ([op("write", 0, 1, 5), op("write", 0, 1, 5)], "given twice"),
        ([op("write", 0, 1, 8), op("write", 2, 3, 5)], "began after 8"),
        ([op("read", 0, 1, 8), op("read", 2, 3, 5)], "a read at 8"),
        ([op("write", 0, 1, 5), op("delete", 2, 3, 11), op("read", 4, 5, 8)], "a read at 11"),
        ([op("write", 0, 1, 14), op("read", 2, 3, 0)], "a read at 14"),
        ([op("read", 0, 1, 7)], "saw 7"),
    ],
)
def test_impossible(operations: list[Operation], why: str) -> None:
    [problem] = check(operations, CHANGES)
    assert why in problem


def test_a_key_without_a_log() -> None:
    assert check([Operation("b", "read", 0, 1, 0)], {}) == []
    assert len(check([Operation("b", "write", 0, 1, 3)], {})) == 1
