"""The console shows how kubectl forwards the ports of a pod or a service."""

from typing import Any

import pytest
from e2e.consoles import MARKS, Consoles

from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [*MARKS]
expect = playwright.expect


SERVICE_PORTS = (("web", 80, "TCP"), ("tls", 8443, "TCP"), ("dns", 53, "UDP"))


@pytest.mark.parametrize(
    ("resource", "spec", "command"),
    [
        (
            "services",
            {"ports": [{"name": n, "port": p, "protocol": q} for n, p, q in SERVICE_PORTS]},
            "service/services 8080:80 8443:8443",
        ),
        (
            "pods",
            {
                "containers": [
                    {"name": "a", "image": "i", "ports": [{"containerPort": 8080}, {"containerPort": 443}]}
                ]
            },
            "pod/pods 8080:8080 8443:443",
        ),
        ("pods", {"containers": [{"name": "a", "image": "i"}]}, "pod/pods LOCAL:REMOTE"),
    ],
)
def test_the_command_that_forwards_ports(
    browser: Any, server: InProcess, resource: str, spec: dict[str, Any], command: str
) -> None:
    body = {"metadata": {"name": resource}, "spec": spec}
    api = Api(server.kubeconfig)
    api.call("POST", f"/api/v1/namespaces/default/{resource}", body)
    with Consoles(browser, server.url) as console:
        page = console(
            "for-root", f"#/objects?kind=/v1/{resource}", permissions=["clipboard-read", "clipboard-write"]
        )
        page.get_by_role("button", name=resource, exact=True).click()
        page.get_by_role("button", name="Port-forward").click()
        shown = f"kubectl --namespace default port-forward {command}"
        expect(page.locator("dialog pre")).to_have_text(shown)
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == shown
    server.reset()
