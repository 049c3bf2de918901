"""The console follows the log of a container, whatever is in it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from clients.cluster_streams import PODS, fill
from clients.drivers import Raw
from e2e.consoles import MARKS, Consoles, may_read_pods
from eventually import eventually
from streaming_kubelet import StreamingKubelet

from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [*MARKS]
expect = playwright.expect

VIEW = "#/objects?kind=/v1/pods&namespace=default"
WEB = f"{VIEW}&open=default%2Fweb%2Flogs"
KEPT = 5000
"""Lines that the page keeps."""
HOSTILE = (
    b"<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>\n"
    b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07 \x1b[2K\r\n"
    b"\xe2\x80\xaereversed\x00\xff\n" + b"x" * 30_000 + b"\n"
    b"after\n"
)


@pytest.fixture
def kubelet(tmp_path: Any, raw: Raw) -> Iterator[StreamingKubelet]:
    with StreamingKubelet(tmp_path) as kubelet:
        fill(raw, kubelet)
        images = {"containers": ("web", "proxy"), "initContainers": ("setup",)}
        spec = {key: [{"name": name, "image": "i"} for name in names] for key, names in images.items()}
        annotations = {"kubectl.kubernetes.io/default-container": "proxy"}
        metadata = {"name": "web", "annotations": annotations}
        raw.ok("POST", PODS, {"metadata": metadata, "spec": {"nodeName": "n-old", **spec}})
        yield kubelet


@pytest.fixture
def console(browser: Any, server: InProcess, kubelet: StreamingKubelet) -> Iterator[Consoles]:
    """Tabs that are closed before the kubelet ends."""
    with Consoles(browser, server.url) as consoles:
        yield consoles


def lines(page: Any) -> list[str]:
    shown: list[str] = page.locator(".log > div").all_text_contents()
    return shown


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_log_is_followed_until_its_dialog_is_closed(
    console: Consoles, kubelet: StreamingKubelet, width: int, scheme: str
) -> None:
    page = console("for-root", VIEW, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.get_by_role("button", name="web", exact=True).click()
    page.get_by_role("button", name="Logs").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("first")
    expect(page.get_by_role("status").filter(has_text="Following")).to_be_visible()
    expect(page).to_have_url(re.compile("open=default%2Fweb%2Flogs$"))
    assert kubelet.requests[-1][1] == "/containerLogs/default/web/proxy?follow=true&tailLines=1000"
    kubelet.say(b"second\nthi")
    expect(log).to_contain_text("second")
    kubelet.say(b"rd\n")
    expect(log.locator("div")).to_have_text(["first", "second", "third"])
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    page.go_back()
    expect(page.get_by_role("dialog")).to_contain_text("Pod web")
    eventually(lambda: kubelet.following == 0, "the log to be left")


def test_containers_and_options(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = console("for-root", WEB)
    expect(page.get_by_role("log")).to_contain_text("first")
    assert page.get_by_label("Container").locator("option").all_text_contents() == ["web", "proxy", "setup"]
    page.get_by_label("Container").select_option("setup")
    page.get_by_label("Last lines").select_option("100")
    page.get_by_label("Timestamps").check()
    page.get_by_label("Previous").check()
    expect(page.get_by_role("status").filter(has_text="The log has ended")).to_be_visible()
    asked = "/containerLogs/default/web/setup?previous=true&tailLines=100&timestamps=true"
    assert kubelet.requests[-1][1] == asked
    eventually(lambda: kubelet.following == 0, "the logs before to be left")
    expect(page.get_by_role("log")).to_have_text("first")


def test_a_log_that_is_paused_is_not_read_and_nothing_is_lost(
    console: Consoles, kubelet: StreamingKubelet
) -> None:
    page = console("for-root", WEB)
    log = page.get_by_role("log")
    expect(log).to_contain_text("first")
    pause = page.get_by_role("dialog").get_by_role("button", name="Pause")
    pause.click()
    for n in range(3):
        kubelet.say(b"line %d\n" % n)
        page.wait_for_timeout(200)
    assert lines(page) == ["first"]
    pause.click()
    expect(log.locator("div")).to_have_text(["first", "line 0", "line 1", "line 2"])


def test_what_does_not_contain_the_text_is_hidden(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = console("for-root", WEB)
    expect(page.get_by_role("log")).to_contain_text("first")
    page.get_by_role("dialog").get_by_label("Contains").fill("Err")
    kubelet.say(b"an error\nfine\n")
    expect(page.locator(".log > div:visible")).to_have_text(["an error"])
    page.get_by_role("dialog").get_by_label("Contains").fill("")
    expect(page.locator(".log > div:visible")).to_have_text(["first", "an error", "fine"])


def test_a_hostile_log_is_text(console: Consoles, kubelet: StreamingKubelet) -> None:
    kubelet.log[:] = [HOSTILE[:71], HOSTILE[71:]]
    page = console("for-root", WEB)
    expect(page.locator(".log > div").last).to_have_text("after")
    markup, colours, other, long, _ = lines(page)
    assert markup == HOSTILE.decode(errors="replace").split("\n")[0]
    assert colours == "red ␛]0;title␇ ␛[2K"
    assert other == "<U+202E>reversed␀\ufffd"
    assert long == "x" * 10_000 + " … and 20,000 more characters"
    assert page.evaluate("[typeof window.pwned, document.querySelectorAll('.log img').length]") == [
        "undefined",
        0,
    ]


def test_a_flood_keeps_the_latest_lines(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = console("for-root", WEB)
    expect(page.get_by_role("log")).to_contain_text("first")
    for start in range(0, 40_000, 1000):
        kubelet.say(b"".join(b"line %d\n" % n for n in range(start, start + 1000)))
    expect(page.locator(".log > div").last).to_have_text("line 39999")
    shown = lines(page)
    assert (len(shown), shown[0]) == (KEPT, f"line {40_000 - KEPT}")
    assert page.evaluate(
        "((log) => log.scrollHeight - log.clientHeight - log.scrollTop < 2)(document.querySelector('.log'))"
    ), "the end is in view"


def test_refusals_are_those_of_the_server(console: Consoles, kubelet: StreamingKubelet, raw: Raw) -> None:
    may_read_pods(raw, "jane")
    page = console("for-jane", WEB)
    expect(page.get_by_role("alert")).to_contain_text('User "jane" cannot get resource "pods/log"')
    assert kubelet.requests == []
