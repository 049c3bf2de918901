"""Flame graphs of the server while it answers one kind of request:
what the time of a get, a list, a create, an event is.

    python benchmarks/flame.py --loadgen build/loadgen [--out docs] [STEP ...]

Each step of the load generator (see versus.py) runs for some seconds against one server, which `py-spy`
(extra `bench`) samples with its compiled frames. Frames are as wide as their share of the samples; those
under a fifth of a percent are left out, which keeps a picture below 200 KB.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from servers import CLIENT, TOKEN, ours, pinned

STEPS = ["create", "get", "list", "watch"]
RATE = 250
"""Samples a second."""

WIDTH, HEIGHT, CHARACTER = 1200, 17, 6.6
LEAST = 0.002
"""The share of all samples that a frame needs to be drawn."""

WAITS = ("PyThread_acquire_lock_timed", "epoll_pwait", "epoll_wait")
"""The functions in which a thread waits and does not work."""

LOOP = "uv_run (core.c)"
INLINED = ("Py_DECREF", "Py_XDECREF", "Py_INCREF", "uv__queue_")
"""Small functions that compilers take for callers of what stands next to them."""

COLOURS = {"compiled": "#f4a261", "python": "#8ecae6", "native": "#d9d9d9"}


@dataclass
class Frame:
    """A function on the stack, below those that called it."""

    name: str
    samples: int = 0
    callees: "dict[str, Frame]" = field(default_factory=dict)


def names(stack: str) -> list[str]:
    """The functions of a stack, outermost first, from the loop on;
    those of libraries without symbols by the library."""
    out = [""]
    for frame in stack.split(";"):
        name = re.sub(r":\d+\)$", ")", re.sub(r"^0x\w+ \((.*)\)$", r"\1", frame))
        if name != out[-1] and not name.startswith(INLINED):
            out.append(name)
    return out[out.index(LOOP) if LOOP in out else 1 :]


def tree(raw: str) -> Frame:
    """The frames of `py-spy record --format raw`: a stack a line, and how often it was seen;
    threads that wait left out."""
    root = Frame("all")
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        if any(wait in stack for wait in WAITS):
            continue
        frame = root
        frame.samples += int(count)
        for name in names(stack):
            frame = frame.callees.setdefault(name, Frame(name))
            frame.samples += int(count)
    return root


def sort_of(name: str) -> str:
    """Whether a frame is of a compiled module of ours, of Python, or of a library."""
    if re.search(r"\(_\w+\.p[yx][xi]\)$", name):
        return "compiled"
    return "python" if re.search(r"\.py\)$|<frozen", name) else "native"


def boxes(frame: Frame, x: float, depth: int, unit: float) -> Iterator[tuple[Frame, float, int, float]]:
    """Each frame that is drawn, its left edge, its depth and its width."""
    yield frame, x, depth, frame.samples * unit
    for callee in sorted(frame.callees.values(), key=lambda c: c.name):
        if callee.samples * unit >= LEAST * WIDTH:
            yield from boxes(callee, x, depth + 1, unit)
        x += callee.samples * unit


def picture(root: Frame, title: str) -> str:
    """An SVG without scripts: names are in the boxes where they fit, and shares in their tool tips."""
    drawn = list(boxes(root, 0, 0, WIDTH / max(root.samples, 1)))
    bottom = (max(depth for _, _, depth, _ in drawn) + 1) * HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom}"'
        f' viewBox="0 0 {WIDTH} {bottom}"'
        f' font-family="monospace" font-size="11"><text x="4" y="14">{escape(title)}</text>'
    ]
    for frame, x, depth, width in drawn:
        y = bottom - (depth + 1) * HEIGHT
        share = f"{frame.samples / root.samples:.1%}"
        shown = frame.name[: int((width - 4) / CHARACTER)] if width > 4 * CHARACTER else ""
        parts.append(
            f'<g><title>{escape(frame.name)} {share}</title><rect x="{x:.1f}" y="{y}"'
            f' width="{max(width - 0.4, 0.2):.1f}"'
            f' height="{HEIGHT - 1}" fill="{COLOURS[sort_of(frame.name)]}"/>'
            + (f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(shown)}</text>' if shown else "")
            + "</g>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def sample(args: argparse.Namespace, url: str, pid: int, step: str, directory: pathlib.Path) -> Frame:
    """Run one step and sample the server meanwhile."""
    load = [args.loadgen, "-server", url, "-token", TOKEN, "-pods", str(args.pods), "-watchers", "200"]
    load += ["-updates", "2000", "-seconds", str(args.seconds + 1), step]
    raw = directory / f"{step}.txt"
    watch = ["py-spy", "record", "--native", "--function", "--format=raw", f"--rate={RATE}"]
    watch += [f"--duration={args.seconds}", f"--output={raw}", f"--pid={pid}"]
    with subprocess.Popen(pinned(CLIENT, load), stdout=sys.stderr) as generator:
        time.sleep(1.5 if step == "watch" else 0.3)
        done = subprocess.run(watch, capture_output=True, text=True, check=False)
        generator.wait(120)
    if done.returncode:
        raise SystemExit(done.stderr)
    return tree(raw.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs"))
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("steps", nargs="*", default=STEPS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        with ours(directory) as server:
            prepare = ["setup"] if "create" in args.steps else ["setup", "create"]
            subprocess.run(
                [args.loadgen, "-server", server.url, "-token", TOKEN, "-pods", str(args.pods), *prepare],
                check=True,
            )
            for step in args.steps:
                root = sample(args, server.url, server.process.pid, step, directory)
                path = args.out / f"flame-{step}.svg"
                path.write_text(picture(root, f"{step}: {root.samples} samples"))
                print(f"{path}: {root.samples} samples, {path.stat().st_size >> 10} KB")


if __name__ == "__main__":
    main()
