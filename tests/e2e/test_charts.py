"""Helm waits for charts of the usual shapes:
an operator, a database, a web application, an agent, a migration."""

import importlib.util
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from e2e import chart_release

from pilothouse.testing.server import InProcess

CHARTS = pathlib.Path(__file__).parent / "charts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("helm_python") is None, reason="no helm; pip install helm-python-sdk"
    ),
]


@pytest.fixture(scope="module")
def shared() -> Iterator[InProcess]:
    with InProcess(["--simulate=nodes=2", "--allow-privileged"]) as server:
        yield server


@pytest.fixture
def server(shared: InProcess) -> Iterator[InProcess]:
    yield shared
    shared.reset()


def released(server: InProcess, chart: str, wait: str = "watcher", **values: Any) -> dict[str, Any]:
    """The outcome of a release that was installed, upgraded, tested, rolled back and removed."""
    command = [sys.executable, str(chart_release.__file__), str(server.kubeconfig), str(CHARTS / chart), wait]
    answer: dict[str, Any] = json.loads(subprocess.check_output([*command, json.dumps(values)], timeout=120))
    return answer


@pytest.mark.parametrize("chart", sorted(path.name for path in CHARTS.iterdir()))
def test_a_chart_becomes_ready_rolls_and_goes(server: InProcess, chart: str) -> None:
    """Helm 4 waits by the rules of kstatus, as Flux does."""
    assert released(server, chart) == {"statuses": ["deployed"] * 3, "error": ""}


def test_helm_3_waits_as_well(server: InProcess) -> None:
    assert released(server, "database", "legacy") == {"statuses": ["deployed"] * 3, "error": ""}


def test_a_chart_whose_migration_fails_is_not_installed(server: InProcess) -> None:
    told = released(server, "migration", migration="1", retries="0")
    assert told["statuses"] == [] and "Job Failed" in told["error"], told


def test_a_chart_whose_image_cannot_be_had_is_not_ready(server: InProcess) -> None:
    told = released(server, "web", pods={"simulate.pilothouse.dev/waiting": "ImagePullBackOff"}, seconds=2)
    assert told["statuses"] == [] and told["error"], told
