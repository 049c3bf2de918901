"""The budget of memory, from the flag or the control group."""

import pytest

from pilothouse.assembly.memory import bodies, budget, size_of
from pilothouse.configuration import options
from pilothouse.process import cgroup


@pytest.mark.parametrize(
    ("flags", "bytes"),
    [
        (["--max-memory=2Gi"], 2 << 30),
        (["--max-memory=500M"], 500_000_000),
        (["--max-memory=0"], 0),
        (["--max-memory=3Gi", "--workers=3", "--etcd-servers=http://localhost:1"], 1 << 30),
    ],
)
def test_the_flag_counts(flags: list[str], bytes: int) -> None:
    assert budget(options.parse(flags).process) == bytes


def test_without_the_flag_the_control_group_counts() -> None:
    limit = cgroup.memory_limit() or 0
    assert budget(options.parse([]).process) == limit - limit // 8


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--max-memory=much", "--max-memory 'much': "),
        ("--max-memory=-1Gi", "--max-memory -1Gi can not be negative"),
        ("--max-memory=100Mi", "--max-memory 100Mi must be at least 128Mi"),
        ("--max-unpaged-list-bytes=1x", "--max-unpaged-list-bytes '1x': "),
        ("--max-unpaged-list-bytes=-1", "--max-unpaged-list-bytes -1 can not be negative"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start(flag: str, problem: str) -> None:
    with pytest.raises(options.ConfigError) as caught:
        options.parse([flag])
    [told] = caught.value.problems
    assert told.startswith(problem)


def test_bodies_that_are_received_take_a_part_of_it() -> None:
    assert bodies(0) == 64 << 20 == bodies(8 << 30)
    assert bodies(256 << 20) == 32 << 20


def test_sizes() -> None:
    assert (size_of(""), size_of("1Ki"), size_of("1.5k")) == (0, 1024, 1500)
