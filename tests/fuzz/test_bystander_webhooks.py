"""Webhooks that are broken, slow or hostile end as their failure policy says, and delay no other client."""

import asyncio
import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.http_client import Connection
from fuzz.siege import Siege
from fuzz.watching import Seen, Stopwatch, context
from hostile_webhooks import SORTS, hostile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
WRITERS = 2
SECONDS, PAUSE = 0.8, 0.03
"""How long the writers write, with webhooks and without, and how long each waits between two objects."""
TIMES = 2.0
"""How much longer a bystander may wait in one of a hundred reads than without webhooks;
what is below FLOOR is noise: the machine of a test is shared."""
FLOOR = 0.025
TRIES = 3
HARMLESS = ("/warnings", "/grow", "/many")
REFUSING = ("/metadata",)
"""The faults that are the object's and not the call's: no failure policy lets them pass."""
ANSWERED = (*HARMLESS, *REFUSING)
"""Webhooks that answer, which on a busy machine may take longer than a second."""


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    with Siege() as siege:
        yield siege


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, bytes]]:
    """The port and the CA of the hostile webhooks, one process for all of them."""
    with hostile(tmp_path_factory.mktemp("hooks")) as served:
        yield served


class Writers:
    """Clients that create and delete config maps, and how long their requests took."""

    def __init__(self, siege: Siege) -> None:
        self._siege = siege
        self._tls = context(siege.server.directory)
        self.longest = 0.0
        self.statuses: set[int] = set()

    async def once(self, method: str, path: str, body: Any = None) -> int:
        connection = Connection(self._siege.server.port, self._tls)
        try:
            return (await connection.request(method, path, body))[0]
        finally:
            connection.close()

    async def run(self, seconds: float) -> None:
        await asyncio.gather(*(self._write(n, time.monotonic() + seconds) for n in range(WRITERS)))

    async def _write(self, n: int, until: float) -> None:
        connection = Connection(self._siege.server.port, self._tls)
        body = {"metadata": {"name": f"w{n}", "annotations": {"a": "b"}}}
        while time.monotonic() < until:
            watch = Stopwatch(self._siege.pid)
            status, _ = await connection.request("POST", CONFIG_MAPS, body)
            self.longest = max(self.longest, watch.seconds())
            self.statuses.add(status)
            await connection.request("DELETE", f"{CONFIG_MAPS}/w{n}")
            await asyncio.sleep(PAUSE)
        connection.close()


def configuration(port: int, ca: bytes, sort: str, policy: str) -> Any:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    return {
        "metadata": {"name": "hostile"},
        "webhooks": [
            {
                "name": "hostile.example.com",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}{sort}",
                    "caBundle": base64.b64encode(ca).decode(),
                },
                "rules": [rule],
                "failurePolicy": policy,
                "timeoutSeconds": 10 if sort in ANSWERED else 1,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def lived(siege: Siege, writers: Writers) -> Seen:
    """The answers to a bystander while the writers write."""
    siege.bystander.seen()
    asyncio.run(writers.run(SECONDS))
    return siege.bystander.seen()


@pytest.fixture(scope="module")
def quiet(siege: Siege) -> Seen:
    """The answers to a bystander while the writers write and there is no webhook."""
    return lived(siege, Writers(siege))


@pytest.mark.parametrize("sort", SORTS)
def test_nobody_else_waits(siege: Siege, quiet: Seen, hooks: tuple[int, bytes], sort: str) -> None:
    port, ca = hooks
    for attempt in range(TRIES):
        before = lived(siege, Writers(siege)) if attempt else quiet
        writers = Writers(siege)
        policy = ("Ignore", "Fail")[attempt % 2] if sort != "/hang" else "Fail"
        assert asyncio.run(writers.once("POST", MUTATING, configuration(port, ca, sort, policy))) == 201
        during = lived(siege, writers)
        assert asyncio.run(writers.once("DELETE", f"{MUTATING}/hostile")) == 200
        print(
            f"{sort:10} {policy:6} writes {writers.longest * 1000:6.0f} ms {writers.statuses}, bystander"
            f" p99 {before.p99 * 1000:5.1f} -> {during.p99 * 1000:5.1f} ms, longest"
            f" {before.longest * 1000:.0f} -> {during.longest * 1000:.0f} ms"
        )
        assert writers.longest < 5, "the time-out is a second"
        good = sort in HARMLESS or (policy == "Ignore" and sort not in REFUSING)
        assert writers.statuses == {201} if good else 201 not in writers.statuses
        if during.p99 < max(TIMES * before.p99, FLOOR):
            return
    raise AssertionError(f"a bystander waited: {before} -> {during}")


def test_no_traceback(siege: Siege) -> None:
    """The log has no traceback after all of the above."""
    assert "Traceback" not in siege.log(), siege.log()[-6000:]
