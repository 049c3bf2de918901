"""The console in Chromium, driven by Playwright, against a server over TLS."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.consoles import MARKS, VIEWS, Consoles
from eventually import eventually

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [*MARKS]
expect = playwright.expect

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PAINTED = 300
"""Milliseconds to the first contentful paint on loopback."""
FETCHED = 210_000
"""Bytes of all that the page consists of."""

PAINT = "performance.getEntriesByName('first-contentful-paint')"
FILES = """performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .map((one) => [one.name, one.transferSize, one.renderBlockingStatus])"""


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url) as consoles:
        yield consoles


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_view_can_be_read_by_everybody(console: Consoles, api: Api, width: int, scheme: str) -> None:
    """No view is wider than the screen, and none breaks a rule of axe:
    contrast, names, roles, landmarks, headings."""
    page = console("for-root", viewport={"width": width, "height": 800}, color_scheme=scheme)
    for view in VIEWS:
        page.goto(page.url.partition("#")[0] + f"#/{view}")
        expect(page.locator("nav a[aria-current=page]")).to_have_attribute("data-view", view)
        expect(page.locator("main table tbody tr, main .note:not(:empty)").first).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, view
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == [], view


def test_the_numbers_of_the_overview_are_those_of_the_server(console: Consoles, api: Api) -> None:
    for n in range(20):
        api.call("POST", CONFIG_MAPS, {"metadata": {"name": f"counted-{n}"}})
    page = console("for-root")
    expect(page.get_by_text("Ready: all")).to_be_visible()
    expect(page.locator("#user")).to_have_text("root")
    row = page.locator("tr", has=page.locator("th", has_text=re.compile("^configmaps$"))).filter(
        has_text="POST"
    )
    expect(row.locator("td").last).to_have_text(re.compile(r"^[2-9]\d$"))
    expect(page.locator(".tile").first.locator("dd").first).to_have_text(re.compile(r"^\d"))


def test_a_live_table_follows_the_objects(console: Consoles, api: Api) -> None:
    page = console("for-root", "#/objects?kind=/v1/configmaps&namespace=default")
    expect(page.locator(".state")).to_have_text("Live")
    named = page.get_by_role("button", name="appears", exact=True)
    expect(named).to_have_count(0)
    api.call("POST", CONFIG_MAPS, {"metadata": {"name": "appears"}, "data": {"a": "b"}})
    expect(named).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text("configmaps: 1 added")
    named.click()
    expect(page.get_by_role("dialog")).to_contain_text("a: b")
    page.keyboard.press("Escape")
    api.call("DELETE", f"{CONFIG_MAPS}/appears")
    expect(named).to_have_count(0)


def test_the_content_of_secrets_is_not_shown(console: Consoles, api: Api) -> None:
    secret = {"metadata": {"name": "hidden"}, "stringData": {"password": "canary-of-a-secret"}}
    api.call("POST", "/api/v1/namespaces/default/secrets", secret)
    page = console("for-root", "#/objects?kind=/v1/secrets")
    page.get_by_role("button", name="hidden").click()
    expect(page.get_by_role("dialog")).to_contain_text("18 bytes, not shown")
    assert "canary" not in page.content() and "Y2FuYXJ5" not in page.content()


def test_events_come_in(console: Consoles, api: Api) -> None:
    page = console("for-root", "#/events")
    expect(page.locator(".state")).to_have_text("Live")
    event = {
        "metadata": {"name": "e1"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "it fails again and again",
    }
    api.call("POST", "/api/v1/namespaces/default/events", event)
    expect(page.locator("tbody tr").first).to_contain_text("it fails again and again")
    page.get_by_label("Warnings only").check()
    expect(page).to_have_url(re.compile("warnings=true"))
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_refusal_is_explained(console: Consoles) -> None:
    jane = console("for-jane", "#/objects?kind=/v1/secrets")
    alert = jane.get_by_role("alert")
    expect(alert).to_contain_text('User "jane" cannot list resource "secrets"')
    jane.goto(jane.url.partition("#")[0] + "#/overview")
    expect(alert).to_contain_text('User "jane" cannot get path "/metrics"')
    expect(alert).to_contain_text("system:monitoring")

    page = console("for-root", "#/requests")
    page.get_by_label("User").fill("jane")
    page.keyboard.press("Enter")
    refused = page.get_by_role("button", name="list /api/v1/secrets").first
    expect(refused).to_be_visible()
    page.get_by_role("button", name="Pause").click()  # the table is not made anew beneath the pointer
    refused.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No authorizer allowed jane to list secrets")
    expect(dialog.locator(".stages li").first).to_contain_text("authentication")
    expect(dialog).to_contain_text("kind: ClusterRole")


def test_by_keyboard_alone(console: Consoles) -> None:
    page = console()
    expect(page.get_by_label("Bearer token")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("401")
    expect(page.get_by_label("Bearer token")).to_be_focused()
    page.keyboard.type("for-root")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Skip to the content")
    tab_to(page, "Objects")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Objects")).to_be_focused()
    tab_to(page, "Group")
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Group")
    tab_to(page, "Namespace")
    page.keyboard.press("Enter")
    expect(page.locator(".state")).to_have_text("Live")
    tab_to(page, "kube-system")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="kube-system")).to_be_focused()


def tab_to(page: Any, text: str) -> None:
    """Press Tab until the element with this text has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            return
    raise AssertionError(f"no Tab leads to {text}")


def test_the_token_stays_in_the_tab(console: Consoles) -> None:
    page = console()
    page.get_by_label("Bearer token").fill("for-root")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.evaluate("[localStorage.length, document.cookie, location.href.includes('for-root')]") == [
        0,
        "",
        False,
    ]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Bearer token")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_client_certificate_needs_no_token(console: Consoles, server: InProcess) -> None:
    own = {"origin": server.url, "certPath": str(server.client_cert), "keyPath": str(server.client_key)}
    page = console(client_certificates=[own])
    expect(page.locator("#user")).to_have_text("kubernetes-admin")
    expect(page.get_by_text("Ready: all")).to_be_visible()


def test_pausing_stops_the_requests(console: Consoles) -> None:
    page = console("for-root", alone=True)
    expect(page.get_by_text("Ready: all")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(30_000)
    page.get_by_role("button", name="Paused").click()
    eventually(lambda: page.title() and asked, "a request after the pause")
    assert len([url for url in asked if url.endswith("/metrics")]) == 1


def test_the_page_is_small_and_painted_soon(console: Consoles) -> None:
    """The time that the browser needs to paint a line of text from the same server is its own; on a machine
    that is busy the page may take three times as long. The best of up to five counts."""
    painted: dict[str, list[float]] = {"": [], "../healthz": []}
    for _ in range(5):
        for path, times in painted.items():
            page = console(view=path, alone=True)
            page.wait_for_function(f"({PAINT}).length")
            times.append(page.evaluate(f"({PAINT})[0].startTime"))
            if path:
                continue
            expect(page.get_by_label("Bearer token")).to_be_visible()
            files = page.evaluate(FILES)
            assert 10_000 < sum(size for _, size, _ in files) < FETCHED
            blocking = [name.rpartition("/")[2] for name, _, status in files if status == "blocking"]
            assert blocking == ["console.css"]
        floor = min(painted["../healthz"])
        if (more := min(painted[""]) - floor) < max(PAINTED, 2 * floor):
            return
    raise AssertionError(f"painted {more} ms later than a line of text")


TEXT = """# HELP a_total Some.
# TYPE a_total counter
a_total{code="200",path="a\\"b\\\\c\\n{},"} 7
a_total{code="500",path=""} 2.5e+01
b_bucket{le="0.1"} 2
b_bucket{le="0.5"} 6
b_bucket{le="+Inf"} 8
b_count 8
b_sum 4.5
c NaN
d 1 1395066363000
"""


def test_metrics_are_read_as_others_read_them(console: Consoles) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    page = console()
    found = page.evaluate(
        """async (text) => {
            const { parse, labels } = await import("/console/exposition.js");
            const all = [...parse(text, () => true)];
            return all.flatMap(([name, series]) =>
                [...series].map(([row, value]) => [name, labels(row), String(value)]));
        }""",
        TEXT,
    )
    wanted = [
        (sample.name, sample.labels, sample.value)
        for family in parser.text_string_to_metric_families(TEXT)
        for sample in family.samples
    ]
    assert [(name, labels, str(float(value))) for name, labels, value in found] == [
        (name, labels, str(float(value))) for name, labels, value in wanted
    ]


def test_rates_and_quantiles(console: Consoles) -> None:
    """Quantiles are those of histogram_quantile;
    a counter that has become smaller was reset and counts from zero."""
    page = console()
    found = page.evaluate(
        """async (text) => {
            const { parse, gained, histograms, quantile, total } = await import("/console/exposition.js");
            const all = () => true, one = histograms(parse(text, all), "b", () => "all").get("all");
            const now = parse("a 5\\nb 3\\nc 9", all), before = parse("a 2\\nb 7", all);
            return [[0, 0.25, 0.5, 0.75, 0.9].map((q) => quantile(q, one)), one.count, one.sum,
                    ["a", "b", "c"].map((name) => total(gained(now, before), name))];
        }""",
        TEXT,
    )
    assert found[0] == pytest.approx([0, 0.1, 0.3, 0.5, 0.5])
    assert found[1:] == [8, 4.5, [3, 3, 9]]
