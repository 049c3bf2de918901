"""Dialogs of the console have addresses, and tell why; the overview says what needs attention."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.consoles import MARKS, Consoles, console_server
from eventually import eventually

from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]
expect = playwright.expect

MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
VIEW = "#/objects?kind=/v1/configmaps&namespace=default"
SCRAPED = 20_000
"""Milliseconds within which a page has read the metrics again."""
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with console_server(tmp_path_factory.mktemp("tokens")) as server:
        api = Api(server.kubeconfig)
        for name in ("one", "two"):
            api.call("POST", MAPS, {"metadata": {"name": name}})
        yield server


@pytest.fixture
def console(browser: Any, server: InProcess) -> Iterator[Consoles]:
    with Consoles(browser, server.url, refused=(404,)) as consoles:
        yield consoles


def test_back_closes_a_dialog_and_leaves_the_view(console: Consoles) -> None:
    page = console("for-root", VIEW)
    named = page.get_by_role("button", name="one", exact=True)
    named.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("name: one")
    expect(page).to_have_url(re.compile("open=default%2Fone"))
    page.evaluate("document.querySelector('main table').dataset.same = '1'")
    page.go_back()
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile("kind=.*namespace=default$"))
    assert page.evaluate("document.querySelector('main table').dataset.same") == "1"
    page.go_forward()
    expect(dialog).to_contain_text("name: one")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).not_to_have_url(re.compile("open="))


def test_escape_goes_back_and_another_view_has_no_dialog(console: Consoles) -> None:
    page = console("for-root", VIEW)
    page.get_by_role("button", name="two", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("open="))
    page.get_by_role("button", name="two", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate("location.hash = '#/queues'")
    expect(page.get_by_role("heading", name="Queues", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.go_back()
    expect(page.get_by_role("dialog")).to_contain_text("name: two")


def test_each_escape_goes_one_step_back(console: Consoles) -> None:
    page = console("for-root", VIEW)
    page.get_by_role("button", name="one", exact=True).click()
    page.get_by_role("button", name="Edit").click()
    heading = page.get_by_role("dialog").get_by_role("heading", level=2)
    expect(heading).to_have_text("Edit: ConfigMap one")
    page.keyboard.press("Escape")
    expect(heading).to_have_text("ConfigMap one")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("open="))
    for text in ("ConfigMap one", "Edit: ConfigMap one"):
        page.go_forward()
        expect(heading).to_have_text(text)


def test_an_address_opens_a_dialog(console: Consoles) -> None:
    page = console("for-root", f"{VIEW}&open=default%2Ftwo")
    expect(page.get_by_role("dialog")).to_contain_text("name: two")
    expect(page.locator(".state")).to_have_text("Live")
    expect(page).to_have_url(re.compile("open=default%2Ftwo"))
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("open="))
    gone = console("for-root", f"{VIEW}&open=default%2Fgone")
    expect(gone.get_by_role("dialog")).to_contain_text('configmaps "gone" not found')


def test_why_a_secret_was_refused_and_what_needs_attention(console: Consoles, api: Api) -> None:
    page = console("for-root")
    health = page.locator(".health")
    expect(health).to_have_text(re.compile(r"^Ready: all \d+ checks pass$"))
    expect(health).to_have_attribute("data-tone", "good")
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}]
    hook = {
        "name": "dead.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "rules": rules,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    api.call("POST", HOOKS, {"metadata": {"name": "dead"}, "webhooks": [hook]})
    away = {"service": {"name": "away", "namespace": "default"}, "insecureSkipTLSVerify": True}
    spec = {
        "group": "away.example.com",
        "version": "v1",
        "groupPriorityMinimum": 1,
        "versionPriority": 1,
        **away,
    }
    api.call("POST", SERVICES, {"metadata": {"name": "v1.away.example.com"}, "spec": spec})
    secret = {"metadata": {"name": "s"}, "stringData": {"a": "canary"}}

    def refused() -> str:
        try:
            api.call("POST", SECRETS, secret)
        except ApiError as error:
            return str(error)
        api.call("DELETE", f"{SECRETS}/s")
        return ""

    eventually(lambda: "failed calling webhook" in refused(), "the webhook is called")
    expect(health).to_contain_text("APIService v1.away.example.com is unavailable", timeout=SCRAPED)
    expect(health).to_contain_text("webhook dead.example.com could not be called", timeout=SCRAPED)
    expect(health).to_have_attribute("data-tone", "warn")

    page.goto(page.url.partition("#")[0] + "#/requests?resource=secrets")
    page.get_by_role("button", name=f"create {SECRETS}").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("connection refused")
    expect(dialog).not_to_contain_text("undefined")
    expect(dialog).not_to_contain_text("canary")
    expect(page).to_have_url(re.compile("resource=secrets&open="))

    api.call("DELETE", f"{HOOKS}/dead")
    api.call("DELETE", f"{SERVICES}/v1.away.example.com")
    again = console("for-root")
    expect(again.locator(".health")).to_have_text(
        re.compile(r"^Ready: all \d+ checks pass$"), timeout=SCRAPED
    )
