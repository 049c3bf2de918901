"""Backups under 1,000 writes a second:
what was acknowledged up to the snapshot's revision is in a server restored from it."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.writing import MAPS, Writer, owned

from pilothouse.commands.api import Api
from pilothouse.storage.sqlite.snapshot import BUMP
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

WRITERS, RATE = 20, 1000
SECONDS = 0.5
"""The seconds of writing before the first snapshot, and after the last."""
SNAPSHOTS = 2
ETCDUTL = shutil.which("etcdutl")


async def saved(server: Subprocess, folder: Path, *source: str) -> list[Writer]:
    """Write to a server, and save snapshots `0`, `1`, ... to a folder meanwhile by the command."""
    over = asyncio.Event()
    writers = [Writer(f"w{i}", server.port, server.context(), WRITERS / RATE) for i in range(WRITERS)]
    tasks = [asyncio.create_task(one.run(over)) for one in writers]
    try:
        await asyncio.wait(tasks, timeout=SECONDS)
        for number in range(SNAPSHOTS):
            began = time.monotonic()
            command = [
                sys.executable,
                "-m",
                "pilothouse",
                "snapshot",
                "save",
                str(folder / str(number)),
                *source,
            ]
            process = await asyncio.create_subprocess_exec(*command)
            done, _ = await asyncio.wait(
                {asyncio.ensure_future(process.wait()), *tasks}, return_when=asyncio.FIRST_COMPLETED
            )
            assert process.returncode == 0 and not done & set(tasks)
            ended = time.monotonic()
            count = sum(began < at < ended for one in writers for *_, at in one.writes)
            print(f"{count / (ended - began):.0f} writes a second during snapshot {number}")
            assert count
        await asyncio.wait(tasks, timeout=SECONDS)
    finally:
        over.set()
        await asyncio.gather(*tasks)
    return writers


def judge(writers: list[Writer], server: Subprocess, revision: int) -> None:
    """Every write that was acknowledged at a revision up to this one is there, and no later one."""
    found = Api(server.kubeconfig).call("GET", MAPS)["items"]
    for one in writers:
        assert owned(found, one.name) in one.states(revision), one.name
    versions = [version for one in writers for _, _, version, _ in one.writes if version]
    before = sum(version <= revision for version in versions)
    assert 0 < before < len(versions)
    print(
        f"revision {revision}: {before} of {len(versions)} writes were acknowledged up to it, all are there"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_embedded_store(tmp_path: Path) -> None:
    with Subprocess(["--storage-backend=sqlite"]) as server:
        writers = asyncio.run(saved(server, tmp_path, f"--data-dir={server.directory}"))
    for number in range(SNAPSHOTS):
        file = str(tmp_path / str(number))
        verified = subprocess.run(
            [sys.executable, "-m", "pilothouse", "snapshot", "verify", file],
            capture_output=True,
            text=True,
            check=True,
        )
        match = re.search(r"^revision +(\d+)$", verified.stdout, re.M)
        assert match is not None
        new = Subprocess(["--storage-backend=sqlite"])
        command = [
            sys.executable,
            "-m",
            "pilothouse",
            "snapshot",
            "restore",
            file,
            f"--data-dir={new.directory}",
        ]
        subprocess.run(command, check=True, capture_output=True)
        with new:
            judge(writers, new, int(match[1]))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(BINARY is None or ETCDUTL is None, reason="needs etcd; apt-get install etcd-server")
def test_etcd(tmp_path: Path) -> None:
    assert ETCDUTL is not None
    (tmp_path / "old").mkdir()
    with EtcdCluster(tmp_path / "old") as etcd:
        source = f"--etcd-servers={etcd.urls[0]}"
        with Subprocess(["--storage-backend=etcd3", source]) as server:
            writers = asyncio.run(saved(server, tmp_path, source))
    for number in range(SNAPSHOTS):
        file = str(tmp_path / str(number))
        verify = [sys.executable, "-m", "pilothouse", "snapshot", "verify", file]
        subprocess.run(verify, check=True, capture_output=True)
        status = subprocess.run(
            [ETCDUTL, "snapshot", "status", file, "-w", "json"], check=True, capture_output=True
        )
        new = tmp_path / f"new{number}"
        new.mkdir()
        cluster = EtcdCluster(new)
        restore = [ETCDUTL, "snapshot", "restore", file, f"--data-dir={new}/m0"]
        restore += ["--name=m0", f"--initial-cluster=m0={cluster.peers[0]}", f"--bump-revision={BUMP}"]
        restore += [f"--initial-advertise-peer-urls={cluster.peers[0]}", "--mark-compacted"]
        subprocess.run(restore, check=True, capture_output=True)
        flags = ["--storage-backend=etcd3", f"--etcd-servers={cluster.urls[0]}"]
        with cluster, Subprocess(flags) as server:
            judge(writers, server, json.loads(status.stdout)["revision"])
