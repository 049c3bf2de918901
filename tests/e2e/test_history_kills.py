"""Writers with different users, and a server that is killed every few seconds:
each acknowledged change is in the history, once, with its user, in order."""

import asyncio
import os
import random
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from e2e.http_client import Connection, Lost

from pilothouse.testing.server import Subprocess

SECONDS = float(os.environ.get("PILOTHOUSE_HISTORY_SECONDS", "6"))
WRITERS, USERS = 20, 5
RATE = 500 if "PILOTHOUSE_HISTORY_SECONDS" in os.environ else 150
"""Writes a second."""
MAPS = "/api/v1/namespaces/default/configmaps"
CHANGES = "/apis/history.pilothouse.dev/v1/namespaces/default/changes"
ADMIN = "token-of-admin"
PROGRAM = Path(__file__).with_name("quick_history.py")


class Killed(Subprocess):
    """A server with a history that can be killed and started again."""

    def _spawn(self) -> None:
        [self.port] = self._choose(1)
        with open(self.log, "ab") as log:
            command = [sys.executable, str(PROGRAM), "serve", *self.arguments()]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def crash(self) -> None:
        """Kill the server; its files stay."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def connection(self, token: str) -> Connection:
        """A connection of a user."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return Connection(self.port, context, token=token)


class Acknowledged(NamedTuple):
    """A write that was answered."""

    revision: int
    name: str
    number: int
    user: str


class Writer:
    """Writes one object, number after number."""

    def __init__(self, index: int, server: Killed, up: asyncio.Event) -> None:
        self.name = f"writer-{index}"
        self.user = f"user-{index % USERS}"
        self.written: list[Acknowledged] = []
        self.deletes = 0
        self.sent = 0
        self._server = server
        self._up = up

    async def run(self, over: asyncio.Event) -> None:
        """Write until it is over."""
        while not over.is_set():
            await self._up.wait()
            connection = self._server.connection(f"token-of-{self.user}")
            try:
                while self._up.is_set() and not over.is_set():
                    await self._write(connection)
                    await asyncio.sleep(WRITERS / RATE)
            except (Lost, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                await connection.end()

    async def _write(self, connection: Connection) -> None:
        self.sent += 1
        number = self.sent
        if number % 40 == 0:
            status, _ = await connection.request("DELETE", f"{MAPS}/{self.name}")
            self.deletes += status == 200
            return
        body: Any = {"metadata": {"name": self.name}, "data": {"n": str(number)}}
        status, answer = await connection.request("PUT", f"{MAPS}/{self.name}", body)
        if status == 404:
            status, answer = await connection.request("POST", MAPS, body)
        if status in (200, 201):
            revision = int(answer["metadata"]["resourceVersion"])
            self.written.append(Acknowledged(revision, self.name, number, self.user))
        else:
            assert status in (409, 429, 500, 503), answer


async def hurt(server: Killed, writers: list[Writer], up: asyncio.Event) -> int:
    """Let the writers write, and kill the server every few seconds; how often."""
    over, kills = asyncio.Event(), 0
    tasks = [asyncio.create_task(one.run(over)) for one in writers]
    up.set()
    left = SECONDS  # without those of the starts
    while left > 0:
        seconds = random.uniform(2.0, 5.0)
        done, _ = await asyncio.wait(tasks, timeout=seconds)
        assert not done, [task.exception() for task in done]
        left -= seconds
        up.clear()
        await asyncio.to_thread(server.crash)
        kills += 1
        await asyncio.to_thread(server.start)
        up.set()
    over.set()
    await asyncio.gather(*tasks)
    return kills


async def listed(server: Killed) -> list[Any]:
    """All changes of ConfigMaps of writers, the oldest first."""
    connection = server.connection(ADMIN)
    found: list[Any] = []
    token = ""
    while True:
        query = f"?fieldSelector=object.resource=configmaps&limit=500&continue={quote(token)}"
        status, page = await connection.request("GET", CHANGES + query)
        assert status == 200, page
        found += page["items"]
        token = page["metadata"].get("continue", "")
        if not token:
            await connection.end()
            return [one for one in found if one["object"]["name"].startswith("writer-")][::-1]


async def until_moved(server: Killed) -> None:
    """Return when the history has taken over what was written."""
    connection = server.connection(ADMIN)
    name = "pilothouse_history_changes_total "
    seen, since = "", time.monotonic()
    while time.monotonic() < since + 3:
        _, text = await connection.request("GET", "/metrics")
        now = next(line for line in text.splitlines() if line.startswith(name))
        if now != seen:
            seen, since = now, time.monotonic()
        await asyncio.sleep(0.2)
    await connection.end()


def judge(writers: list[Writer], changes: list[Any]) -> None:
    """Hold the changes against what was acknowledged."""
    names = [one["metadata"]["name"] for one in changes]
    assert len(set(names)) == len(names)
    revisions = [int(one["revision"]) for one in changes]
    assert revisions == sorted(revisions)
    by_revision = {int(one["revision"]): one for one in changes}
    assert len(by_revision) == len(changes)
    for writer in writers:
        for one in writer.written:
            found = by_revision.get(one.revision)
            assert found is not None, f"{one} is lost"
            assert found["object"]["name"] == one.name and found["user"]["username"] == one.user
            fields = {field["path"]: field.get("new") for field in found["fields"]}
            if found["operation"] == "Changed":
                assert fields[".data.n"] == str(one.number)
        mine = [one for one in changes if one["object"]["name"] == writer.name]
        assert {one["user"]["username"] for one in mine} <= {writer.user}
        assert sum(one["operation"] == "Deleted" for one in mine) >= writer.deletes
        assert len(writer.written) + writer.deletes <= len(mine) <= writer.sent
        new = [
            int(field["new"])
            for one in mine
            for field in one["fields"]
            if field["path"] == ".data.n" and "new" in field
        ]
        assert new == sorted(set(new))


@pytest.mark.slow
@pytest.mark.timeout(600 + 3 * SECONDS)
def test_no_change_is_lost(tmp_path: Path) -> None:
    rows = [f"token-of-user-{number},user-{number},{number},system:masters" for number in range(USERS)]
    rows.append(f"{ADMIN},admin,admin,system:masters")
    (tmp_path / "tokens.csv").write_text("\n".join(rows))
    flags = ["--storage-backend=sqlite", "--history", f"--token-auth-file={tmp_path}/tokens.csv"]
    with Killed([*flags, "--etcd-compaction-interval=2s"]) as server:

        async def work() -> None:
            up = asyncio.Event()
            writers = [Writer(index, server, up) for index in range(WRITERS)]
            kills = await hurt(server, writers, up)
            written = sum(len(one.written) + one.deletes for one in writers)
            judge(writers, await listed(server))
            await until_moved(server)
            judge(writers, await listed(server))
            size = sum(path.stat().st_size for path in server.directory.glob("history.db*"))
            print(f"{written} changes acknowledged, {kills} kills, {size} bytes of history")
            assert kills >= SECONDS / 5 and written > 100

        asyncio.run(work())
