"""Write the tables of docs/metrics.md: the metrics that are declared, and families that are absent.

    python tools/gen_metrics.py [--out FOLDER]

Everything above the line `## Metrics` of docs/metrics.md is written by hand. The reasons for what is absent
are in tools/data/absent_metrics.json, by the name of the family.
"""

import argparse
import asyncio
import importlib
import json
import pathlib
import pkgutil
import socket
import sys
import tempfile
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
ABSENT = ROOT / "tools/data/absent_metrics.json"
sys.path.insert(0, str(ROOT / "src"))

import pilothouse  # noqa: E402
from pilothouse.assembly.server import Server  # noqa: E402
from pilothouse.configuration import options  # noqa: E402
from pilothouse.metrics.instruments import Group, Metric  # noqa: E402

MARK = "## Metrics\n"
OWN = "pilothouse_"


async def _served() -> list[Group]:
    """The groups of a server that no flag asks anything of."""
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as sock:
        flags = [f"--data-dir={directory}", "--storage-backend=memory", "--bind-address=127.0.0.1"]
        flags.append("--max-memory=1Gi")
        server = Server(options.parse(flags), sockets=[sock])
        await server.start()
        await server.stop(drain=0)
        return [*server.host.metrics.groups, *server.host.slis.groups]


def declared() -> dict[str, Metric]:
    """All metrics by name: those of a server, and of the groups that a flag asks for."""
    for module in pkgutil.walk_packages(pilothouse.__path__, "pilothouse."):
        if module.name.endswith(("metrics", ".workers")):
            importlib.import_module(module.name)
    groups = asyncio.run(_served())
    made = {type(group) for group in groups}
    kinds = [kind for kind in Group.__subclasses__() if kind.__module__.startswith("pilothouse.")]
    groups += [kind() for kind in kinds if kind not in made]
    return {metric.name: metric for group in groups for metric in group.metrics()}


def _table(head: str, rows: Sequence[tuple[str, ...]]) -> str:
    columns = head.count("|") - 1
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([head, "|---" * columns + "|", *lines]) + "\n"


def _row(metric: Metric) -> tuple[str, ...]:
    stability, bracket, text = metric.help.partition("] ")
    if not bracket:
        stability, text = "", metric.help
    since = f" Deprecated since {metric.deprecated}." if metric.deprecated else ""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"`{metric.name}`", metric.kind, stability.removeprefix("["), labels, f"{text}{since}"


def tables() -> str:
    """The page from MARK on."""
    metrics, absent = declared(), json.loads(ABSENT.read_text())
    head = "| name | type | stability | labels | |"
    theirs = [_row(metrics[name]) for name in sorted(metrics) if not name.startswith(OWN)]
    ours = [_row(metrics[name]) for name in sorted(metrics) if name.startswith(OWN)]
    reasons = [(f"`{name}`", absent[name]) for name in sorted(absent)]
    return "\n".join(
        (
            MARK,
            f"{len(theirs)} with the names of kube-apiserver and of Prometheus' Go client:\n",
            _table(head, theirs),
            f"{len(ours)} of this server alone:\n",
            _table(head, ours),
            "## What is not here\n",
            "Families of kube-apiserver v1.36 whose meaning does not exist here:\n",
            _table("| name | why |", reasons),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate the tables of docs/metrics.md.")
    parser.add_argument("--out", type=pathlib.Path, default=DOCS)
    head = (DOCS / "metrics.md").read_text().split(MARK)[0]
    (parser.parse_args().out / "metrics.md").write_text(head + tables())


if __name__ == "__main__":
    main()
