"""The folder of programs for envtest."""

import os
import pathlib
import shlex
import stat
import subprocess

import pytest

from pilothouse.commands import envtest, envtest_assets
from pilothouse.configuration import options
from pilothouse.configuration.flags import FlagError


def test_programs_are_written_anew(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over those of another installation; kubectl is the one in the path."""
    folder, path = tmp_path / "as sets", tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    assert envtest_assets.write(folder) == ["etcd", "kube-apiserver"]
    (path / "kubectl").write_text("#!/bin/sh\n")
    (path / "kubectl").chmod(0o755)
    (folder / "etcd").write_text("of another one")
    assert envtest_assets.write(folder) == ["etcd", "kube-apiserver", "kubectl"]
    assert {one.name for one in folder.iterdir()} == {"etcd", "kube-apiserver", "kubectl"}
    assert os.readlink(folder / "kubectl") == str(path / "kubectl")
    for name in ("etcd", "kube-apiserver"):
        assert stat.S_IMODE((folder / name).stat().st_mode) & 0o111
        done = subprocess.run([folder / name, "--help"], capture_output=True, text=True, check=True)
        assert ("--secure-port" if name == "kube-apiserver" else "--listen-client-urls") in done.stdout


def test_the_folder_may_be_in_the_path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then kubectl is found in it: a link stays one to the program, and a program stays."""
    folder, kubectl = tmp_path / "assets", tmp_path / "program"
    monkeypatch.setenv("PATH", str(folder))
    folder.mkdir()
    kubectl.write_text("#!/bin/sh\n")
    kubectl.chmod(0o755)
    (folder / "kubectl").symlink_to(kubectl)
    assert "kubectl" in envtest_assets.write(folder)
    assert os.readlink(folder / "kubectl") == str(kubectl)
    kubectl.replace(folder / "kubectl")
    assert "kubectl" in envtest_assets.write(folder)
    assert (folder / "kubectl").read_text() == "#!/bin/sh\n" and not (folder / "kubectl").is_symlink()


def test_a_suite_may_ask_for_controllers() -> None:
    """Without that none runs, as with kube-apiserver; objects stay in memory though a suite names an etcd."""
    of_suite = ["--etcd-servers=http://127.0.0.1:1"]
    plain = options.parse([*envtest_assets.FLAGS, *of_suite], upstream=True)
    assert plain.store.backend == "memory" and not plain.runs("namespace")
    assert options.parse([*envtest_assets.FLAGS, *of_suite, "--controllers=*"]).runs("namespace")


def test_the_command_prints_how_suites_find_them(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a b"
    assert envtest.run([f"--assets={folder}"]) == 0
    assert capsys.readouterr().out == f"export KUBEBUILDER_ASSETS={shlex.quote(str(folder))}\n"
    assert (folder / "kube-apiserver").exists()
    with pytest.raises(FlagError, match="runs no command"):
        envtest.run([f"--assets={folder}", "--", "make"])
