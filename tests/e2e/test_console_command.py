"""The console in Chromium through `pilothouse console`, without a token and without a certificate."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from clients.cluster_streams import fill
from clients.drivers import Raw
from e2e.consoles import MARKS, Consoles
from streaming_kubelet import StreamingKubelet

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]
expect = playwright.expect

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def address(server: InProcess) -> Iterator[str]:
    """The address that the command tells."""
    words = [
        sys.executable,
        "-m",
        "pilothouse",
        "console",
        f"--kubeconfig={server.kubeconfig}",
        "--open=false",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout.readline().strip().removesuffix("/console/")
        process.terminate()


@pytest.fixture
def console(browser: Any, address: str) -> Iterator[Consoles]:
    with Consoles(browser, address) as consoles:
        yield consoles


def test_an_object_is_found_followed_and_edited(console: Consoles, api: Api) -> None:
    page = console(view="#/objects?kind=/v1/configmaps&namespace=default")
    expect(page.get_by_text("kubernetes-admin")).to_be_visible()
    expect(page.locator(".state")).to_have_text("Live")
    api.call("POST", MAPS, {"metadata": {"name": "one"}, "data": {"a": "b"}})
    page.get_by_role("button", name="one", exact=True).click()
    page.get_by_role("button", name="Edit").click()
    text = page.get_by_role("textbox", name="YAML")
    expect(text).to_have_value(re.compile("a: b"))
    text.fill(text.input_value().replace("a: b", "a: c"))
    page.get_by_role("button", name="Show changes").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#announcer")).to_have_text(re.compile("is saved$"))
    assert api.call("GET", f"{MAPS}/one")["data"] == {"a": "c"}


def test_the_terminal_of_a_pod(browser: Any, address: str, raw: Raw, tmp_path: pathlib.Path) -> None:
    with StreamingKubelet(tmp_path) as kubelet:
        fill(raw, kubelet)
        with Consoles(browser, address) as console:
            page = console(view="#/objects?kind=/v1/pods&open=default%2Fold%2Fterminal")
            page.get_by_label("Command").fill("sh")
            page.get_by_role("button", name="Connect").click()
            expect(page.get_by_role("textbox", name="Terminal")).to_be_focused()
            page.keyboard.type("echo $((6*7))é")
            page.keyboard.press("Enter")
            expect(page.get_by_role("log")).to_contain_text("42é")
            page.keyboard.type("exit 3")
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog").locator(".state")).to_have_text("Ended with exit code 3")
