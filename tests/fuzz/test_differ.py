"""The differ finds nothing between two servers alike, and what is different between two others."""

from collections.abc import Iterator

import pytest
from fuzz.differ import FLAGS, differ_from, differences
from fuzz.play import Answer, Normaliser

from pilothouse.testing.server import Subprocess

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
TOKEN = "secret"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subprocess]:
    tokens = tmp_path_factory.mktemp("differ") / "tokens.csv"
    tokens.write_text(f"{TOKEN},admin,1,system:masters\n")
    with Subprocess([*FLAGS, f"--token-auth-file={tokens}"]) as server:
        yield server


def differ(reference: Subprocess, *more: str) -> tuple[int, str]:
    arguments = [reference.url, "--token", TOKEN, "--ca", str(reference.ca_file), "--seed", "3", *more]
    return differ_from(arguments)


def test_two_servers_alike_do_not_differ(reference: Subprocess) -> None:
    code, report = differ(reference, "--steps", "1500", "--share", "0")
    assert code == 0, report


def test_a_server_that_is_different_is_found_out(reference: Subprocess) -> None:
    code, report = differ(
        reference, "--steps", "400", "--areas", "create", "--flag=--enable-admission-plugins=AlwaysDeny"
    )
    assert code == 1
    assert "status: 201 wanted, 403 found" in report


def test_differences_tell_where() -> None:
    want = {"a": [{"b": 1}], "c": "x", "d": None}
    got = {"a": [{"b": 2}, {}], "c": "x", "e": 1}
    assert list(differences(want, got)) == [
        ".a: 1 items wanted, 2 found",
        ".a[].b: 1 wanted, 2 found",
        ".d: missing",
        ".e: not wanted",
    ]


def test_what_a_server_chooses_is_hidden() -> None:
    made = {
        "metadata": {
            "name": "gen-x7k2b",
            "uid": "11111111-2222-3333-4444-555555555555",
            "resourceVersion": "17",
        }
    }
    other = {
        "metadata": {
            "name": "gen-bcdfg",
            "uid": "aaaaaaaa-2222-3333-4444-555555555555",
            "resourceVersion": "3",
        }
    }
    one, two = (Normaliser().answer(Answer(200, {}, body)) for body in (made, other))
    assert one == two
    third = {"metadata": {**other["metadata"], "namespace": "a"}}
    assert Normaliser().answer(Answer(200, {}, third)) != one
