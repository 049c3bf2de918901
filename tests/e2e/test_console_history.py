"""The history in the console: who changed what, the difference of a change, and taking it back."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from e2e.consoles import MARKS, Consoles, console_server
from eventually import eventually

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [*MARKS]
expect = playwright.expect

FLAGS = ("--history", "--storage-backend=sqlite")
NAMESPACES = "/api/v1/namespaces"
MAPS = "/api/v1/namespaces/{}/configmaps"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
NAME = '<img src=x onerror="window.pwned=1">,=\\&?#;:()'
MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e\u0007'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with console_server(tmp_path_factory.mktemp("history"), flags=FLAGS) as server:
        yield server


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url, refused=(403, 409)) as consoles:
        yield consoles


def space(api: Api, name: str) -> str:
    """The path of the config maps of a new namespace."""
    api.call("POST", NAMESPACES, {"metadata": {"name": name}})
    return MAPS.format(name)


def changed(api: Api, maps: str, name: str, *versions: dict[str, str]) -> None:
    """Write the versions of a config map, of which the first one creates it."""
    for at, data in enumerate(versions):
        body = {"metadata": {"name": name}, "data": data}
        api.call("PUT" if at else "POST", f"{maps}/{name}" if at else maps, body)


def as_user(server: InProcess, name: str) -> Api:
    """The server by another user, who may do everything."""
    other = Api(server.kubeconfig)
    other.config.headers.extend([("Impersonate-User", name), ("Impersonate-Group", "system:masters")])
    return other


def rows(page: Any) -> Any:
    return page.locator("main tbody tr")


def check(page: Any) -> None:
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


def address(**settings: str) -> str:
    return "#/history?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in settings.items())


def test_the_timeline_shows_who_changed_what(console: Consoles, server: InProcess, api: Api) -> None:
    maps = space(api, "line")
    changed(api, maps, "a", {"x": "1"}, {"x": "2"})
    as_user(server, "mary").call("PUT", f"{maps}/a", {"metadata": {"name": "a"}, "data": {"x": "3"}})
    page = console("for-root", address(namespace="line", kind="configmaps", name="a"))
    expect(rows(page)).to_have_count(3)
    expect(rows(page)).to_contain_text(
        [
            re.compile("mary.*update.*ConfigMap a.*\\.data\\.x: 2 -> 3"),
            re.compile("kubernetes-admin.*update.*ConfigMap a.*\\.data\\.x: 1 -> 2"),
            re.compile("kubernetes-admin.*create.*ConfigMap a.*created"),
        ]
    )
    expect(page.locator("nav a[aria-current=page]")).to_have_text("History")
    expect(page.locator(".state")).to_have_text("Live")
    changed(api, maps, "a2", {"x": "1"})
    api.call("DELETE", f"{maps}/a")
    expect(rows(page)).to_have_count(4)
    expect(rows(page).first).to_contain_text("deleted")
    expect(page.locator("#announcer")).to_have_text("History: 1 more")
    page.get_by_label("User").fill("mary")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("user=mary"))
    page.get_by_label("User").fill("")
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_label("Path").fill(".data.x")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Path").fill(".data.y")
    page.keyboard.press("Enter")
    expect(page.locator("main .note")).to_have_text(["No change is kept that fits."])
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_objects_of_the_cluster_are_among_those_of_namespaces(console: Consoles, api: Api) -> None:
    """The changes of both kinds are in the order in which they were made, page by page."""
    maps = space(api, "many")
    for at in range(60):
        changed(api, maps, f"m{at:02}", {"x": "1"})
        api.call("POST", NAMESPACES, {"metadata": {"name": f"many{at:02}"}})
    page = console("for-root", address(since="1h", user="kubernetes-admin"))
    expect(rows(page)).to_have_count(100)
    expected = [
        text for at in range(59, -1, -1) for text in (f"Namespace many{at:02}", f"ConfigMap m{at:02}")
    ]
    objects = rows(page).locator("td:nth-of-type(4)")
    assert objects.all_text_contents() == expected[:100]
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("cell", name="Namespace many", exact=True)).to_be_visible()
    assert objects.all_text_contents()[:120] == expected


def test_a_change_is_taken_back(console: Consoles, api: Api) -> None:
    maps = space(api, "back")
    text = "".join(f"line {n}\n" for n in range(20))
    first, second = {"x": "1", "text": text}, {"x": "2", "text": text.replace("line 9", "other")}
    changed(api, maps, "b", first, second)
    page = console("for-root", address(namespace="back", name="b"))
    rows(page).first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Changed: ConfigMap b")
    expect(dialog.locator(".diff b")).to_have_text(["@ .data.text\n", "@ .data.x\n"])
    expect(dialog.locator(".diff del")).to_have_text(["- line 9\n", '- "1"\n'])
    expect(dialog.locator(".diff ins")).to_have_text(["+ other\n", '+ "2"\n'])
    expect(dialog.locator(".facts")).to_contain_text("kubernetes-admin")
    expect(dialog.locator(".facts")).to_contain_text("127.0.0.1")
    link = dialog.locator(".facts dd a[href^='#/requests']")
    expect(link).to_have_attribute("href", re.compile("open=[0-9a-f-]{36}$"))
    dialog.get_by_role("button", name="Undo …").click()
    expect(dialog.get_by_role("heading", name="Would be updated: configmaps b")).to_be_focused()
    expect(dialog.locator(".diff").last.locator("ins")).to_contain_text(["line 9", 'x: "1"'])
    expect(dialog.locator(".diff").last.locator("del")).to_contain_text(["other", 'x: "2"'])
    assert api.call("GET", f"{maps}/b")["data"] == second
    check(page)
    dialog.get_by_role("button", name="Undo now").click()
    expect(dialog).to_have_count(0)
    assert api.call("GET", f"{maps}/b")["data"] == first
    expect(rows(page)).to_have_count(3)
    expect(page.locator("#announcer")).to_have_text(re.compile("Updated: configmaps b|History: 1 more"))


def test_a_conflict_is_told_and_overcome(console: Consoles, api: Api) -> None:
    maps = space(api, "conflict")
    changed(api, maps, "c", {"x": "1"}, {"x": "2"}, {"x": "3"})
    page = console("for-root", address(namespace="conflict", path=".data.x"))
    rows(page).nth(1).get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Undo …").click()
    expect(dialog.get_by_role("alert")).to_contain_text("others have changed since: .data.x")
    dialog.get_by_role("button", name="Take it back nevertheless").click()
    dialog.get_by_role("button", name="Undo now").click()
    expect(dialog).to_have_count(0)
    assert api.call("GET", f"{maps}/c")["data"] == {"x": "1"}


def test_objects_that_came_and_went(console: Consoles, api: Api) -> None:
    maps = space(api, "went")
    changed(api, maps, "d", {"x": "1"})
    api.call("DELETE", f"{maps}/d")
    page = console("for-root", address(namespace="went", name="d"))
    rows(page).first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".diff del", has_text='x: "1"')).to_have_count(1)
    dialog.get_by_role("button", name="Undo …").click()
    expect(dialog.locator(".diff ins", has_text='x: "1"')).to_have_count(1)
    dialog.get_by_role("button", name="Undo now").click()
    expect(rows(page)).to_have_count(3)
    assert api.call("GET", f"{maps}/d")["data"] == {"x": "1"}
    rows(page).first.get_by_role("button").click()
    expect(dialog.locator(".diff ins", has_text='x: "1"')).to_have_count(1)
    dialog.get_by_role("button", name="Undo …").click()
    expect(dialog.locator(".diff del", has_text='x: "1"')).to_have_count(1)
    assert api.call("GET", f"{maps}/d")["data"] == {"x": "1"}
    dialog.get_by_role("button", name="Undo now").click()
    expect(rows(page)).to_have_count(4)


def test_an_object_leads_to_its_history(console: Consoles, api: Api) -> None:
    maps = space(api, "leads")
    changed(api, maps, "e", {"x": "1"}, {"x": "2"})
    changed(api, maps, "f", {"x": "1"})
    page = console("for-root", "#/objects?kind=/v1/configmaps&namespace=leads&open=leads%2Fe")
    page.get_by_role("link", name="its changes, and who made them").click()
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_label("Name", exact=True)).to_have_value("e")
    rows(page).first.get_by_role("link", name="ConfigMap e").click()
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text("ConfigMap e")


def test_values_of_secrets_are_not_shown(console: Consoles, api: Api) -> None:
    space(api, "secret")
    path = f"{NAMESPACES}/secret/secrets"
    for at, value in enumerate(("canary-one", "canary-two")):
        body = {"metadata": {"name": "s"}, "stringData": {"password": value}}
        api.call("PUT" if at else "POST", f"{path}/s" if at else path, body)
    page = console("for-root", address(namespace="secret", kind="secrets"))
    expect(rows(page).first).to_contain_text(".data.password")
    rows(page).first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Undo …").click()
    expect(dialog.get_by_role("button", name="Undo now")).to_be_visible()
    assert "canary" not in page.content() and "Y2FuYXJ5" not in page.content()
    dialog.get_by_role("button", name="Undo now").click()
    expect(rows(page)).to_have_count(3)
    assert api.call("GET", f"{path}/s")["data"] == {"password": "Y2FuYXJ5LW9uZQ=="}


def test_hostile_names_and_values_are_texts(console: Consoles, api: Api) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    for at, text in enumerate((MARKUP, f"{MARKUP}\n{MARKUP}")):
        metadata = {"name": NAME, "annotations": {"a": text}}
        path = f"{CLUSTER_ROLES}/{quote(NAME, safe='')}" if at else CLUSTER_ROLES
        api.call("PUT" if at else "POST", path, {"metadata": metadata, "rules": rules})
    page = console("for-root", address(kind="clusterroles.rbac.authorization.k8s.io", name=NAME))
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first.get_by_role("link")).to_have_text(f"ClusterRole {NAME}")
    rows(page).first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".diff ins")).to_have_count(2)
    expect(dialog.locator(".diff").first).to_contain_text("<script>")
    assert "\u202e" not in dialog.locator(".diff").inner_text()
    dialog.get_by_role("button", name="Undo …").click()
    expect(dialog.get_by_role("button", name="Undo now")).to_be_visible()
    count = "[typeof window.pwned, document.querySelectorAll('main img, dialog img, main script').length]"
    assert page.evaluate(count) == ["undefined", 0]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_timeline_can_be_read_by_everybody(console: Consoles, api: Api, width: int, scheme: str) -> None:
    changed(api, space(api, f"read-{width}"), "r", {"x": "1"}, {"x": "2"})
    page = console("for-root", "#/history", viewport={"width": width, "height": 800}, color_scheme=scheme)
    expect(rows(page).first).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    check(page)
    button = rows(page).filter(has_text=".data.x: 1 -> 2").first.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".diff")).to_be_visible()
    dialog.get_by_role("button", name="Undo …").focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading", name="Would be updated")).to_be_focused()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    check(page)
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_a_user_sees_what_his_rights_allow(console: Consoles, api: Api) -> None:
    changed(api, space(api, "rights"), "g", {"x": "1"})
    page = console("for-jane", address(namespace="rights"))
    expect(page.get_by_role("alert")).to_contain_text('User "jane" cannot list resource "changes"')
    expect(page.locator(".state")).to_have_text("Refused")
    rules = [
        {"apiGroups": ["history.pilothouse.dev"], "resources": ["changes"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
    ]
    api.call("POST", CLUSTER_ROLES, {"metadata": {"name": "jane"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "jane"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]
    api.call("POST", BINDINGS, {"metadata": {"name": "jane"}, "subjects": subjects, "roleRef": role})
    eventually(lambda: shown(console, address(name="g")), "jane sees the changes")
    page = console("for-jane", address(name="g"))
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("alert")).to_contain_text('cannot list resource "clusterchanges"')
    rows(page).first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".diff")).to_be_visible()
    expect(dialog.get_by_role("button", name="Undo …")).to_have_count(0)


def shown(console: Consoles, view: str) -> bool:
    page = console("for-jane", view)
    expect(page.locator(".state")).to_have_text(re.compile("Live|Refused"))
    return page.locator(".state").text_content() == "Live"


def test_a_console_that_only_reads_takes_nothing_back(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with console_server(tmp_path_factory.mktemp("read-only"), "read-only", FLAGS) as server:
        api = Api(server.kubeconfig)
        changed(api, MAPS.format("default"), "h", {"x": "1"}, {"x": "2"})
        with Consoles(browser, server.url) as console:
            page = console("for-root", address(namespace="default", name="h"))
            rows(page).first.get_by_role("button").click()
            dialog = page.get_by_role("dialog")
            expect(dialog.locator(".diff ins")).to_have_text(['+ "2"\n'])
            expect(dialog.get_by_role("button", name="Undo")).to_have_count(0)


def test_without_a_history_nothing_leads_to_one(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with console_server(tmp_path_factory.mktemp("without")) as server:
        api = Api(server.kubeconfig)
        changed(api, MAPS.format("default"), "i", {"x": "1"})
        with Consoles(browser, server.url) as console:
            page = console("for-root", "#/objects?kind=/v1/configmaps&namespace=default&open=default%2Fi")
            dialog = page.get_by_role("dialog")
            expect(dialog.locator(".facts")).to_contain_text("Created")
            expect(dialog.get_by_role("link", name="its changes")).to_have_count(0)
            page.keyboard.press("Escape")
            expect(page.get_by_role("link", name="Events", exact=True)).to_be_visible()
            expect(page.get_by_role("link", name="History", exact=True)).to_have_count(0)
