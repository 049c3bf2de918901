"""Snapshots of etcd, which etcd's own tool accepts."""

import pathlib
import shutil
import subprocess
from collections.abc import Callable

import pytest
from storage import damage

from pilothouse import cli
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import free_ports

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")


def test_a_snapshot_of_etcd(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    with EtcdCluster(tmp_path) as cluster:
        dead = f"http://127.0.0.1:{free_ports(1)[0]}"
        assert cli.main(["snapshot", "save", str(path), f"--etcd-servers={dead},{cluster.urls[0]}"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"a snapshot of etcd, {path.stat().st_size} bytes, SHA-256 ")
        assert cli.main(["snapshot", "save", str(path), f"--etcd-servers={cluster.urls[0]}"]) == 1
        assert "is there already, and is not overwritten" in capsys.readouterr().err
    assert cli.main(["snapshot", "verify", str(path)]) == 0
    assert said.strip() in capsys.readouterr().out
    tool = shutil.which("etcdutl") or shutil.which("etcdctl")
    assert tool is not None
    subprocess.run(
        [tool, "snapshot", "restore", str(path), "--data-dir", str(tmp_path / "restored")],
        check=True,
        capture_output=True,
        env={"ETCDCTL_API": "3"},
    )
    assert cli.main(["snapshot", "restore", str(path), f"--data-dir={tmp_path}/b"]) == 1
    assert "etcdutl snapshot restore" in capsys.readouterr().err


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A snapshot of etcd."""
    folder = tmp_path_factory.mktemp("etcd")
    with EtcdCluster(folder) as cluster:
        assert cli.main(["snapshot", "save", str(folder / "file"), f"--etcd-servers={cluster.urls[0]}"]) == 0
    return (folder / "file").read_bytes()


@pytest.mark.parametrize("kind", damage.KINDS)
def test_a_file_that_was_changed(
    tmp_path: pathlib.Path, kind: Callable[[bytes], bytes], whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(whole)
    assert cli.main(["snapshot", "verify", str(path)]) == 0
    path.write_bytes(kind(whole))
    assert path.read_bytes() != whole and cli.main(["snapshot", "verify", str(path)]) == 1
    assert f"{path} is damaged" in capsys.readouterr().err


def test_nobody_gives_one(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert cli.main(["snapshot", "save", str(tmp_path / "file"), f"--etcd-servers={dead}"]) == 1
    assert f"no member of etcd gives a snapshot: {dead}: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
