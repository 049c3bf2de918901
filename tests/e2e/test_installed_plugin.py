"""The example package is installed by pip, and a server runs with its plugin."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import Subprocess

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/pilothouse-team-labels"
CONFIG = """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: TeamLabels
  configuration:
    label: example.com/team
    teams: [payments]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory into which pip has installed the example; nothing comes from the network."""
    source = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
    where = ["--no-index", "--disable-pip-version-check", "--target", str(target), str(source)]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def with_site(site: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the path for the server, and for this process, which checks the flags before it starts one."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT / "src")]))
    monkeypatch.syspath_prepend(str(site))


def ask(server: Subprocess, path: str, body: Any) -> tuple[Any, Any]:
    request = urllib.request.Request(
        server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, context=server.context(), timeout=15) as answer:
            return json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as err:
        with err:
            return json.loads(err.read()), err.headers


def named(name: str, **labels: str) -> Any:
    shown = {f"example.com/{key}": value for key, value in labels.items()}
    return {"metadata": {"name": name, "labels": shown}}


def test_its_own_tests_pass(with_site: None, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_runs_with_it(with_site: None, tmp_path: pathlib.Path) -> None:
    config = tmp_path / "admission.yaml"
    config.write_text(CONFIG)
    flags = ["--enable-admission-plugins=TeamLabels", f"--admission-control-config-file={config}"]
    with Subprocess(flags) as server:
        refused, _ = ask(server, "/api/v1/namespaces", named("other", team="nobody"))
        assert refused["message"] == "namespaces \"other\" is forbidden: there is no team 'nobody'"
        assert refused["details"]["causes"][0]["field"] == "metadata.labels[example.com/team]"
        made, _ = ask(server, "/api/v1/namespaces", named("shop", team="payments"))
        assert made["kind"] == "Namespace"
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        deployment = {
            **named("web"),
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
        }
        made, _ = ask(server, "/apis/apps/v1/namespaces/shop/deployments", deployment)
        assert made["metadata"]["labels"] == {"example.com/team": "payments"}
        deployment = {**deployment, **named("mine", team="shipping")}
        refused, _ = ask(server, "/apis/apps/v1/namespaces/shop/deployments", deployment)
        assert (refused["code"], refused["reason"]) == (403, "Forbidden")
        made, headers = ask(server, "/apis/apps/v1/namespaces/default/deployments", deployment)
        assert "the namespace default belongs to no team" in headers["Warning"]
        metrics = urllib.request.Request(f"{server.url}/metrics")
        with urllib.request.urlopen(metrics, context=server.context(), timeout=15) as answer:
            shown = answer.read().decode()
        assert (
            'apiserver_admission_controller_admission_duration_seconds_count{name="TeamLabels",'
            'operation="CREATE",rejected="true",type="validate"} 2' in shown
        )


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (
            ["--enable-admission-plugins=TeamLabel"],
            'enable-admission-plugins plugin "TeamLabel" is unknown',
        ),
        (
            ["--enable-admission-plugins=TeamLabels", "--admission-control-config-file=CONFIG"],
            'admission plugin "TeamLabels" of the package pilothouse-team-labels 0.1.0: '
            'teams[0]: Invalid value: "-": teams[0] in body should match',
        ),
    ],
)
def test_a_start_says_what_is_wrong(
    with_site: None, tmp_path: pathlib.Path, flags: list[str], problem: str
) -> None:
    config = tmp_path / "admission.yaml"
    config.write_text(CONFIG.replace("payments", '"-"'))
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "pilothouse", "serve", f"--data-dir={tmp_path}/data"]
    given = [flag.replace("CONFIG", str(config)) for flag in flags]
    done = subprocess.run(
        [*command, f"--secure-port={port}", *given], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1 and problem in done.stderr.replace("\\", "")
