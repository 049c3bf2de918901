"""Runs the suite on several workers of pytest-xdist:
whole files, long ones first, some of them alone at the end.

`durations.json` has the seconds that files took; a file that is not in it counts as short. `--save-durations`
writes it anew after a run of the whole suite.
A file in which the mark `alone` stands begins when every other file has ended.
The tests of a file in which the mark `apart` stands go to several workers.
"""

import functools
import json
import pathlib
from collections import defaultdict

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

TESTS = pathlib.Path(__file__).parent
DURATIONS = TESTS / "durations.json"
LEAST = 1.0
"""Seconds: a file that takes less is not in `durations.json`."""


def inside(nodeid: str) -> str:
    """The file of a test, as a path below tests/."""
    return nodeid.partition("::")[0].removeprefix("tests/")


@functools.cache
def alone(file: str) -> bool:
    """Whether a file bears no neighbours: pytest.mark.alone stands in it."""
    return _marked(file, "alone")


@functools.cache
def apart(file: str) -> bool:
    """Whether the tests of a file share nothing, so that each may go to another worker."""
    return _marked(file, "apart")


def _marked(file: str, mark: str) -> bool:
    path = TESTS / file
    return path.is_file() and f"pytest.mark.{mark}" in path.read_text()


def order(files: set[str], seconds: dict[str, float]) -> dict[str, tuple[bool, float, str]]:
    """The key by which each file is sorted."""
    return {file: (alone(file), -seconds.get(file, 0.0), file) for file in files}


def arrange(items: list[pytest.Item]) -> None:
    """Sort tests by their file; the tests of one file keep their order."""
    seconds: dict[str, float] = json.loads(DURATIONS.read_text())
    place = order({inside(item.nodeid) for item in items}, seconds)
    items.sort(key=lambda item: place[inside(item.nodeid)])


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]  # without types
    """Gives workers whole files in the order in which they were collected;
    the files that run alone go to one worker."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        """The work of one worker: a file, or a test of a file whose tests are apart."""
        return nodeid if apart(inside(nodeid)) else str(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        if alone(inside(next(iter(self.workqueue)))) and len(self.nodes) > 1:
            if node is not self.nodes[0]:
                node.shutdown()  # it ends when it has run what it has
            return
        super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Let the last worker go on with what runs alone, when another one has ended."""
        crashed: str | None = super().remove_node(node)
        if len(self.nodes) == 1 and self.workqueue:
            self._reschedule(self.nodes[0])
        return crashed


def by_file(reports: list[pytest.TestReport]) -> dict[str, float]:
    """The seconds that each file took, set-up and tear-down included."""
    out: dict[str, float] = defaultdict(float)
    for report in reports:
        out[inside(report.nodeid)] += report.duration
    return out


def by_folder(files: dict[str, float]) -> list[str]:
    """A line for each folder below tests/, the longest first."""
    folders: dict[str, float] = defaultdict(float)
    for file, seconds in files.items():
        folder, slash, _ = file.partition("/")
        folders[folder if slash else "."] += seconds
    return [f"{seconds:8.1f} s  {folder}" for folder, seconds in sorted(folders.items(), key=lambda f: -f[1])]


def save(files: dict[str, float]) -> None:
    """Write `durations.json`."""
    kept = {file: round(seconds) for file, seconds in sorted(files.items()) if seconds >= LEAST}
    DURATIONS.write_text(json.dumps(kept, indent=1) + "\n")
