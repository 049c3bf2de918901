"""The overview tells troubles of a server that is ready."""

import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.consoles import MARKS, Consoles
from eventually import eventually

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]
expect = playwright.expect

NAMESPACES = "/api/v1/namespaces"
TAKEN = """async ({text}) => {
    const { parse } = await import("/console/exposition.js");
    const { Attention } = await import("/console/attention.js");
    return new Attention().take(parse(text, () => true)).map((one) => one.text);
}"""


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url) as consoles:
        yield consoles


def test_certificates_that_expire_soon_and_a_full_store(console: Consoles) -> None:
    now = datetime.datetime.now(datetime.UTC).timestamp()
    ends = {"far.crt": 90, "soon.crt": 9.5, "gone.crt": -1}
    lines = [f'pilothouse_certificate_expiry_timestamp_seconds{{path="{path}"}} {now + days * 86400}'
             for path, days in ends.items()]  # fmt: skip
    page = console("for-root")
    found = page.evaluate(TAKEN, {"text": "\n".join([*lines, "pilothouse_storage_full 1"])})
    assert found == [
        "the store is full",
        "certificate gone.crt has expired",
        "certificate soon.crt expires in 9d",
    ]
    assert page.evaluate(TAKEN, {"text": "\n".join([lines[0], "pilothouse_storage_full 0"])}) == []


def test_a_definition_that_is_not_served(console: Consoles, api: Api) -> None:
    """Its names are those of another one, until that is gone."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for plural in ("ones", "others"):
        schema = {"openAPIV3Schema": {"type": "object"}}
        version = {"name": "v1", "served": True, "storage": True, "schema": schema}
        names = {"plural": plural, "kind": "Same"}
        spec = {"group": "same.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
        api.call("POST", definitions, {"metadata": {"name": f"{plural}.same.example.com"}, "spec": spec})
    page = console("for-root")
    health = page.locator(".health")
    text = "definition others.same.example.com is not served as asked: ListKindConflict"
    expect(health).to_contain_text(text)
    expect(health).to_have_attribute("data-tone", "warn")
    api.call("DELETE", f"{definitions}/ones.same.example.com")
    expect(health).not_to_contain_text("definition")
    found = page.evaluate(
        TAKEN, {"text": 'pilothouse_unserved_definition{crd="",reason="NonStructuralSchema"} 2'}
    )
    assert found == ["definitions are not served as asked: NonStructuralSchema"]


def test_a_namespace_that_does_not_end(console: Consoles, api: Api) -> None:
    """It is told a minute after its deletion, with what it waits for."""
    api.call("POST", NAMESPACES, {"metadata": {"name": "endless"}})
    held = {"metadata": {"name": "held", "finalizers": ["example.com/nobody"]}}
    api.call("POST", f"{NAMESPACES}/endless/configmaps", held)
    api.call("DELETE", f"{NAMESPACES}/endless")
    eventually(lambda: waits(api, "endless"), "the controller says what the namespace waits for")
    page = console("for-root", "#/store", alone=True)
    page.clock.install()
    page.goto(page.url.partition("#")[0] + "#/overview")
    health = page.locator(".health")
    expect(health).to_have_text(re.compile(r"^Ready: all \d+ checks pass$"))
    page.clock.fast_forward("01:10")
    expect(health).to_contain_text("namespace endless does not end: Some content in the namespace has f")
    expect(health).to_have_attribute("data-tone", "warn")


def waits(api: Api, name: str) -> bool:
    conditions = api.call("GET", f"{NAMESPACES}/{name}")["status"].get("conditions", [])
    return any(
        one["type"] == "NamespaceFinalizersRemaining" and one["status"] == "True" for one in conditions
    )


def test_who_may_not_see_namespaces_is_refused_once(console: Consoles) -> None:
    """A refusal is kept in the journal, which others read."""
    page = console("for-jane", "#/store", alone=True)
    page.clock.install()
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text('User "jane" cannot get path "/metrics"')
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page.url.partition("#")[0] + "#/overview")
    for _ in range(3):
        with page.expect_request("**/readyz?verbose"):
            page.clock.fast_forward("00:40")
        page.wait_for_timeout(200)
    assert [sum(path in url for url in asked) for path in ("/namespaces?", "/debug/requests?")] == [1, 1]


def test_users_who_were_refused_lately(console: Consoles) -> None:
    jane = console("for-jane", "#/objects?kind=/v1/secrets")
    expect(jane.get_by_role("alert")).to_contain_text('User "jane" cannot list resource "secrets"')
    page = console("for-root")
    users = page.locator(".users")
    expect(users).to_contain_text(re.compile(r"^Refused in the last 5 minutes: .*jane \(\d+\)"))
    users.get_by_role("link", name="jane").click()
    expect(page.get_by_label("User")).to_have_value("jane")
    expect(page.get_by_role("button", name="list /api/v1/secrets").first).to_be_visible()
    found = page.evaluate(
        """async () => {
            const { refused } = await import("/console/attention.js");
            const time = (minute) => new Date(minute * 60000).toISOString();
            const at = (user, code, minute) => ({ user, code, received: time(minute) });
            return refused({ requests: [at("a", 403, 9), at("b", 401, 9), at("b", 403, 8), at("a", 403, 1),
                at("c", 404, 9)] }, 600000);
        }"""
    )
    assert found == [{"user": "b", "count": 2}, {"user": "a", "count": 1}]
