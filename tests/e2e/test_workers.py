"""Several processes that share a port, with one etcd."""

import asyncio
import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator

import pytest
from e2e.http_client import Connection, Lost
from eventually import aeventually, eventually

from pilothouse.reload import POLL
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

MAPS = "/api/v1/namespaces/default/configmaps"
CLIENTS = 64
ESTABLISHED, LISTENING = "01", "0A"
"""States in /proc/net/tcp."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subprocess]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as etcd:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}", "--workers=2"]
        with Subprocess(flags) as running:
            yield running


@pytest.fixture
def server(started: Subprocess) -> Subprocess:
    """All workers listen, also if the test before has killed one."""
    wait_for_all(started)
    return started


def wait_for_all(server: Subprocess) -> None:
    """Until every worker listens; the server is ready when the first does."""

    def all_listen() -> bool:
        pids = workers(server)
        return len(pids) == 2 and all(sockets(pid, server.port, LISTENING) for pid in pids)

    eventually(all_listen, "all listen", 60)


def workers(server: Subprocess) -> list[int]:
    """The processes of the workers."""
    assert server.process is not None
    pid = server.process.pid
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def kill(pid: int, port: int) -> None:
    """Kill a worker and wait until it does not listen:
    until then the kernel gives it connections, which are reset."""
    its = sockets(pid, port, LISTENING)
    os.kill(pid, signal.SIGKILL)
    await aeventually(lambda: not its & inodes(port, LISTENING), "it has ended")


def inodes(port: int, state: str) -> set[str]:
    """The sockets on a port that are in a state, as the links of descriptors name them."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == state and row[1].endswith(f":{port:04X}")}


def sockets(pid: int, port: int, state: str) -> set[str]:
    """The sockets of a process."""
    mine = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            mine.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return mine & inodes(port, state)


def test_connections_spread_and_what_one_wrote_every_other_reads(server: Subprocess) -> None:
    async def main() -> None:
        clients = [Connection(server.port, server.context(), 30) for _ in range(CLIENTS)]
        made = await asyncio.gather(
            *(c.request("POST", MAPS, {"metadata": {"name": f"m{n}"}}) for n, c in enumerate(clients))
        )
        assert {status for status, _ in made} == {201}
        taken = [len(sockets(pid, server.port, ESTABLISHED)) for pid in workers(server)]
        assert len(taken) == 2 and sum(taken) >= CLIENTS
        assert min(taken) >= CLIENTS / 4, f"the kernel gives each its share: {taken}"
        for n, client in enumerate(clients):
            status, found = await client.request("GET", f"{MAPS}/m{(n + 1) % CLIENTS}")
            assert (status, found) == (200, made[(n + 1) % CLIENTS][1])
        for client in clients:
            await client.end()

    asyncio.run(main())


def test_a_worker_that_dies_is_missed_by_its_own_clients_only(server: Subprocess) -> None:
    async def main() -> None:
        clients = [Connection(server.port, server.context(), 30) for _ in range(CLIENTS)]
        for client in clients:
            assert (await client.request("GET", MAPS))[0] == 200
        before = workers(server)
        lost = len(sockets(before[0], server.port, ESTABLISHED))
        await kill(before[0], server.port)
        broken = 0
        for client in clients:
            try:
                assert (await client.request("GET", MAPS))[0] == 200
            except Lost:
                broken += 1
        # a client that has seen the end of its idle connection before its next request opens another one
        assert broken <= lost and lost >= CLIENTS / 4
        for client in clients:
            assert (await client.request("GET", MAPS))[0] == 200, "the other one took them over"
        await aeventually(lambda: len(workers(server)) == 2, "the worker is replaced", 15)
        assert before[1] in workers(server)
        for client in clients:
            await client.end()

    asyncio.run(main())


async def scraped(server: Subprocess) -> dict[str, float]:
    """The samples of /metrics as a worker of the kernel's choice shows them."""
    client = Connection(server.port, server.context(), 30)
    status, text = await client.request("GET", "/metrics")
    assert status == 200
    await client.end()
    shown = text if isinstance(text, str) else text.decode()
    lines = [line for line in shown.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def gets(samples: dict[str, float]) -> float:
    """How many lists of ConfigMaps were counted."""
    wanted = ("apiserver_request_total{", 'resource="configmaps"', 'verb="LIST"')
    return sum(value for name, value in samples.items() if all(part in name for part in wanted))


def test_one_scrape_shows_all_workers_and_no_count_goes_backwards(server: Subprocess) -> None:
    async def main() -> None:
        start = gets(await scraped(server))
        clients = [Connection(server.port, server.context(), 30) for _ in range(CLIENTS)]
        for client in clients:
            assert (await client.request("GET", MAPS))[0] == 200
            await client.end()
        before = await scraped(server)
        assert gets(before) == start + CLIENTS
        assert [before[f'pilothouse_worker_up{{worker="{number}"}}'] for number in range(2)] == [1, 1]
        await kill(workers(server)[0], server.port)
        ups: set[tuple[float, ...]] = set()
        while ups != {(1.0, 1.0)}:
            samples = await scraped(server)
            assert gets(samples) == start + CLIENTS
            ups = {tuple(samples[f'pilothouse_worker_up{{worker="{number}"}}'] for number in range(2))}

    asyncio.run(main())


def test_all_look_at_their_files_and_all_end_together(tmp_path_factory: pytest.TempPathFactory) -> None:
    tokens = tmp_path_factory.mktemp("files") / "tokens.csv"
    tokens.write_text("first,jane,1\n")
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as etcd:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}", "--workers=2"]
        with Subprocess([*flags, f"--token-auth-file={tokens}"]) as running:
            wait_for_all(running)
            pids, process = workers(running), running.process
            assert process is not None and len(pids) == 2
            tokens.write_text("second,jane,1\n")
            process.send_signal(signal.SIGHUP)
            line = "A configuration was reloaded"
            eventually(lambda: running.log.read_text().count(line) == 2, "both workers", POLL / 2)
            assert workers(running) == pids
            process.terminate()
            assert process.wait(15) == 0, running.log.read_text()
            assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids)
