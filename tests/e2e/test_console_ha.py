"""The console behind a load balancer, of three servers under load:
every view shows what they do, on any screen."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from deploy.load import Load
from e2e.consoles import MARKS, TOKENS, VIEWS, Consoles

from pilothouse.testing.ha import Ha, missing

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [
    *MARKS,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing()), reason="needs etcd and haproxy; apt-get install etcd-server haproxy"),
]
expect = playwright.expect

SHOWN = {
    "overview": ("tr:has(th:text-is('configmaps'))", r"POST|PUT|PATCH|LIST|GET"),
    "requests": ("table >> nth=0", r"create /api/v1/namespaces/default/configmaps\S*\s*422.*not-empty"),
    "watches": ("tr:has(th:text-is('configmaps'))", r"^configmaps\d[1-9]"),
    "queues": ("tr:has(th:text-is('exempt'))", r"no limit"),
    "store": (
        "main",
        r"Store\s*Healthy[\s\S]*watch cache: objects[\s\S]*create\d",
    ),
    "objects": ("table", r"configmaps"),
    "events": ("main", r"Live"),
}
"""The signs of the load in a view: the place, and a pattern of its text."""


@pytest.fixture
def loaded(tmp_path: pathlib.Path) -> Iterator[Ha]:
    """Three servers with clients."""
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(TOKENS)
    cluster = Ha(tmp_path, flags=("--console", f"--token-auth-file={tokens}"), etcd_members=1)
    cluster.start()
    try:
        with Load(cluster.ports, cluster.context()):
            yield cluster
    finally:
        cluster.stop()


def test_every_view_shows_what_servers_do_under_load(browser: Any, loaded: Ha) -> None:
    with Consoles(browser, loaded.url) as console:
        for width, scheme in ((1280, "light"), (390, "dark")):
            page: Any = console("for-root", viewport={"width": width, "height": 800}, color_scheme=scheme)
            for view in VIEWS:
                page.goto(page.url.partition("#")[0] + f"#/{view}")
                where, text = SHOWN[view]
                expect(page.locator(where).first).to_contain_text(re.compile(text))
                assert page.evaluate("document.scrollingElement.scrollWidth") <= width, view
