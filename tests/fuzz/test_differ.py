"""The differ finds nothing between two servers alike, and what is different between two others."""

from collections.abc import Iterator

import pytest
from fuzz.differ import FLAGS, compared, differ_from, differences
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
    code, report = differ(reference, "--steps", "800", "--share", "0")
    assert code == 0, report


def test_a_server_that_is_different_is_found_out(reference: Subprocess) -> None:
    code, report = differ(
        reference, "--steps", "100", "--areas", "create", "--flag=--enable-admission-plugins=AlwaysDeny"
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


def test_what_follows_from_a_build_does_not_count() -> None:
    ours = {"minor": "36", "gitVersion": "v1.36.0", "paths": ["/api"], "sources": [{"secret": {"name": "a"}}]}
    other = {
        "minor": "36",
        "gitVersion": "v1.36.2",
        "goVersion": "go1.26",
        "paths": ["/apis"],
        "sources": [{"secret": {"name": "a"}}, {"configMap": {"name": "openshift-service-ca.crt"}}],
    }
    assert compared(Answer(200, {}, other), Answer(200, {}, ours)) == []
    assert compared(Answer(200, {}, other), Answer(200, {}, {**ours, "minor": "35"})) == [
        "status 200.body.minor: '36' wanted, '35' found"
    ]
    scheme = 'no kind "A" is registered for version "v1" in scheme "{}pkg/apis/register.go:27"'
    one, two = (Answer(400, {}, {"message": scheme.format(at)}) for at in ("k8s.io/apimachinery/", ""))
    assert compared(one, two) == []


def test_the_order_of_causes_does_not_count() -> None:
    causes = [{"field": "a", "message": "x"}, {"field": "b", "message": "y"}]
    want, got, less = (
        Answer(422, {}, {"message": f"Bad: [{given}]", "details": {"causes": given}})
        for given in (causes, causes[::-1], [causes[0], causes[0]])
    )
    assert compared(want, got) == []
    assert compared(want, less)


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
