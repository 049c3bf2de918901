"""The TracingConfiguration of a server, and what changes with it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk")

from collector import Collector
from connect_proxy import ConnectProxy, egress_file

from pilothouse.api.configfile import ConfigurationError
from pilothouse.assembly.tracing import Tracing
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.outbound import egress_config
from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.reload import Reloads
from pilothouse.spans import SERVER, Span, Trace


def configuration(path: Path, endpoint: str, rate: int = 0) -> str:
    path.write_text(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
        f"endpoint: {endpoint}\nsamplingRatePerMillion: {rate}\n"
    )
    return str(path)


def traces(path: str, dialer: Dialer | None = None) -> Tracing:
    return Tracing(path, "sqlite", MetricsRegistry(), dialer)


def trace() -> Trace:
    made = Trace(1, "id")
    made.add(Span(made, "GET", kind=SERVER))
    return made


def sent(one: Tracing) -> None:
    assert one.tracer._take is not None
    one.tracer._take(trace())


async def test_the_file_is_followed(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Another rate keeps the exporter;
    another collector gets what comes from then on, a broken file changes nothing."""
    with Collector() as first, Collector() as second:
        path = configuration(tmp_path / "traces.yaml", first.endpoint)
        one, reloads = traces(path), Reloads()
        one.follow(reloads)
        [follower] = reloads._followers
        await one.start("apiserver-x")
        exporter = one._exporter
        assert one.tracer.on and one.tracer._bound == 0
        configuration(tmp_path / "traces.yaml", first.endpoint, 500_000)
        await follower.look(force=True)
        assert one._exporter is exporter and one.tracer._bound == 1 << 62
        sent(one)
        configuration(tmp_path / "traces.yaml", second.endpoint)
        await follower.look(force=True)
        assert one.tracer._bound == 0 and len(first.spans) == 1, "what was queued has been sent"
        configuration(tmp_path / "traces.yaml", "ftp://a", 1)
        await follower.look(force=True)
        assert reloads.total.values == {("tracing", "success"): 2, ("tracing", "failure"): 1}
        sent(one)
        await one.close()
        assert (len(first.spans), len(second.spans)) == (1, 1)
        assert second.spans[0].service["service.instance.id"] == "apiserver-x"


async def test_without_a_file_nothing_is_traced(runner: asyncio.Runner) -> None:
    one, reloads = traces(""), Reloads()
    one.follow(reloads)
    await one.start("x")
    assert not one.tracer.on and reloads.followed == {}
    await one.close()


async def test_a_collector_is_reached_by_the_proxy_of_the_control_plane(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async with ConnectProxy(tmp_path) as proxy:
        proxy.refuse.add("127.0.0.1:7")
        egress = egress_config.load(egress_file(tmp_path, controlplane=proxy.connection), EgressMetrics())
        one = traces(configuration(tmp_path / "traces.yaml", "127.0.0.1:7"), egress.controlplane)
        await one.start("x")
        sent(one)
        await one.close()
        assert set(proxy.targets) == {"127.0.0.1:7"}
        await egress.close()


def test_a_file_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    path = configuration(tmp_path / "traces.yaml", "ftp://a")
    with pytest.raises(ConfigurationError, match="unsupported scheme: ftp"):
        traces(path)


WITHOUT = """
import sys

sys.modules["opentelemetry"] = None
from pilothouse.assembly.tracing import Tracing
from pilothouse.metrics.instruments import MetricsRegistry

Tracing(sys.argv[1], "sqlite", MetricsRegistry())
"""


def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    path = configuration(tmp_path / "traces.yaml", "a:1")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (
        done.returncode == 1
        and "ConfigurationError: --tracing-config-file needs OpenTelemetry" in done.stderr
    )
    assert "pip install pilothouse[tracing]" in done.stderr
