"""One object in the console: its relatives and events, and what can be done with it by whom."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from e2e.consoles import MARKS, Consoles, console_server
from eventually import eventually

from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [*MARKS]
expect = playwright.expect

MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/api/v1/namespaces/default/events"
NAMESPACES = "/api/v1/namespaces"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
POD = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT = {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": POD}
ALL = ["Edit", "Apply", "Scale", "Restart", "Delete"]


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url, refused=(403, 404, 409, 422)) as consoles:
        yield consoles


def view(name: str, action: str = "", kind: str = "/v1/configmaps", namespace: str = "default") -> str:
    open_ = quote(f"{namespace}/{name}/{action}".removesuffix("/"), safe="")
    return f"#/objects?kind={kind}&namespace={namespace}&open={open_}"


def deployed(api: Api, name: str) -> str:
    """The path of a new deployment."""
    api.call("POST", DEPLOYMENTS, {"metadata": {"name": name}, "spec": DEPLOYMENT})
    return f"{DEPLOYMENTS}/{name}"


def owned(api: Api, name: str, *owners: Any) -> Any:
    """A config map with these owners, which are config maps."""
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": one["metadata"]["name"],
            "uid": one["metadata"]["uid"],
        }
        for one in owners
    ]
    return api.call("POST", MAPS, {"metadata": {"name": name, "ownerReferences": references}})


def exists(api: Api, path: str) -> bool:
    try:
        api.call("GET", path)
    except ApiError as error:
        assert error.status == 404
        return False
    return True


def gone(api: Api, path: str) -> None:
    eventually(lambda: not exists(api, path), f"{path} is gone")


def check(page: Any) -> None:
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


def test_relatives_events_and_managers_of_an_object(console: Consoles, api: Api) -> None:
    parent = owned(api, "parent")
    child = owned(api, "child", parent)
    owned(api, "grandchild", child)
    event = {
        "metadata": {"name": "of-child"},
        "involvedObject": {"kind": "ConfigMap", "name": "child", "namespace": "default"},
        "reason": "Looked",
        "message": "somebody looked at it",
    }
    api.call("POST", EVENTS, event)
    other = {"kind": "ConfigMap", "name": "children", "namespace": "default"}
    api.call("POST", EVENTS, {**event, "metadata": {"name": "of-other"}, "involvedObject": other})
    page = console("for-root", view("child"))
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("tbody tr")).to_have_count(1)
    expect(dialog.locator("tbody tr")).to_contain_text("somebody looked at it")
    pre = dialog.locator("pre")
    expect(pre).not_to_contain_text("managedFields")
    dialog.get_by_role("button", name="Managed fields").click()
    expect(pre).to_contain_text("managedFields:\n")
    expect(dialog.get_by_role("link", name="refused and slow ones")).to_have_attribute(
        "href", "#/requests?resource=configmaps&namespace=default"
    )
    check(page)
    dialog.get_by_role("button", name="Look through all kinds").click()
    expect(dialog.get_by_role("listitem")).to_have_text(["ConfigMap grandchild in default"])
    dialog.get_by_role("link", name="ConfigMap parent").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("ConfigMap parent")
    dialog.get_by_role("button", name="Look through all kinds").click()
    expect(dialog.get_by_role("listitem")).to_have_text(
        ["ConfigMap child in default", "ConfigMap grandchild in default"]
    )
    page.go_back()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("ConfigMap child")


def test_a_search_for_dependents_ends_and_tells_what_it_has_not_seen(console: Consoles, api: Api) -> None:
    """One kind has more pages than are read, or a server that means harm says so."""
    owned(api, "searched")
    page = console("for-root", view("searched"))
    asked: list[str] = []

    def more(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"items": [{"metadata": {"uid": str(len(asked))}}], "metadata": {"continue": "x"}})

    page.route("**/limitranges?limit=*", more)
    page.get_by_role("button", name="Look through all kinds").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Not all is known: only the first 4 limitranges were looked at.")
    assert len(asked) == 4


def test_a_delete_lists_what_goes_with_it(console: Consoles, api: Api) -> None:
    top, other = owned(api, "top"), owned(api, "another")
    first = owned(api, "first", top)
    owned(api, "second", first)
    owned(api, "between", top, other)
    page = console("for-root", view("top"))
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("listitem")).to_have_text(
        [
            "ConfigMap between in default, which has another owner and stays",
            "ConfigMap first in default",
            "ConfigMap second in default",
        ]
    )
    check(page)
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("#announcer")).to_have_text(re.compile("ConfigMap top is deleted|configmaps"))
    expect(dialog).to_have_count(0)
    expect(page).not_to_have_url(re.compile("open="))
    for name in ("top", "first", "second"):
        gone(api, f"{MAPS}/{name}")
    assert exists(api, f"{MAPS}/between")


def test_dependents_may_stay(console: Consoles, api: Api) -> None:
    owned(api, "stays", owned(api, "leaves"))
    page = console("for-root", view("leaves", "delete"))
    page.get_by_label("Orphan").check()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    gone(api, f"{MAPS}/leaves")
    assert "ownerReferences" not in api.call("GET", f"{MAPS}/stays")["metadata"]


def test_another_object_of_the_same_name_is_not_deleted(console: Consoles, api: Api) -> None:
    api.call("POST", MAPS, {"metadata": {"name": "again"}})
    page = console("for-root", view("again", "delete"))
    expect(page.get_by_text("No object names it as its owner.")).to_be_visible()
    api.call("DELETE", f"{MAPS}/again")
    api.call("POST", MAPS, {"metadata": {"name": "again"}})
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_contain_text("the UID in the precondition")
    assert exists(api, f"{MAPS}/again")


def test_a_namespace_is_deleted_by_its_name(console: Consoles, api: Api) -> None:
    api.call("POST", NAMESPACES, {"metadata": {"name": "tenant"}})
    for name in ("a", "b"):
        api.call("POST", f"{NAMESPACES}/tenant/secrets", {"metadata": {"name": name}})
    page = console("for-root", view("tenant", "delete", "/v1/namespaces", ""))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem").filter(has_text="secrets")).to_have_text("2 secrets")
    delete = dialog.get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    named = dialog.get_by_label("Type tenant to delete it")
    named.fill("tenan")
    expect(delete).to_be_disabled()
    named.fill("tenant")
    check(page)
    delete.click()
    expect(dialog).to_have_count(0)
    gone(api, f"{NAMESPACES}/tenant")


def test_scale_and_restart(console: Consoles, api: Api) -> None:
    path = deployed(api, "web")
    page = console("for-root", view("web", kind="apps/v1/deployments"))
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".actions button")).to_have_text(ALL)
    dialog.get_by_role("button", name="Scale").click()
    expect(dialog.get_by_label("Replicas")).to_be_focused()
    check(page)
    dialog.get_by_label("Replicas").fill("3")
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_have_text("Deployment web is scaled to 3")
    expect(dialog).to_contain_text("replicas: 3")
    assert api.call("GET", path)["spec"]["replicas"] == 3
    dialog.get_by_role("button", name="Restart").click()
    check(page)
    dialog.get_by_role("button", name="Restart").click()
    expect(page.locator("#announcer")).to_have_text("Deployment web restarts")
    annotations = api.call("GET", path)["spec"]["template"]["metadata"]["annotations"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]{8}Z", annotations["kubectl.kubernetes.io/restartedAt"])
    expect(dialog).to_contain_text("restartedAt")


def test_what_is_refused_is_told_and_can_be_tried_again(console: Consoles, api: Api) -> None:
    path = deployed(api, "much")
    page = console("for-root", view("much", "scale", "apps/v1/deployments"))
    replicas = page.get_by_role("spinbutton", name="Replicas")
    replicas.fill("99999999999")
    page.get_by_role("button", name="Scale").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot unmarshal number 99999999999")
    replicas.fill("2")
    page.get_by_role("button", name="Scale").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert api.call("GET", path)["spec"]["replicas"] == 2


def test_actions_are_those_that_the_user_may_take(console: Consoles, api: Api) -> None:
    deployed(api, "looked-at")
    rules = [
        {"apiGroups": ["", "apps"], "resources": ["deployments", "configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
    ]
    api.call("POST", ROLES, {"metadata": {"name": "scaler"}, "rules": rules})
    subjects = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
    reference = {"kind": "Role", "name": "scaler", "apiGroup": "rbac.authorization.k8s.io"}
    api.call("POST", BINDINGS, {"metadata": {"name": "jane"}, "subjects": subjects, "roleRef": reference})
    page = console("for-jane", view("looked-at", kind="apps/v1/deployments"))
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".actions button")).to_have_text(["Scale"])
    expect(dialog.get_by_role("alert")).to_contain_text('cannot list resource "events"')
    dialog.get_by_role("button", name="Look through all kinds").click()
    expect(dialog).to_contain_text("you may not list secrets")
    page.goto(page.url.partition("#")[0] + view("looked-at", "delete", "apps/v1/deployments"))
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert").last).to_contain_text('cannot delete resource "deployments"')


def test_secrets_are_not_edited(console: Consoles, api: Api) -> None:
    api.call(
        "POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}}
    )
    page = console("for-root", view("s", kind="/v1/secrets"))
    expect(page.locator(".actions button")).to_have_text(["Delete"])


def test_a_console_that_only_reads(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    with console_server(tmp_path_factory.mktemp("read-only"), "read-only") as server:
        api = Api(server.kubeconfig)
        api.call("POST", MAPS, {"metadata": {"name": "a"}, "data": {"a": "b"}})
        with Consoles(browser, server.url) as console:
            page = console("for-root", view("a", "edit"))
            dialog = page.get_by_role("dialog")
            expect(dialog).to_contain_text("a: b")
            expect(dialog.get_by_role("heading", level=2)).to_have_text("ConfigMap a")
            expect(dialog).to_contain_text("None is kept.")
            page.wait_for_timeout(1000)
            expect(dialog.locator(".actions button")).to_have_count(0)
            expect(dialog.locator("textarea")).to_have_count(0)


NAME = '<img src=x onerror="window.pwned=1">,=\\&?#;:()'


def test_a_hostile_name(console: Consoles, api: Api) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    api.call("POST", CLUSTER_ROLES, {"metadata": {"name": NAME}, "rules": rules})
    kind = "rbac.authorization.k8s.io/v1/clusterroles"
    page = console("for-root", view(NAME, kind=kind, namespace=""))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text(f"ClusterRole {NAME}")
    expect(dialog).to_contain_text("None is kept.")
    dialog.get_by_role("button", name="Edit").click()
    area = page.get_by_role("textbox", name="YAML")
    area.fill(area.input_value().replace("  - pods\n", "  - nodes\n"))
    page.get_by_role("button", name="Show changes").click()
    expect(dialog.locator("ins")).to_have_text(["+   - nodes\n"])
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("No object names it as its owner.")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_have_count(0)
    assert not exists(api, f"{CLUSTER_ROLES}/{quote(NAME, safe='')}")
    assert page.evaluate("typeof window.pwned") == "undefined"
