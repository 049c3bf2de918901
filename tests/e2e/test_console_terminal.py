"""The terminal of the console: by keyboard, whatever a command writes, and only for users who may."""

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from clients.cluster_streams import fill
from clients.drivers import Raw
from e2e.consoles import MARKS, Consoles, may_read_pods
from eventually import eventually
from streaming_kubelet import StreamingKubelet
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from pilothouse.endpoints.request.browsers import FOREIGN
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [*MARKS]
expect = playwright.expect

EXEC = "/api/v1/namespaces/default/pods/old/exec"
SHELL = "env TERM=xterm PS1=ready$ bash --norc --noprofile"
CONTROLLED = "env --default-signal=INT setsid --ctty --wait sh"


@pytest.fixture
def kubelet(tmp_path: Any, raw: Raw) -> Iterator[StreamingKubelet]:
    with StreamingKubelet(tmp_path) as kubelet:
        fill(raw, kubelet)
        yield kubelet


@pytest.fixture
def console(browser: Any, server: InProcess, kubelet: StreamingKubelet) -> Iterator[Consoles]:
    """Tabs that are closed before the kubelet ends."""
    with Consoles(browser, server.url) as consoles:
        yield consoles


def opened(console: Consoles, pod: str = "old", token: str = "for-root", **settings: Any) -> Any:
    return console(token, f"#/objects?kind=/v1/pods&open=default%2F{pod}%2Fterminal", **settings)


def run(console: Consoles, command: str, pod: str = "old", **settings: Any) -> Any:
    page = opened(console, pod, **settings)
    page.get_by_label("Command").fill(command)
    page.get_by_role("button", name="Connect").click()
    return page


def connected(console: Consoles, command: str = "sh", pod: str = "old", **settings: Any) -> Any:
    """A terminal whose command goes on: it has the focus until the command ends."""
    page = run(console, command, pod, **settings)
    expect(page.get_by_role("textbox", name="Terminal")).to_be_focused()
    return page


def told(page: Any, text: str) -> None:
    expect(page.get_by_role("dialog").locator(".state")).to_have_text(text)


@pytest.mark.parametrize(("pod", "width", "scheme"), [("old", 1280, "light"), ("new", 390, "dark")])
def test_a_command_is_typed_and_answers(
    console: Consoles, kubelet: StreamingKubelet, pod: str, width: int, scheme: str
) -> None:
    """By the WebSocket that is translated, and by the one that the kubelet takes itself."""
    page = connected(console, pod=pod, viewport={"width": width, "height": 800}, color_scheme=scheme)
    told(page, "Connected")
    page.keyboard.type("echo $((6*7))é")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("42é")
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    page.keyboard.type("exit 3")
    page.keyboard.press("Enter")
    told(page, "Ended with exit code 3")
    expect(page.get_by_role("button", name="Connect")).to_be_focused()
    page.keyboard.press("Enter")
    told(page, "Connected")
    expect(page.get_by_role("log")).not_to_contain_text("42")
    page.keyboard.press("Control+d")
    told(page, "Ended")


def test_lines_are_edited(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = connected(console, SHELL)
    log = page.get_by_role("log")
    expect(log).to_contain_text("ready$")
    page.keyboard.type("echo ac")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("bx")
    page.keyboard.press("Backspace")
    expect(log.locator("div").last).to_have_text("ready$echo abc ")
    page.keyboard.press("Enter")
    expect(log.locator("div")).to_contain_text(["ready$echo abc", "abc", "ready$"])
    page.keyboard.press("ArrowUp")
    expect(log.locator("div").last).to_have_text("ready$echo abc ")
    page.keyboard.press("Control+u")
    expect(log.locator("div").last).to_have_text("ready$ ")
    page.keyboard.type("ech")
    page.keyboard.press("Tab")
    expect(log.locator("div").last).to_have_text("ready$echo  ")
    page.keyboard.type("y" * 200)
    page.keyboard.press("Control+a")
    page.keyboard.type("# ")
    page.keyboard.press("Enter")
    expect(log.locator("div").last).to_have_text("ready$ ")
    shown = "".join(text.rstrip(" ") for text in log.locator("div").all_text_contents())
    assert f"ready$# echo {'y' * 200}ready$" in shown


def test_a_command_is_interrupted(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = connected(console, CONTROLLED)
    page.keyboard.type("sh -c 'echo run''ning; sleep 100; echo not'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("running")
    page.keyboard.press("Control+c")
    expect(page.get_by_role("log")).to_contain_text("^C")
    page.keyboard.type("echo go''ne")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("gone")


def test_the_program_knows_the_size(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = connected(console, "env TERM=xterm sh", viewport={"width": 1280, "height": 800})
    sizes = []
    for width, sign in ((1280, "a"), (500, "b")):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(300)
        page.keyboard.type(f"clear; stty size; printf '%300s|' ''; echo; echo {sign}''{sign}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("log")).to_contain_text(f"{sign}{sign}")
        shown = page.locator(".log > div").all_text_contents()
        sizes.append(next(line.split() for line in shown if re.fullmatch(r"\d+ \d+", line)))
        assert int(sizes[-1][1]) == max(map(len, shown)), "the widest line has as many characters"
        room = page.evaluate("((log) => log.clientWidth - log.scrollWidth)(document.querySelector('.log'))")
        assert room == 0, "nothing is out of view"
    (rows, wide), (_, narrow) = sizes
    assert int(rows) > 10 and int(wide) > int(narrow) > 20


def test_it_is_left_by_keyboard_and_ends_with_its_dialog(
    console: Consoles, kubelet: StreamingKubelet
) -> None:
    page = connected(console)
    for key in ("Tab", "Escape"):
        page.keyboard.press(key)
        expect(page.get_by_role("textbox", name="Terminal")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("log")).to_be_focused()
    page.keyboard.type("x")
    expect(page.get_by_role("textbox", name="Terminal")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Disconnect")).to_be_focused()
    assert kubelet.open == 1
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    eventually(lambda: kubelet.open == 0, "the kubelet to be left")


def test_an_address_starts_nothing(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = opened(console)
    expect(page.get_by_role("button", name="Connect")).to_be_visible()
    page.wait_for_timeout(500)
    assert kubelet.requests == []


PASTE = """(text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
}"""


def test_a_paste_does_not_act_as_keys(console: Consoles, kubelet: StreamingKubelet) -> None:
    """Of its control characters only Tab and Enter come; a shell that asks for it is told what is pasted."""
    page = connected(console, "cat -v")
    page.evaluate(PASTE, "one\x03\x1b[201~\ntwo\n")
    expect(page.locator(".log > div")).to_have_text(["one[201~", "two", "one[201~", "two", " "])
    page = connected(console, SHELL)
    expect(page.get_by_role("log")).to_contain_text("ready$")
    page.evaluate(PASTE, "echo p''asted\n")
    page.wait_for_timeout(300)
    expect(page.get_by_role("log")).not_to_contain_text("pasted")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("pasted")


def test_hostile_output_is_text(console: Consoles, kubelet: StreamingKubelet, tmp_path: pathlib.Path) -> None:
    markup = b"<img src=x onerror='window.pwned=1'>"
    strings = b"\x1b]0;pwned\x07\x1b]52;c;cHduZWQ=\x07\x1bPq#\x1b\\\x1b[6n\x1b[c"
    strings += b"\x1b]8;;javascript:x\x07link\x1b]8;;\x07"
    moves = b"\x1b[9999999;9999999Hfar\x1b[9999999A\x1b[31mup\x1b[0m\x1b[9999999Pp\x1b[9999999@"
    (tmp_path / "hostile").write_bytes(markup + strings + moves + b"\xff\xe2\x80\xae\x00\x9b")
    page = run(console, f"cat {tmp_path}/hostile")
    expect(page.get_by_role("log")).to_contain_text("up")
    shown = page.locator(".log > div").all_text_contents()
    assert shown[0] == markup.decode() + "link"
    assert len(shown) < 100 and max(map(len, shown)) < 200
    assert page.evaluate("[typeof window.pwned, document.querySelectorAll('.log img').length]") == [
        "undefined",
        0,
    ]
    assert "pwned" not in page.title()


def test_a_flood_keeps_the_latest_lines(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = run(console, "seq 300000")
    expect(page.get_by_role("log")).to_contain_text("300000")
    shown = [text for text in page.locator(".log > div").all_text_contents() if text.strip()]
    assert shown == [str(n) for n in range(300_001 - len(shown), 300_001)]
    assert 1900 < len(shown) < 2600


def test_a_program_that_wants_the_whole_screen(console: Consoles, kubelet: StreamingKubelet) -> None:
    page = connected(console)
    page.keyboard.type("printf '\\033[?1049h'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").locator(".state")).to_contain_text("use kubectl exec")


@pytest.mark.parametrize(
    ("pod", "said"), [("away", "connection refused"), ("missing", "container not found")]
)
def test_what_the_kubelet_says(console: Consoles, kubelet: StreamingKubelet, pod: str, said: str) -> None:
    page = opened(console, pod)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_role("button", name="Connect")).to_be_enabled()


def test_refusals_are_those_of_the_server(console: Consoles, kubelet: StreamingKubelet, raw: Raw) -> None:
    may_read_pods(raw, "jane")
    page = opened(console, token="for-jane")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("alert")).to_contain_text('User "jane" cannot get resource "pods/exec"')
    assert kubelet.requests == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="old", exact=True).click()
    expect(page.get_by_role("button", name="Managed fields")).to_be_visible()
    expect(page.get_by_role("button", name="Terminal")).to_have_count(0)


def test_a_client_certificate_is_enough(
    console: Consoles, kubelet: StreamingKubelet, server: InProcess
) -> None:
    own = {"origin": server.url, "certPath": str(server.client_cert), "keyPath": str(server.client_key)}
    page = connected(console, token="", client_certificates=[own])
    page.keyboard.type("echo by''certificate")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("bycertificate")


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
def test_another_site_runs_nothing_by_a_certificate(
    kubelet: StreamingKubelet, server: InProcess, protocol: str
) -> None:
    """A browser sends a certificate with the WebSocket of any page, and names the page's origin."""
    target = f"{server.url.replace('https', 'wss')}{EXEC}?command=id&stdout=1"
    options: dict[str, Any] = {"ssl": server.context(), "subprotocols": [Subprotocol(protocol)]}
    for origin in ("https://evil.example", "null", f"{server.url}0"):
        with pytest.raises(InvalidStatus) as refused:
            connect(target, origin=Origin(origin), **options)
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body)["message"] == FOREIGN
    assert kubelet.requests == []
    with connect(target, origin=Origin(server.url), **options) as own:
        eventually(lambda: b"uid=" in bytes(own.recv(timeout=10)), "the command of an own page")
