"""The Debian package that `make deb` has made: it is installed into a Debian of its own, which is booted."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from deploy.machines import Machine, booted
from deploy.page import commands
from eventually import eventually

from deploy import installed

URL = "https://127.0.0.1:6443"
DATA = "/var/lib/pilothouse"
UNIT = "pilothouse.service"
DROP_IN = "etc/systemd/system/pilothouse.service.d/test.conf"
ASK = """
import pathlib, sys
sys.path.insert(0, "/root")
import installed
print(installed.get(sys.argv[1], pathlib.Path("/var/lib/pilothouse")).decode())
"""


@pytest.fixture(scope="module")
def machine(
    packages: pathlib.Path, debian: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    root = tmp_path_factory.mktemp("machine")
    subprocess.run(["tar", f"--directory={root}", "--extract", f"--file={debian}"], check=True)
    [package] = packages.glob("pilothouse_*.deb")
    shutil.copy(package, root / "root")
    shutil.copy(str(installed.__file__), root / "root")
    with booted(root) as machine:
        machine("apt-get", "install", "--yes", f"/root/{package.name}")
        yield machine
    shutil.rmtree(root, ignore_errors=True)


def ask(machine: Machine, path: str) -> str:
    """The server's answer to its administrator, who is root there."""
    return machine("python3", "-c", ASK, URL + path).strip()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_is_installed_and_starts_as_its_page_says(machine: Machine) -> None:
    """The commands of docs/install.md, one after another. Nothing is started before the flags stand."""
    assert machine.state(UNIT, "UnitFileState", "ActiveState") == ["disabled", "inactive"]
    lines = commands("As a Debian package")
    assert lines[:2] == ["make deb", "apt-get install ./dist/pilothouse_*.deb"], "what the fixtures have done"
    machine("sh", "-euc", "cd /root\n" + "\n".join(lines[2:]))
    assert "certificate-authority-data" in machine("cat", "/root/admin.kubeconfig")
    assert machine.state(UNIT, "StatusText", "UnitFileState") == ["Serving on port 6443", "enabled"]
    assert '"10.96.0.0/12"' in ask(machine, "/apis/networking.k8s.io/v1/servicecidrs")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_service_has_no_rights(machine: Machine) -> None:
    machine("systemctl", "start", UNIT)
    [number] = machine.state(UNIT, "MainPID")
    status = dict(
        line.split(":\t", 1)
        for line in machine("cat", f"/proc/{number}/status").splitlines()
        if ":\t" in line
    )
    assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split()
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_that_hangs_is_started_anew(machine: Machine) -> None:
    """The watchdog, which is told to be quicker than that of the unit."""
    drop_in = machine.root / DROP_IN
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=2\n")
    machine("systemctl", "daemon-reload")
    machine("systemctl", "restart", UNIT)
    [before] = machine.state(UNIT, "MainPID")
    machine("systemctl", "kill", "--signal=STOP", UNIT)
    eventually(lambda: machine.state(UNIT, "NRestarts") == ["1"], "the watchdog", 60)
    eventually(lambda: machine.state(UNIT, "ActiveState") == ["active"], "the next start", 60)
    assert machine.state(UNIT, "MainPID") != [before]
    assert "Failed with result 'watchdog'" in machine("journalctl", "--no-pager", f"--unit={UNIT}")
    drop_in.unlink()
    machine("systemctl", "daemon-reload")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_socket_starts_the_server_and_holds_the_port(machine: Machine) -> None:
    machine("systemctl", "stop", UNIT)
    machine("systemctl", "start", "pilothouse.socket")
    assert machine.state(UNIT, "ActiveState") == ["inactive"]
    assert ask(machine, "/readyz") == "ok", "the first client waits for the start"
    assert machine.state(UNIT, "ActiveState") == ["active"]
    machine("systemctl", "restart", "--no-block", UNIT)
    assert ask(machine, "/readyz") == "ok", "nobody is refused meanwhile"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_upgrade_starts_it_anew_and_a_removal_keeps_the_data(machine: Machine) -> None:
    machine("systemctl", "stop", "pilothouse.socket", UNIT)
    machine("systemctl", "enable", "--now", UNIT)
    [before] = machine.state(UNIT, "MainPID")
    [package] = (machine.root / "root").glob("pilothouse_*.deb")
    flags = (machine.root / "etc/default/pilothouse").read_text()
    machine("dpkg", "--install", f"/root/{package.name}")
    assert machine.state(UNIT, "ActiveState") == ["active"] and machine.state(UNIT, "MainPID") != [before]
    assert (machine.root / "etc/default/pilothouse").read_text() == flags, "a configuration file"
    machine("dpkg", "--purge", "pilothouse")
    assert machine.run("systemctl", "is-active", UNIT).returncode != 0
    assert not (machine.root / "opt/pilothouse").exists() and not os.path.lexists(
        machine.root / "usr/bin/pilothouse"
    )
    assert (machine.root / "var/lib/private/pilothouse/ca.key").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_debian_packages_have(packages: pathlib.Path) -> None:
    [package] = packages.glob("pilothouse_*.deb")
    files = subprocess.check_output(["dpkg-deb", "--fsys-tarfile", str(package)])
    names = set(
        subprocess.run(["tar", "--list"], input=files, capture_output=True, check=True)
        .stdout.decode()
        .split()
    )
    assert {
        "./etc/default/pilothouse",
        "./usr/lib/systemd/system/pilothouse.service",
        "./usr/lib/systemd/system/pilothouse.socket",
        "./usr/share/bash-completion/completions/pilothouse",
        "./usr/share/zsh/vendor-completions/_pilothouse",
        "./usr/share/fish/vendor_completions.d/pilothouse.fish",
        "./usr/share/man/man8/pilothouse.8.gz",
        "./usr/share/doc/pilothouse/copyright",
        "./usr/share/doc/pilothouse/changelog.gz",
        "./usr/bin/pilothouse",
    } <= names
