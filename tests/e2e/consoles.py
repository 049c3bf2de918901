"""The console in Chromium, driven by Playwright. What a page complains of is kept for the end of the test."""

import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pytest
from clients.drivers import Raw

from pilothouse.testing.server import InProcess

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
"""The browser. The one without windows takes two thirds of the processor time."""
TOKENS = "for-root,root,1,system:masters\nfor-jane,jane,2\n"
VIEWS = ("overview", "requests", "watches", "queues", "store", "objects", "events")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WAIT = 20_000
"""Milliseconds for what a page is to show, or to do: other tests run beside it."""
QUIET = ("--disable-component-update", "--disable-sync")
MARKS = (
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
)
"""The marks of modules that need the browser."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that runs within the block. Its first context is the one that consoles share.

    One tab stays open there: a context without tabs takes half a second of the processor for its next one.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *QUIET])
        started.new_context(ignore_https_errors=True).new_page()
        yield started
        started.close()


@contextmanager
def console_server(
    directory: pathlib.Path, mode: str = "true", flags: Sequence[str] = ()
) -> Iterator[InProcess]:
    """A server that has the console, and knows the users of TOKENS by a file in the directory."""
    tokens = directory / "tokens.csv"
    tokens.write_text(TOKENS)
    with InProcess([f"--console={mode}", f"--token-auth-file={tokens}", *flags]) as server:
        yield server


def may_read_pods(raw: Raw, user: str) -> None:
    """Allow a user to see pods, and nothing of their subresources."""
    rbac, group = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    raw.ok("POST", f"{rbac}/clusterroles", {"metadata": {"name": "pods"}, "rules": rules})
    subjects = [{"apiGroup": group, "kind": "User", "name": user}]
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "pods"}
    binding = {"metadata": {"name": "pods"}, "subjects": subjects, "roleRef": role}
    raw.ok("POST", f"{rbac}/clusterrolebindings", binding)


class Consoles:
    """Opens the console of a server in tabs of their own, signed in by a token where there is one.

    refused: the codes of answers that are part of the test.
    """

    def __init__(self, browser: Any, url: str, refused: tuple[int, ...] = (401, 403)) -> None:
        self._browser = browser
        self._url = url
        self._refused = "|".join(map(str, refused))
        self._opened: list[Any] = []
        self._complaints: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for one in self._opened:
            one.close()
        assert self._complaints == [], self._complaints

    def __call__(
        self,
        token: str = "",
        view: str = "",
        *,
        viewport: Any = None,
        color_scheme: str | None = None,
        alone: bool = False,
        **settings: Any,
    ) -> Any:
        """A tab that shows a view. One that is `alone`, or has settings,
        shares no cache and no clock with others."""
        if alone or settings:
            context = self._browser.new_context(ignore_https_errors=True, **settings)
            self._opened.append(context)
        else:
            context = self._browser.contexts[0]
        page = context.new_page()
        self._opened.append(page)
        page.set_default_timeout(WAIT)
        if viewport:
            page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        if token:
            page.add_init_script(f"sessionStorage.setItem('pilothouse-token', '{token}')")
        page.goto(f"{self._url}/console/{view}")
        return page

    def _note(self, message: Any) -> None:
        # A browser logs each answer that is an error by itself; the page shows what the server has said.
        expected = re.search(f"(status of|response code:) ({self._refused})", message.text)
        if message.type in ("error", "warning") and not expected:
            self._complaints.append(message.text)
