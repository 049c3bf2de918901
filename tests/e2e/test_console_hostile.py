"""The console and its users in Chromium, beside pages and objects of somebody who means them harm."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from backend import own_address
from e2e.consoles import MARKS, Consoles
from eventually import eventually

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]
expect = playwright.expect

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>javascript:pwned\u202e\u0007'

ATTACK = """
window.out = {};
async function attack(server) {
  const said = async (answer) => {
    try { return (await answer()).slice(0, 20); } catch (error) { return "no"; }
  };
  const body = new Blob(['{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "forged"}}']);
  out.post = await said(async () => (await fetch(server + "PATH", {
    method: "POST", mode: "no-cors", credentials: "include", body })).type);
  out.read = await said(async () => (await fetch(server + "/version", { credentials: "include" })).text());
  out.socket = await said(() => new Promise((resolve, reject) => {
    const socket = new WebSocket(server.replace("https", "wss") + "/api/v1/namespaces?watch=1");
    socket.onmessage = (message) => resolve(message.data);
    socket.onerror = reject;
  }));
  const worker = async () => navigator.serviceWorker.register("worker.js", { scope: "/" });
  out.worker = await said(async () => (await worker()).scope);
  out.storage = await said(async () => String(sessionStorage.length));
  document.title = "done";
}
""".replace("PATH", CONFIG_MAPS)


@contextmanager
def serving(server: InProcess) -> Iterator[int]:
    """The port of a page that attacks a server,
    and of a service worker that would govern the whole origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            worker = self.path.endswith("worker.js")
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript" if worker else "text/html")
            self.send_header("Service-Worker-Allowed", "/")
            self.end_headers()
            page = f"<!doctype html><script>{ATTACK}attack({json.dumps(server.url)})</script>"
            self.wfile.write(b"" if worker else page.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site.server_port
        site.shutdown()
        thread.join()


def attacked(browser: Any, server: InProcess, url: str) -> dict[str, str]:
    """The effects of a page in the browser of an administrator who has a certificate."""
    own = {"origin": server.url, "certPath": str(server.client_cert), "keyPath": str(server.client_key)}
    context = browser.new_context(ignore_https_errors=True, client_certificates=[own])
    try:
        page = context.new_page()
        page.goto(f"{server.url}/console/")
        expect(page.locator("#user")).to_have_text("kubernetes-admin")
        page.goto(url)
        page.wait_for_function("document.title == 'done'")
        found: dict[str, str] = page.evaluate("out")
        return found
    finally:
        context.close()


def test_another_site_does_not_use_the_certificate(browser: Any, server: InProcess, api: Api) -> None:
    with serving(server) as port:
        found = attacked(browser, server, f"http://localhost:{port}/")
    assert (found["read"], found["socket"]) == ("no", "no")
    names = [one["metadata"]["name"] for one in api.call("GET", CONFIG_MAPS)["items"]]
    assert "forged" not in names, found


@pytest.mark.skipif(not own_address(), reason="this host has the loopback address only")
def test_the_page_of_a_pod_is_of_no_origin(browser: Any, server: InProcess, api: Api) -> None:
    """It runs, and has neither the certificate nor the console's storage,
    nor can it stay in the way of the console."""
    with serving(server) as port:
        containers = [{"name": "c", "image": "i"}]
        made = api.call("POST", PODS, {"metadata": {"name": "evil"}, "spec": {"containers": containers}})
        made["status"] = {"podIP": own_address(), "podIPs": [{"ip": own_address()}]}
        api.call("PUT", f"{PODS}/evil/status", made)
        found = attacked(browser, server, f"{server.url}{PODS}/evil:{port}/proxy/")
    assert set(found.values()) - {"opaque"} == {"no"}, found
    names = [one["metadata"]["name"] for one in api.call("GET", CONFIG_MAPS)["items"]]
    assert "forged" not in names


COLUMNS = ("<b>x</b>", "__proto__", "constructor", "Age", "javascript:pwned")


def established(definition: Any) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return ("Established", "True") in [(one["type"], one["status"]) for one in conditions]


def test_hostile_objects_are_shown_as_text(browser: Any, server: InProcess, api: Api) -> None:
    columns = [
        {"name": name, "type": "string", "description": MARKUP, "jsonPath": ".spec.text"} for name in COLUMNS
    ]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }
    spec = {
        "group": "evil.example",
        "scope": "Namespaced",
        "names": {"plural": "evils", "kind": "Evil"},
        "versions": [version],
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api.call("POST", definitions, {"metadata": {"name": "evils.evil.example"}, "spec": spec})
    hostile = {"metadata": {"name": "a", "annotations": {"link": MARKUP}}, "spec": {"text": MARKUP}}
    eventually(lambda: established(api.call("GET", f"{definitions}/evils.evil.example")), "the definition")
    kind = {"apiVersion": "evil.example/v1", "kind": "Evil"}
    api.call("POST", "/apis/evil.example/v1/namespaces/default/evils", {**kind, **hostile})
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": MARKUP,
        "message": MARKUP,
        "type": "Warning",
    }
    api.call("POST", "/api/v1/namespaces/default/events", event)
    with Consoles(browser, server.url) as console:
        page = console("for-root", "#/objects?kind=evil.example/v1/evils&namespace=default")
        expect(page.locator("td", has_text="<script>")).to_have_count(4)
        page.get_by_role("button", name="a", exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text("window.pwned=1")
        page.goto(page.url.partition("#")[0] + "#/events")
        expect(page.locator("tbody tr").first).to_contain_text("<script>")
        assert page.evaluate(
            "[typeof window.pwned, document.querySelectorAll('main img, main script').length]"
        ) == ["undefined", 0]


@pytest.mark.parametrize("events", ["", '{"type":"ERROR","object":{"code":410}}\n'])
def test_watches_that_end_at_once_are_not_opened_without_pause(
    browser: Any, server: InProcess, events: str
) -> None:
    """The watches end like those of an aggregated server that means harm."""
    with Consoles(browser, server.url) as console:
        page = console("for-root", "#/overview")
        asked: list[str] = []

        def end(route: Any) -> None:
            asked.append(route.request.url)
            route.fulfill(status=200, content_type="application/json", body=events)

        page.route("**/configmaps?*watch=1*", end)
        page.goto(page.url.partition("#")[0] + "#/objects?kind=/v1/configmaps&namespace=default")
        page.wait_for_timeout(1500)
        assert len(asked) == 1
