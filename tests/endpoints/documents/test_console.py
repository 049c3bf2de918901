"""The files of the console: who may read them, how browsers keep them, and that they need nothing else."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig

from pilothouse.endpoints.documents import console

FILES = pathlib.Path(console.__file__).parent / "console_files"
MODULES = sorted(path.name for path in FILES.glob("*.js"))
LARGEST = 200_000
"""Bytes of all files together."""


@pytest.fixture
def shown(runner: Any) -> Iterator[Rig]:
    """A server with the console that lets nobody in without credentials."""
    rig = Rig(flags=["--console"], anonymous=False)
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


async def test_anybody_may_read_the_files_whatever_their_credentials(shown: Rig) -> None:
    for headers in ({}, {"authorization": "Bearer of nobody"}):
        for name in ("", "index.html", "main.js", "console.css", "icon.svg"):
            answer = await shown.call("GET", f"/console/{name}", user="", headers=headers)
            assert answer.status == 200, name
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await shown.call("GET", "/metrics", user="", headers=headers)).status == 401


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("", "text/html; charset=utf-8"),
        ("main.js", "text/javascript; charset=utf-8"),
        ("console.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_a_file_is_kept_and_asked_for_again(shown: Rig, name: str, media_type: str) -> None:
    answer = await shown.call("GET", f"/console/{name}")
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.body.encode() == (FILES / (name or "index.html")).read_bytes()
    again = {"if-none-match": f'"other", W/{answer.headers["etag"]}'}
    assert (await shown.call("GET", f"/console/{name}", headers=again)).status == 304
    assert (await shown.call("GET", f"/console/{name}", headers={"if-none-match": '"other"'})).status == 200


async def test_the_policy_lets_nothing_in_from_elsewhere(shown: Rig) -> None:
    policy = (await shown.call("GET", "/console/")).headers["content-security-policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert directives["base-uri"] == directives["form-action"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert not re.search(r"unsafe|https?:|\*", policy)


async def test_paths_that_are_none_of_the_files(shown: Rig) -> None:
    answer = await shown.call("GET", "/console")
    assert (answer.status, answer.headers["location"]) == (301, "console/")
    for path in ("/console/nope.js", "/console/../pki.py", "/console/%2e%2e/console.py", "/console//main.js"):
        answer = await shown.call("GET", path)
        assert (answer.status, answer.body) == (404, "404 page not found\n"), path
    refused = await shown.call("POST", "/console/", user="")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert (await shown.call("GET", "/consoles", user="")).status == 401


async def test_without_the_flag_there_is_no_console(rig: Rig) -> None:
    assert (await rig.call("GET", "/console/", user="jane")).status == 403
    assert (await rig.call("GET", "/console/")).status == 404


async def test_a_page_that_only_reads_is_told_so(shown: Rig, runner: Any) -> None:
    rig = Rig(flags=["--console=read-only"], anonymous=False)
    await rig.start()
    try:
        answers = [await one.call("GET", "/console/") for one in (shown, rig)]
    finally:
        await rig.stop()
    assert ['data-mode="read-only"' in answer.body for answer in answers] == [False, True]
    assert answers[0].headers["etag"] != answers[1].headers["etag"]


async def test_the_answers_are_counted_as_others_are(shown: Rig) -> None:
    await shown.call("GET", "/console/main.js", user="")
    (found, *_) = (await shown.ok("GET", "/debug/requests"))["requests"]
    assert (found["path"], found["code"], found["user"]) == ("/console/main.js", 200, "system:anonymous")


def test_the_page_loads_every_module_at_once() -> None:
    """A module that is not named in the page would be asked for only after those that import it have come."""
    page = (FILES / "index.html").read_text()
    named = re.findall(r'<(?:link rel="modulepreload" href|script type="module" src)="([^"]+)"', page)
    assert sorted(named) == MODULES
    assert set(re.findall(r'(?:href|src)="([^"#]+)"', page)) <= {path.name for path in FILES.iterdir()}


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_what_exists(name: str) -> None:
    for names, module in re.findall(
        r'^import (?:\{([^}]+)\}|\* as \w+) from "\./([^"]+)";', (FILES / name).read_text(), re.M
    ):
        text = (FILES / module).read_text()
        for one in filter(None, (name.strip().partition(" as ")[0] for name in names.split(","))):
            assert re.search(rf"^export (?:async )?(?:function|class|const) {one}\b", text, re.M), one


def test_nothing_is_within_the_page_that_the_policy_forbids() -> None:
    page = (FILES / "index.html").read_text()
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=|javascript:", page)
    for path in FILES.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        ), path


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in FILES.iterdir()) < LARGEST
    assert {path.suffix[1:] for path in FILES.iterdir()} <= set(console.TYPES)
