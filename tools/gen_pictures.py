"""The pictures of README.md and docs/console.md: what `make run` prints, and the console under load.

    PYTHONPATH=tests python tools/gen_pictures.py [--out FOLDER] [run] [console] [objects]   (`make pictures`)

The terminal is drawn by rich out of the real output, each line at the moment at which it came. The console is
photographed in Chromium, as tests/e2e drive it. Port 6443 has to be free.
"""

import argparse
import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from clients.drivers import BINARY as KUBECTL
from e2e.consoles import TOKENS, Consoles, chromium, console_server
from rich.console import Console
from rich.text import Text

from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess

ROOT = pathlib.Path(__file__).parents[1]
BIN = pathlib.Path(sys.executable).parent
WIDTH = 104
"""Columns of the terminal."""

START_SECONDS = 60
"""How long a server may take to start on a busy machine."""

PAUSE = 0.02
"""Seconds between two rounds of somebody who makes the load."""

LOAD_SECONDS = 75
"""How long the console looks on before it is photographed: its curves want some points."""

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DRAWING = """<svg class="rich-terminal" viewBox="0 0 {width} {height}"
    xmlns="http://www.w3.org/2000/svg" role="img">
<title>What make run prints, and kubectl in another shell</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-matrix text {{ animation: {unique_id}-appear 1ms both; }}
@keyframes {unique_id}-appear {{ from {{ opacity: 0; }} }}
@media (prefers-reduced-motion: reduce) {{ .{unique_id}-matrix text {{ animation: none; }} }}
MOMENTS
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own form loads a font from elsewhere, and stands still."""


class Line(NamedTuple):
    """A line of the terminal: the seconds after which it appeared, and whether somebody typed it."""

    seconds: float
    text: str
    typed: bool = False


def terminal(lines: Sequence[Line], title: str) -> str:
    """An SVG in which the lines appear one after the other."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), color_system="truecolor", highlight=False)
    moments = []
    row = 0
    for line in lines:
        for part in textwrap.wrap(line.text, WIDTH, subsequent_indent="    ") or [""]:
            console.print(Text(part, style="bold green" if line.typed else ""))
            place = f'.run-matrix text[clip-path="url(#run-line-{row})"]'
            moments.append(f"{place} {{ animation-delay: {line.seconds:.2f}s; }}")
            row += 1
    drawn = console.export_svg(title=title, code_format=DRAWING, unique_id="run")
    return drawn.replace("MOMENTS", "\n".join(moments))


def make_run(folder: pathlib.Path) -> Iterator[Line]:
    """Yield the lines that `make run` prints in a new data directory until the server is ready,
    then what kubectl does."""
    data = folder / "var"
    began = time.monotonic()
    yield Line(0, "$ make run", typed=True)
    command = ["make", "--no-print-directory", "run", "RUNS=", f"BIN={BIN}"]
    process = subprocess.Popen(
        [*command, f"DATA={data}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    overdue = threading.Timer(START_SECONDS, process.terminate)
    overdue.start()
    try:
        ready = False
        for printed in process.stdout:
            yield Line(time.monotonic() - began, plain(printed, data))
            if ready := '"Serving"' in printed:
                break
        assert ready, "the server did not start"
        for command in (["kubectl", "create", "namespace", "shop"], ["kubectl", "get", "namespaces"]):
            yield Line(time.monotonic() - began + 1, "")
            yield Line(time.monotonic() - began + 1, f"$ {' '.join(command)}", typed=True)
            done = subprocess.run(
                [KUBECTL, *command[1:]],
                env={**os.environ, "KUBECONFIG": str(data / "admin.kubeconfig")},
                capture_output=True,
                text=True,
                check=True,
            )
            yield from (Line(time.monotonic() - began + 1, line) for line in done.stdout.splitlines())
    finally:
        overdue.cancel()
        process.terminate()
        process.communicate()


def plain(printed: str, data: pathlib.Path) -> str:
    """A printed line with the paths of a checkout."""
    line = printed.rstrip("\n").replace(f"KUBECONFIG={data}", "KUBECONFIG=$PWD/var")
    return line.replace(str(data), "var").replace(str(BIN), ".venv/bin")


@contextlib.contextmanager
def load(api: Api) -> Iterator[None]:
    """Somebody who creates, reads, lists, changes and deletes, until the block ends."""
    ended = threading.Event()

    def work(number: int) -> None:
        turn = 0
        while not ended.wait(PAUSE):
            turn += 1
            name = f"order-{number}-{turn % 40}"
            steps: list[tuple[str, str, Any]] = [
                ("POST", CONFIG_MAPS, {"metadata": {"name": name}, "data": {"turn": str(turn)}}),
                ("GET", f"{CONFIG_MAPS}/{name}", None),
                ("GET", f"{CONFIG_MAPS}?limit=50", None),
                ("GET", f"{CONFIG_MAPS}/missing", None) if turn % 10 == 0 else ("GET", "/api/v1/nodes", None),
                ("DELETE", f"{CONFIG_MAPS}/{name}", None),
            ]
            for method, path, body in steps:
                with contextlib.suppress(ApiError):
                    api.call(method, path, body)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def console(folder: pathlib.Path, out: pathlib.Path) -> None:
    """Photograph the overview, a refusal in dark colours, and the overview on a phone."""
    tokens = folder / "tokens.csv"
    tokens.write_text(TOKENS)
    wide_dark = {"width": 1280, "height": 760}
    with (
        InProcess(["--console", f"--token-auth-file={tokens}"]) as server,
        load(Api(server.kubeconfig)),
        chromium() as browser,
        Consoles(browser, server.url) as consoles,
    ):
        wide = consoles("for-root", viewport={"width": 1280, "height": 800})
        phone = consoles("for-root", viewport={"width": 390, "height": 844})
        consoles("for-root", "#/objects?kind=/v1/configmaps&namespace=default")  # a watch
        wide.wait_for_timeout(LOAD_SECONDS * 1000)
        wide.screenshot(path=out / "console.png")
        phone.screenshot(path=out / "console-phone.png")
        jane = consoles("for-jane", "#/objects?kind=/v1/secrets")
        jane.get_by_role("alert").wait_for()
        requests = consoles("for-root", "#/requests", viewport=wide_dark, color_scheme="dark")
        requests.get_by_label("User").fill("jane")
        requests.keyboard.press("Enter")
        requests.get_by_role("button", name="list /api/v1/secrets").first.click()
        requests.get_by_role("dialog").get_by_text("kind: ClusterRole").wait_for()
        requests.screenshot(path=out / "console-dark.png")


WEB = "/apis/apps/v1/namespaces/default"
LABELS = {"app": "shop"}
POD = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "shop", "image": "example.com/shop:1.4"}]},
}
SPEC = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": POD}
SETTINGS = {"currency": "EUR", "greeting": "Welcome", "page-size": "20"}
AWAY = {"service": {"name": "metrics-server", "namespace": "kube-system"}, "insecureSkipTLSVerify": True}
AGGREGATED = {
    "group": "metrics.k8s.io",
    "version": "v1beta1",
    "groupPriorityMinimum": 100,
    "versionPriority": 100,
}


def shop(api: Api) -> None:
    """Create a deployment with a replica set and an event, a config map, an APIService without a server."""
    made = api.call("POST", f"{WEB}/deployments", {"metadata": {"name": "shop"}, "spec": SPEC})
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": made["metadata"]["uid"]}
    metadata = {"name": "shop-5d8f7c", "ownerReferences": [{**owner, "controller": True}]}
    api.call("POST", f"{WEB}/replicasets", {"metadata": metadata, "spec": SPEC})
    event = {
        "metadata": {"name": "shop.1"},
        "involvedObject": {**owner, "namespace": "default"},
        "reason": "ScalingReplicaSet",
        "message": "Scaled up replica set shop-5d8f7c from 0 to 2",
        "type": "Normal",
        "source": {"component": "deployment-controller"},
        "count": 1,
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    api.call("POST", "/api/v1/namespaces/default/events", event)
    api.call("POST", CONFIG_MAPS, {"metadata": {"name": "shop-settings"}, "data": SETTINGS})
    service = {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {**AGGREGATED, **AWAY}}
    api.call("POST", "/apis/apiregistration.k8s.io/v1/apiservices", service)


def objects(folder: pathlib.Path, out: pathlib.Path) -> None:
    """Photograph an object, a change of one before it is saved, and what needs attention."""

    def open_(view: str, height: int) -> Any:
        return consoles("for-root", f"#/{view}", viewport={"width": 1280, "height": height})

    with (
        console_server(folder) as server,
        chromium() as browser,
        Consoles(browser, server.url) as consoles,
    ):
        shop(Api(server.kubeconfig))
        page = open_("objects?kind=apps/v1/deployments&namespace=default&open=default/shop", 1420)
        page.get_by_role("button", name="Look through all kinds").click()
        page.get_by_role("link", name="ReplicaSet shop-5d8f7c").wait_for()
        page.screenshot(path=out / "console-object.png")
        page = open_("objects?kind=/v1/configmaps&namespace=default&open=default/shop-settings/edit", 1140)
        text = page.get_by_role("textbox", name="YAML")
        text.fill(text.input_value().replace("Welcome", "Welcome back").replace('"20"', '"50"'))
        page.get_by_role("button", name="Show changes").click()
        page.get_by_role("button", name="Save").wait_for()
        page.screenshot(path=out / "console-edit.png")
        page = open_("overview", 340)
        page.get_by_text("APIService v1beta1.metrics.k8s.io is unavailable").wait_for()
        page.screenshot(path=out / "console-attention.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pictures that are named, or all."""
    makers: dict[str, Callable[[pathlib.Path, pathlib.Path], object]] = {
        "run": lambda folder, out: (out / "run.svg").write_text(terminal(list(make_run(folder)), "make run")),
        "console": console,
        "objects": objects,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs")
    parser.add_argument("pictures", nargs="*", choices=[*makers, []])
    args = parser.parse_args(arguments)
    for name in args.pictures or makers:
        with tempfile.TemporaryDirectory() as folder:
            makers[name](pathlib.Path(folder), args.out)


if __name__ == "__main__":
    main()
