"""Processor time of the fixture `kube` of the pytest plugin, where each test has a logical cluster.

Prints the median and the 95th percentile of 200 tests, in milliseconds of all threads of the process, which
the server shares. The test sends one request over a connection of its own, as a new client.

usage: python benchmarks/fixtures.py [cluster | copy]...
"""

import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from typing import Any

import pytest

TESTS, FIRST = 200, 10
"""Tests that count, and those before them, which warm up."""
WHERE = ("cluster", "copy")
TEST = f"""
import urllib.request
import pytest

@pytest.mark.parametrize("number", range({TESTS + FIRST}))
def test_one(kube, number):
    with urllib.request.urlopen(f"{{kube.url}}/version", context=kube.context()) as answer:
        assert answer.status == 200
"""


class Meter:
    """Measures the phases of each test."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {"setup": [], "call": [], "teardown": []}

    def _timed(self, phase: str) -> Generator[None, Any, Any]:
        before = time.process_time()
        result = yield
        self.spent[phase].append(1000 * (time.process_time() - before))
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        return (yield from self._timed("setup"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        return (yield from self._timed("call"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        return (yield from self._timed("teardown"))


def measure(where: str) -> None:
    """Run the tests in this process, and print what they took."""
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "test_one.py")
        path.write_text(TEST)
        status = pytest.main(
            ["-qq", "-p", "no:cacheprovider", f"--kube-apiserver={where}", str(path)], [meter]
        )
    if status:
        raise SystemExit(int(status))
    for phase, spent in meter.spent.items():
        found = sorted(spent[FIRST:])
        median, late = found[len(found) // 2], found[len(found) * 95 // 100]
        print(f"{where}: {phase} {median:.1f} ms, 95 % {late:.1f} ms", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        measure(sys.argv[2])
    else:
        for one in sys.argv[1:] or WHERE:
            subprocess.run([sys.executable, __file__, "--here", one], check=True)
