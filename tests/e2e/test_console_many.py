"""The console with 20,000 objects: all of them can be found, page by page."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.consoles import MARKS, Consoles, console_server

from pilothouse.commands.api import Api
from pilothouse.storage.interface import Op, Storage
from pilothouse.storage.keys import ROOT
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS, pytest.mark.timeout(300)]
expect = playwright.expect

MAPS = "/api/v1/namespaces/many/configmaps"
MANY = 20_000
"""Objects: 40 pages of a list, 20 of a search."""
ALL = r"20,00\d"
AT_ONCE = 5000
"""Objects that are written to the store together."""
VIEW = "#/objects?kind=/v1/configmaps&namespace=many"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with console_server(tmp_path_factory.mktemp("tokens")) as server:
        api = Api(server.kubeconfig)
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "many"}})
        api.call("POST", MAPS, {"metadata": {"name": "cfg-00000"}})
        server.run(fill(server._server.cluster.registry.storage))
        for name in ("zz-needle-1", "zz-needle-2"):
            api.call("POST", MAPS, {"metadata": {"name": name, "labels": {"sort": "needle"}}})
        yield server


async def fill(storage: Storage) -> None:
    """Write what the server has stored of one object to the store under many names, as created years ago."""
    first = f"{ROOT}configmaps/many/cfg-00000"
    [stored] = (await storage.range(first)).items
    metadata = json.loads(stored.value)["metadata"]
    uid, old = metadata["uid"], b"2020-01-01T00:00:00Z"
    value = stored.value.replace(metadata["creationTimestamp"].encode(), old)

    def another(number: int) -> Op:
        name = f"cfg-{number:05}"
        own = f"{uid[:-5]}{number:05}"
        named = value.replace(b"cfg-00000", name.encode()).replace(uid.encode(), own.encode())
        return Op(f"{ROOT}configmaps/many/{name}", named)

    for begin in range(0, MANY, AT_ONCE):
        await storage.txn([another(number) for number in range(begin, min(begin + AT_ONCE, MANY))])


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url, refused=(400,)) as consoles:
        yield consoles


def row(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def held_pages(page: Any) -> list[Any]:
    """The requests for further pages, which wait until `continue_` is called."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route(re.compile("[?&]continue="), hold)
    return held


def test_a_name_is_found_behind_all_pages(console: Consoles) -> None:
    page = console("for-root", VIEW)
    expect(page.locator(".paging")).to_contain_text(re.compile(rf"500 of {ALL} are listed"))
    expect(row(page, "zz-needle-1")).to_have_count(0)
    page.get_by_label("Name contains").fill("needle")
    expect(row(page, "zz-needle-1")).to_be_visible()
    expect(row(page, "zz-needle-2")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("button", name="Search on")).to_be_hidden()
    expect(page).to_have_url(re.compile("name=needle"))
    page.reload()
    expect(row(page, "zz-needle-2")).to_be_visible()
    page.get_by_label("Name contains").fill("no such name")
    expect(page.get_by_text("There is none.")).to_be_visible()
    page.get_by_label("Name contains").fill("")
    expect(page.locator("tbody tr")).to_have_count(500)


def test_a_search_stops_when_it_is_told_to_and_goes_on(console: Consoles) -> None:
    page = console("for-root")
    held = held_pages(page)
    page.goto(page.url.partition("#")[0] + VIEW + "&name=needle-2")
    expect(page.locator(".paging")).to_contain_text(re.compile(rf"Searched 1,000 of {ALL}: 0 found …"))
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".paging")).to_contain_text(re.compile(rf"Searched 1,000 of {ALL}: 0 found\."))
    assert len(held) == 1
    page.unroute_all()
    page.get_by_role("button", name="Search on").click()
    expect(row(page, "zz-needle-2")).to_be_visible()


def test_an_exact_name_is_found_at_once(console: Consoles) -> None:
    page = console("for-root")
    held_pages(page)
    page.goto(page.url.partition("#")[0] + VIEW + "&name=zz-needle-2")
    expect(row(page, "zz-needle-2")).to_be_visible()


def test_pages_are_added_one_by_one(console: Consoles) -> None:
    page = console("for-root", VIEW)
    expect(page.locator("tbody tr")).to_have_count(500)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("tbody tr")).to_have_count(1000)
    expect(page.locator(".paging")).to_contain_text(re.compile(rf"1,000 of {ALL} are listed"))


def test_rows_of_a_page_are_laid_out_together(console: Consoles) -> None:
    """Each layout takes as long as the table is, so there is not one for each row that lights up."""
    page = console("for-root", VIEW)
    expect(page.locator("tbody tr")).to_have_count(500)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def layouts() -> int:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return int(next(one["value"] for one in metrics if one["name"] == "LayoutCount"))

    before = layouts()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("tbody tr.changed")).to_have_count(500)
    assert layouts() - before < 100


def names(page: Any) -> list[str]:
    """The names of the first rows."""
    return [str(text) for text in page.locator("tbody th").all_inner_texts()[:3]]


def test_the_newest_objects_come_first(console: Consoles, api: Api) -> None:
    """All pages are read for it, and the order is in the address; what is created then is on top at once."""
    page = console("for-root", VIEW)
    expect(page.locator("tbody tr")).to_have_count(500)
    page.get_by_role("button", name="Age", exact=True).click()
    paging = page.locator(".paging")
    expect(paging).to_contain_text(re.compile(rf"The first 500 of {ALL} are shown"))
    expect(row(page, "zz-needle-1")).to_be_visible()
    assert sorted(names(page)) == ["kube-root-ca.crt", "zz-needle-1", "zz-needle-2"], (
        "the others are years old"
    )
    expect(page).to_have_url(re.compile("sort=Age"))
    expect(page.locator("tbody tr")).to_have_count(500)
    api.call("POST", MAPS, {"metadata": {"name": "aa-new"}})
    expect(page.locator("tbody th").first).to_have_text("aa-new")
    expect(page.get_by_role("button", name="Show more")).to_be_visible()
    api.call("DELETE", f"{MAPS}/aa-new")
    expect(row(page, "aa-new")).to_have_count(0)
    page.goto(page.url.partition("#")[0] + VIEW + "&sort=-Name&labels=sort%3Dneedle")
    expect(row(page, "zz-needle-1")).to_be_visible()
    assert names(page) == ["zz-needle-2", "zz-needle-1"]
    page.goto(page.url.partition("#")[0] + VIEW + "&sort=Nothing")
    expect(paging).to_contain_text(re.compile(rf"1,000 of {ALL} are listed"))


KEPT = """async () => {
    const { Live } = await import("/console/live.js");
    const { Pages } = await import("/console/paging.js");
    const row = (number) => ({ object: { metadata: { uid: String(number), name: String(number) } }, number });
    const live = Object.assign(Object.create(Live.prototype), {
        rows: new Map(), touched: new Set(), bound: null, wanted: 400, sort: "Name", order: null,
        filter: () => "", test: () => true, drawing: 1,
        changes: { added: 0, changed: 0, deleted: 0 }, restarts: 0, restart() { this.restarts += 1; },
        table: { comparing: () => (a, b) => a.number - b.number }, pages: { next: "", partial: false },
    });
    const from = (first, count) => Array.from({ length: count }, (_, at) => row(first + at));
    const out = [];
    const note = () => {
        const { rows, bound, pages, restarts } = live;
        out.push([rows.size, bound && bound.number, pages.partial, restarts]);
    };
    live.add(from(1000, 900));
    note();
    live.add(from(3000, 300));
    note();
    live.add(from(0, 100));
    note();
    live.change("ADDED", row(1850));
    note();
    for (const { number } of from(0, 100)) live.change("MODIFIED", { ...row(number), number: number + 5000 });
    note();
    for (const gone of from(1000, 400)) live.change("DELETED", gone);
    note();
    live.change("DELETED", row(1400));
    note();
    Pages.prototype.further.call({ live, next: "" });
    note();
    out.push(live.wanted);
    return out;
}"""


def test_a_sorted_list_keeps_the_first_rows(console: Consoles) -> None:
    """Rows after the last one that is kept are let go, for others between them are not known; when too few
    are left, the list is read again."""
    page = console("for-root", "#/store")
    assert page.evaluate(KEPT) == [
        [900, None, False, 0],
        [900, 1899, True, 0],
        [900, 1799, True, 0],
        [900, 1799, True, 0],
        [800, 1799, True, 0],
        [400, 1799, True, 0],
        [399, 1799, True, 1],
        [399, 1799, True, 2],
        900,
    ]


def test_the_server_filters_by_labels_and_fields(console: Consoles) -> None:
    page = console("for-root", VIEW + "&labels=sort%3Dneedle")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator(".paging span")).to_be_empty()
    page.get_by_label("Fields").fill("metadata.name=zz-needle-2")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("fields=metadata.name%3Dzz-needle-2"))
    page.get_by_label("Fields").fill("spec.nope=1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("is not a known field selector")


def test_the_watch_knows_better_than_a_page_that_comes_late(console: Consoles, api: Api) -> None:
    page = console("for-root", VIEW)
    expect(page.locator(".state")).to_have_text("Live")
    expect(page.locator("tbody tr")).to_have_count(500)
    held_pages(page)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    for name in ("cfg-00600", "cfg-00001"):
        api.call("DELETE", f"{MAPS}/{name}")
    expect(row(page, "cfg-00001")).to_have_count(0)
    page.unroute_all()  # lets go all that are held, for the page may have begun its list anew
    expect(row(page, "cfg-00601")).to_be_visible()
    expect(row(page, "cfg-00600")).to_have_count(0)


def test_objects_of_all_kinds_are_found_by_their_name(console: Consoles, api: Api) -> None:
    """Among 20,000 of one kind and those of all others; objects that two groups serve are told once."""
    api.call("POST", "/api/v1/namespaces/many/serviceaccounts", {"metadata": {"name": "zz-needle-1"}})
    event = {"metadata": {"name": "zz-needle-1"}, "involvedObject": {"namespace": "many"}}
    api.call("POST", "/api/v1/namespaces/many/events", event)
    page = console("for-root", "#/objects")
    page.get_by_label("Exact name, in all kinds").fill("zz-needle-1")
    page.keyboard.press("Enter")
    found = [f"{kind} zz-needle-1 in many" for kind in ("ConfigMap", "Event", "ServiceAccount")]
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_text(found)
    expect(page).to_have_url(re.compile("find=zz-needle-1"))
    page.get_by_role("link", name="ConfigMap zz-needle-1").click()
    expect(page.get_by_role("dialog")).to_contain_text("sort: needle")
    page.go_back()
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(3)
    page.goto(page.url.partition("#")[0] + "#/objects?find=no%2Csuch%3Dname")
    expect(page.get_by_text("There is no object called no,such=name.")).to_be_visible()
