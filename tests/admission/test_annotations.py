"""Audit annotations of plugins."""

import pytest
from harness import Rig

from pilothouse.admission.annotations import annotate, annotate_request


async def test_one_that_is_there_stays(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    a = rig.attributes({"metadata": {"name": "a"}})
    annotate(a, "p/k", "1")
    annotate(a, "p/k", "1")
    assert not caplog.records
    annotate(a, "p/k", "2")
    assert a.annotations == {"p/k": "1"} and len(caplog.records) == 1


@pytest.mark.parametrize("key", ["k", "a/b/c", "a b/c", "/c", ""])
async def test_a_key_that_is_no_qualified_name_is_left_out(rig: Rig, key: str) -> None:
    a = rig.attributes({"metadata": {"name": "a"}})
    annotate(a, key, "1")
    assert not a.annotations


async def test_what_shows_the_object_is_kept_apart(rig: Rig) -> None:
    a = rig.attributes({"metadata": {"name": "a"}})
    annotate_request(a, "p/k", "1")
    assert (a.annotations, a.request_annotations) == ({}, {"p/k": "1"})
