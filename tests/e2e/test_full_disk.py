"""A server whose disk is full: it says so, lets objects be deleted, and goes on when there is space."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import small_disk
from e2e.http_client import Connection
from eventually import aeventually

from pilothouse.testing.server import Subprocess

MAPS = "/api/v1/namespaces/default/configmaps"


class OnSmallDisk(Subprocess):
    """A server whose data directory is a file system of 64 MiB."""

    @property
    def disk(self) -> Path:
        """The data directory, as the server's mount namespace has it."""
        root = f"/proc/{self.process.pid}/root" if self.process else ""
        return Path(f"{root}{self.directory}/data")

    client_key = property(lambda self: self.disk / "admin.key")
    client_cert = property(lambda self: self.disk / "admin.crt")
    ca_file = property(lambda self: self.disk / "ca.crt")

    def _spawn(self) -> None:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        flags = ["--storage-backend=sqlite", f"--data-dir={data}"]
        program = [sys.executable, "-m", "pilothouse", "serve", *self.arguments(), *flags]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(small_disk.command(data, 64, program), stdout=log, stderr=log)


def fill(file: Path) -> None:
    """Write a file until the disk is full."""
    with file.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
        while True:
            out.write(bytes(1 << 16))


@pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces")
def test_a_full_disk() -> None:
    async def main(server: Subprocess, disk: Path) -> None:
        client = Connection(server.port, server.context(), 30)

        async def create(name: str) -> tuple[int, dict[str, object]]:
            body = {"metadata": {"name": name}, "data": {"a": "x" * 900_000}}
            return await client.request("POST", MAPS, body)

        async def ready() -> bool:
            return (await client.request("GET", "/readyz"))[0] == 200

        assert (await create("kept"))[0] == 201
        ballast = disk / "ballast"  # what something else has put there
        fill(ballast)
        for turn in range(40):
            status, answer = await create(f"m{turn}")
            if status != 201:
                break
        assert status == 500 and "mvcc: database space exceeded" in str(answer["message"])
        assert "reason" not in answer
        status, text = await client.request("GET", "/readyz?verbose")
        assert status == 500 and "[-]storage-space failed" in text
        assert "pilothouse_storage_full 1" in (await client.request("GET", "/metrics"))[1]
        assert (await client.request("GET", f"{MAPS}/kept"))[0] == 200
        assert (await client.request("DELETE", f"{MAPS}/kept"))[0] == 200
        ballast.unlink()
        await aeventually(ready, "the server is ready again", 20)
        assert (await create("new"))[0] == 201
        assert "pilothouse_storage_full 0" in (await client.request("GET", "/metrics"))[1]
        client.close()

    with OnSmallDisk() as server:
        asyncio.run(main(server, server.disk))
