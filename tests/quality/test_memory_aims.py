"""Memory of many objects, rules and informers compared with its goals."""

import crd_rules
import informers
import memory
import pytest
import startup

SLACK = 2
COUNT = 5_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_of_many_objects() -> None:
    """A twentieth of the objects may take what an idle server may, and a twentieth of the rest;
    `make aims` takes all."""
    rows = memory.measure(COUNT)
    most = max(megabytes for _, _, megabytes in rows)
    assert most < startup.IDLE_MB + (memory.AFTER_MB - startup.IDLE_MB) * COUNT / 100_000, rows


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_rules_of_many_definitions() -> None:
    """Twenty rules in each of sixty definitions, which are all used."""
    got = crd_rules.measure(60)
    assert {name: value for name, value in got.items() if value > SLACK * crd_rules.AIMS[name]} == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_informers_that_begin_at_once() -> None:
    """A hundredth of the objects; what does not grow with them may take 80 MB besides: caches, buffers,
    slices. What each of the informers has a copy of would take 160 MB."""
    worst, complete = informers.measure(10, only="^(watch|list rv=0 json$|list rv=0 protobuf$)")
    assert complete
    assert worst < informers.MOST + 8.0
