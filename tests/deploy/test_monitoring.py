"""The rules and dashboards in deploy/monitoring: what they ask for exists, and has data under load."""

import json
import pathlib
import re
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from deploy.load import Load
from eventually import eventually

from pilothouse.testing import prometheus
from pilothouse.testing.ha import Ha, missing
from pilothouse.testing.prometheus import FOLDER, Prometheus

COMPARISON = re.compile(r"\s(?:<|>|<=|>=|==)\s*[\d.]+\s*$")
SECONDS = 120.0


def rules(kind: str) -> dict[str, str]:
    """The expressions of recording rules or alerts, each under a name of its own."""
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"] if kind in rule]
    return {f"{rule[kind]} {json.dumps(rule.get('labels', {}))}": rule["expr"] for rule in found}


def operands() -> dict[str, str]:
    """The operands that the alerts compare with numbers: each has a value, whether an alert fires or not."""
    out = {}
    for name, text in rules("alert").items():
        for part in text.split(" and "):
            operand, count = COMPARISON.subn("", part)
            assert count == 1, f"{name} does not end with a comparison: {part}"
            out[f"{name}: {operand}"] = operand
    return out


def panels() -> dict[str, str]:
    """The queries of all panels with all servers chosen."""
    out = {}
    for path in sorted((FOLDER / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                out[f"{path.stem}: {panel['title']}"] = text
    return out


def lacking(server: Prometheus, queries: dict[str, str]) -> dict[str, str]:
    """The queries without a result, and why."""
    out = {}
    for name, text in queries.items():
        try:
            if not server.query(text):
                out[name] = "empty"
        except urllib.error.HTTPError as error:
            out[name] = error.read().decode()
    return out


@pytest.fixture
def ha(tmp_path: pathlib.Path) -> Iterator[Ha]:
    policy = tmp_path / "policy.yaml"
    policy.write_text("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}")
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={tmp_path}/audit.log")
    cluster = Ha(tmp_path, flags=flags, etcd_members=1)
    cluster.prometheus.interval = "2s"
    cluster.start()
    try:
        cluster.start_prometheus()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(
    bool(missing()) or prometheus.BINARY is None,
    reason="needs etcd, haproxy and prometheus; apt-get install etcd-server haproxy prometheus",
)
def test_under_load_every_rule_and_panel_has_data(ha: Ha) -> None:
    queries = rules("record") | operands() | panels()
    server = ha.prometheus
    left: dict[str, str] = queries
    with Load(ha.ports, ha.context()):

        def answered() -> bool:
            nonlocal left
            time.sleep(0.5)  # Prometheus asks the servers every two seconds
            left = lacking(server, {name: queries[name] for name in left})
            return not left

        try:
            eventually(answered, "data", SECONDS)
        except AssertionError:
            pytest.fail(f"without data: {json.dumps(left, indent=1)}")
        groups: list[dict[str, Any]] = server.get("rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in found} == {"ok"}, [rule.get("lastError") for rule in found]
    assert {target["health"] for target in server.get("targets")["activeTargets"]} == {"up"}


@pytest.mark.slow
@pytest.mark.skipif(prometheus.BINARY is None, reason="needs prometheus; apt-get install prometheus")
def test_promtool(tmp_path: pathlib.Path) -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", FOLDER / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    tests = pathlib.Path(__file__).with_name("alerts.yml")
    tested = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
