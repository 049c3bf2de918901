"""Objects are changed in the console: by a text of the whole, and by what somebody applies."""

import json
import re
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.consoles import MARKS, Consoles

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [*MARKS]
expect = playwright.expect

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
POD = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT = {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": POD}
LARGE = 9007199254740993
"""A number that a browser's own numbers cannot hold."""


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url, refused=(400, 409, 422)) as consoles:
        yield consoles


def view(name: str, action: str = "", kind: str = "/v1/configmaps") -> str:
    open_ = f"default/{name}/{action}".rstrip("/")
    return f"#/objects?kind={kind}&namespace=default&open={open_}"


def edited(page: Any, *changes: tuple[str, str]) -> None:
    """Change parts of the text, and ask what that would do."""
    area = page.get_by_role("textbox", name="YAML")
    text = area.input_value()
    for old, new in changes:
        assert old in text, text
        text = text.replace(old, new)
    area.fill(text)
    page.get_by_role("button", name="Show changes").click()


def save(page: Any) -> None:
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#announcer")).to_have_text(re.compile("is saved$"))


def managers(made: Any) -> dict[tuple[str, str], Any]:
    entries = made["metadata"]["managedFields"]
    return {(one["manager"], one["operation"]): one["fieldsV1"] for one in entries}


def applied(server: InProcess, name: str, manager: str, data: dict[str, str]) -> None:
    """Apply a config map as another manager."""
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    url = f"{server.url}{MAPS}/{name}?fieldManager={manager}"
    headers = {"Authorization": "Bearer for-root", "Content-Type": "application/apply-patch+yaml"}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers, method="PATCH")
    trust = ssl.create_default_context(cafile=str(server.ca_file))
    with urllib.request.urlopen(request, context=trust) as answer:
        assert answer.status in (200, 201)


def test_an_edit_shows_what_would_change_and_saves_it(console: Consoles, api: Api) -> None:
    api.call("POST", MAPS, {"metadata": {"name": "one"}, "data": {"a": "b", "gone": "x"}})
    page = console("for-root", view("one"))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("a: b")
    dialog.get_by_role("button", name="Edit").click()
    expect(page).to_have_url(re.compile("open=default%2Fone%2Fedit"))
    area = page.get_by_role("textbox", name="YAML")
    expect(area).not_to_have_value(re.compile("managedFields"))
    edited(page, ("  a: b\n", "  a: c\n"), ("  gone: x\n", ""))
    expect(dialog.locator("del")).to_have_text(["-   a: b\n", "-   gone: x\n"])
    expect(dialog.locator("ins")).to_have_text(["+   a: c\n"])
    assert api.call("GET", f"{MAPS}/one")["data"] == {"a": "b", "gone": "x"}, "a dry run only"
    save(page)
    expect(dialog).to_contain_text("a: c")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("ConfigMap one")
    made = api.call("GET", f"{MAPS}/one")
    assert made["data"] == {"a": "c"}
    assert managers(made)["pilothouse-console", "Update"] == {"f:data": {"f:a": {}}}


def test_what_would_change_nothing_is_not_saved(console: Consoles, api: Api) -> None:
    api.call("POST", MAPS, {"metadata": {"name": "same"}, "data": {"a": "b"}})
    page = console("for-root", view("same", "edit"))
    edited(page, ("  a: b\n", "  'a':   \"b\" # the same\n"))
    expect(page.get_by_role("dialog")).to_contain_text("Nothing would change")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_a_text_that_was_changed_again_is_not_saved(console: Consoles, api: Api) -> None:
    """Only what was shown can be saved: another change takes the button away."""
    api.call("POST", MAPS, {"metadata": {"name": "twice"}, "data": {"a": "b"}})
    page = console("for-root", view("twice", "edit"))
    edited(page, ("  a: b\n", "  a: c\n"))
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    page.get_by_role("textbox", name="YAML").press("End")
    page.keyboard.type(" ")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_a_change_of_somebody_else_is_a_conflict(console: Consoles, api: Api) -> None:
    made = api.call("POST", MAPS, {"metadata": {"name": "both"}, "data": {"a": "b", "other": "old"}})
    page = console("for-root", view("both", "edit"))
    dialog = page.get_by_role("dialog")
    edited(page, ("  a: b\n", "  a: c\n"))
    expect(dialog.locator("ins")).to_have_count(1)
    api.call("PUT", f"{MAPS}/both", {**made, "data": {"a": "b", "other": "new"}})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("the object has been modified")
    assert api.call("GET", f"{MAPS}/both")["data"]["a"] == "b"
    dialog.get_by_role("button", name="Compare with the object as it is now").click()
    expect(dialog.locator("del")).to_have_text(["-   a: b\n", "-   other: new\n"])
    edited(page, ("  other: old\n", "  other: new\n"))
    expect(dialog.locator("del")).to_have_count(1)
    save(page)
    assert api.call("GET", f"{MAPS}/both")["data"] == {"a": "c", "other": "new"}


def test_the_version_in_the_text_is_needed(console: Consoles, api: Api) -> None:
    api.call("POST", MAPS, {"metadata": {"name": "blind"}, "data": {"a": "b"}})
    page = console("for-root", view("blind", "edit"))
    area = page.get_by_role("textbox", name="YAML")
    area.fill(re.sub("  resourceVersion.*\n", "", area.input_value()))
    page.get_by_role("button", name="Show changes").click()
    expect(page.get_by_role("alert")).to_contain_text('The text needs the line resourceVersion: "')


def test_refusals_tell_their_causes(console: Consoles, api: Api) -> None:
    api.call("POST", DEPLOYMENTS, {"metadata": {"name": "bad"}, "spec": DEPLOYMENT})
    page = console("for-root", view("bad", "edit", "apps/v1/deployments"))
    alert = page.get_by_role("alert")
    edited(page, ("  replicas: 1\n", "  replicas: -1\n"), ("    - image: i\n", "    - image: ''\n"))
    expect(alert).to_contain_text("422 Invalid")
    expect(alert.locator("li")).to_have_text(
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.spec.containers[0].image: Required value",
        ]
    )
    edited(page, ("  replicas: -1\n", "  replica: 2\n"))
    expect(alert).to_contain_text('unknown field "spec.replica"')
    edited(page, ("  replica: 2\n", "  replica: {\n"))
    expect(alert).to_contain_text("yaml: line")
    assert api.call("GET", f"{DEPLOYMENTS}/bad")["spec"]["replicas"] == 1


def test_warnings_of_the_server_are_shown(console: Consoles, api: Api) -> None:
    api.call("POST", DEPLOYMENTS, {"metadata": {"name": "warned"}, "spec": DEPLOYMENT})
    page = console("for-root", view("warned", "edit", "apps/v1/deployments"))
    variables = "".join(f"        - name: A\n          value: {value}\n" for value in "pq")
    edited(page, ("      - image: i\n", f"      - env:\n{variables}        image: i\n"))
    expect(page.locator("dialog [data-tone=warn]")).to_have_text(
        [re.compile(r'env\[1\]: hides previous definition of "A"')]
    )


def test_a_text_outlives_its_dialog(console: Consoles, api: Api) -> None:
    api.call("POST", MAPS, {"metadata": {"name": "kept"}, "data": {"a": "b"}})
    page = console("for-root", view("kept"))
    page.get_by_role("button", name="Edit").click()
    area = page.get_by_role("textbox", name="YAML")
    area.fill(area.input_value().replace("a: b", "a: long thought about"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit")).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    expect(area).to_have_value(re.compile("long thought about"))
    page.get_by_role("button", name="Drop my changes").click()
    expect(area).to_have_value(re.compile("a: b"))


def test_who_applies_fields_is_asked_about(console: Consoles, api: Api, server: InProcess) -> None:
    applied(server, "held", "argo", {"a": "b", "c": "d"})
    page = console("for-root", view("held", "edit"))
    dialog = page.get_by_role("dialog")
    edited(page, ("  a: b\n", "  a: c\n"))
    expect(dialog.locator("li")).to_have_text(["argo, which applies them: .data.a"])
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    page.get_by_label("Take them from who applies them").check()
    save(page)
    made = managers(api.call("GET", f"{MAPS}/held"))
    assert made["argo", "Apply"]["f:data"] == {"f:c": {}}


def test_an_apply_names_the_managers_it_conflicts_with(
    console: Consoles, api: Api, server: InProcess
) -> None:
    applied(server, "shared", "argo", {"a": "b", "c": "d"})
    page = console("for-root", view("shared", "apply"))
    dialog = page.get_by_role("dialog")
    area = page.get_by_role("textbox", name="YAML")
    version = api.call("GET", f"{MAPS}/shared")["metadata"]["resourceVersion"]
    skeleton = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shared\n  namespace: default\n"
    expect(area).to_have_value(f'{skeleton}  resourceVersion: "{version}"\n')
    area.fill(area.input_value() + "data:\n  a: mine\n  new: 'yes'\n")
    page.get_by_role("button", name="Show changes").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text('conflict with "argo"')
    expect(alert.locator("li")).to_have_text(['.data.a: conflict with "argo"'])
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    page.get_by_role("button", name="Take these fields from their managers").click()
    expect(dialog.locator("ins")).to_have_text(["+   a: mine\n", '+   new: "yes"\n'])
    save(page)
    made = api.call("GET", f"{MAPS}/shared")
    assert made["data"] == {"a": "mine", "c": "d", "new": "yes"}
    assert managers(made)["pilothouse-console", "Apply"] == {"f:data": {"f:a": {}, "f:new": {}}}
    assert managers(made)["argo", "Apply"] == {"f:data": {"f:c": {}}}

    page.goto(page.url.partition("#")[0] + view("shared", "apply"))
    expect(area).to_have_value(re.compile('data:\n  a: mine\n  new: "yes"\n'))
    edited(page, ("  a: mine\n", ""))
    expect(dialog.locator("del")).to_have_text(["-   a: mine\n"])
    save(page)
    assert api.call("GET", f"{MAPS}/shared")["data"] == {"c": "d", "new": "yes"}


def test_large_numbers_are_kept(console: Consoles, api: Api) -> None:
    revision = {"metadata": {"name": "large"}, "revision": LARGE, "data": {"number": LARGE}}
    api.call("POST", REVISIONS, revision)
    page = console("for-root", view("large", "edit", "apps/v1/controllerrevisions"))
    edited(page, ("metadata:\n", "metadata:\n  labels:\n    a: b\n"))
    expect(page.locator("dialog ins")).to_have_text(["+   labels:\n", "+     a: b\n"])
    save(page)
    made = api.call("GET", f"{REVISIONS}/large")
    assert (made["metadata"]["labels"], made["revision"]) == ({"a": "b"}, LARGE)
    assert made["data"] == {"number": LARGE}


def test_hostile_texts_come_through(console: Consoles, api: Api) -> None:
    hostile = {
        "managedFields": "- x\n  managedFields:\n",
        "markup": "<img src=x onerror=window.pwned=1>",
        "bell": "\u0007\u202e\u2028x",
        "metadata": "metadata:\n  managedFields:\n  - a\n",
        "spaces": "  two\t\n\n",
        "yes": "no",
    }
    labels = {"number": "12345"}
    api.call("POST", MAPS, {"metadata": {"name": "hostile", "labels": labels}, "data": hostile})
    page = console("for-root", view("hostile"))
    expect(page.get_by_role("dialog")).to_contain_text("onerror=window.pwned=1")
    page.get_by_role("button", name="Edit").click()
    edited(page, ("\ndata:\n", "\ndata:\n  added: x\n"))
    expect(page.locator("dialog ins")).to_have_text(["+   added: x\n"])
    expect(page.locator("dialog del")).to_have_count(0)
    save(page)
    assert api.call("GET", f"{MAPS}/hostile")["data"] == {**hostile, "added": "x"}
    assert page.evaluate("typeof window.pwned") == "undefined"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_by_keyboard_on_a_phone_and_with_a_screen_reader(
    console: Consoles, api: Api, server: InProcess, width: int, scheme: str
) -> None:
    name = f"reader-{scheme}"
    applied(server, name, "argo", {"a": "b"})
    page = console("for-root", view(name), color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.get_by_role("button", name="Edit")).to_be_visible()
    check(page)
    page.get_by_role("button", name="Edit").focus()
    page.keyboard.press("Enter")
    area = page.get_by_role("textbox", name="YAML")
    expect(area).to_be_focused()
    area.fill(area.input_value().replace("a: b", "a: c"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show changes")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What would change")).to_be_focused()
    check(page)
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_have_text(f"ConfigMap {name} is saved")
    expect(page.get_by_role("heading", name=f"ConfigMap {name}", exact=True)).to_be_visible()
    page.goto(page.url.partition("#")[0] + view(name, "apply"))
    area.fill(area.input_value() + "data:\n  a: x\n")
    page.get_by_role("button", name="Show changes").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check(page)


def check(page: Any) -> None:
    """Nothing is wider than the dialog, and no rule of axe is broken."""
    assert (
        page.evaluate("(one => one.scrollWidth - one.clientWidth)(document.querySelector('dialog .body'))")
        == 0
    )
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
