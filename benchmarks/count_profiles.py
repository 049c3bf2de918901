"""Runs the steps of count.py on a server under callgrind: plain for the totals, or to tell where."""

import compileall
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

from count_client import Client
from count_packages import adjusted, listed, passed_over, read, total
from count_server import Server, running
from count_steps import CHANGE, WATCHES, Step, fill, steps

AGAIN = 4
"""Operations between the garbage collection and those that are counted."""


def plain(tree: pathlib.Path, names: Iterable[str]) -> dict[str, int]:
    """The instructions of some steps of the server in a tree."""
    return {name: total(profile) for name, profile, _ in _profiles(tree, names, frames=False)}


def named(tree: pathlib.Path, names: Iterable[str], whole: dict[str, int]) -> dict[str, dict[str, int]]:
    """The same by the places where they were spent; `whole` is what plain() has found."""
    return {
        name: adjusted(read(profile), listed(files), whole[name])
        for name, profile, files in _profiles(tree, names, frames=True)
    }


def needed(names: Iterable[str]) -> dict[str, Step]:
    """The steps with these names, and those that they need."""
    wanted = {*names}
    if wanted & {*WATCHES}:
        wanted.add(CHANGE)
    if "delete" in wanted:
        wanted.add("create")
    return {name: step for name, step in steps().items() if name in wanted}


def _profiles(tree: pathlib.Path, names: Iterable[str], *, frames: bool) -> Iterator[tuple[str, str, str]]:
    """The name and the profile of each step, and with `frames` the files that it names."""
    compileall.compile_dir(tree / "src/pilothouse", quiet=1)
    with tempfile.TemporaryDirectory(prefix="pilothouse-count-") as path:
        folder = pathlib.Path(path)
        with running(folder, tree, counted=False) as server:
            fill(Client(server, "admin"), Client(server))
        with running(folder, tree, options=passed_over() if frames else ()) as server:
            if frames and not server.tell("frames"):
                raise SystemExit("packages are only told with Python 3.11; the totals are whole without them")
            server.tell("freeze")
            server.tell("start")
            client = Client(server)
            for name, step in needed(names).items():
                yield name, _counted(server, client, name, step), server.files()


def _counted(server: Server, client: Client, name: str, step: Step) -> str:
    """The profile of a step's operations."""
    if step.prepare is not None:
        server.tell("stop")
        step.prepare(client)
        server.wait_idle()
        server.tell("start")
    warm, first = step.warm, step.warm + AGAIN
    for number in range(warm):
        step.operation(client, number)
    server.tell("collect")
    for number in range(warm, first):
        step.operation(client, number)
    server.dump("warm")  # callgrind's own way to zero forgets the costs of functions that are passed over
    for number in range(first, first + step.times):
        step.operation(client, number)
    profile = server.dump(name)
    if step.finish is not None:
        step.finish()
    return profile
