"""One logical cluster is flooded; others and the root are served all the same, and memory stays bounded."""

import asyncio
import ssl
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.flooding import command
from e2e.http_client import Connection
from e2e.test_tenants import AT_ONCE, FLOOR, TIMES, TRIES, Waits, peak
from fuzz.watching import Stopwatch

from pilothouse import pki
from pilothouse.authn.x509 import scope_unit
from pilothouse.testing.server import Subprocess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONNECTIONS = 60
OBJECTS, SIZE = 40, 100_000
"""The long list: 4 MB."""
BUDGET = 400 << 20
"""Bytes that the server may take."""
SECONDS, PAUSE = 2.0, 0.01
CLUSTERS = "/apis/pilothouse.dev/v1alpha1/clusters"
ROLE = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "cluster-admin"}
ACCOUNT = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
MAP = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
LIMIT = 800
"""Objects that the flooded cluster may hold."""


class Flooded(Subprocess):
    """A server with two clusters."""

    def tenant(self, cluster: str) -> Connection:
        """A connection of a cluster's administrator."""
        authority = pki.CertificateAuthority.load(self.directory / "ca.crt", self.directory / "ca.key")
        assert authority is not None
        groups = ("system:masters",)
        with self._client() as root:
            uid = root.call("GET", f"{CLUSTERS}/{cluster}")["metadata"]["uid"]
        cert, key = authority.issue("tenant", groups, server=False, unit=scope_unit(uid))
        path = self.directory / f"{cluster}.pem"
        path.write_bytes(cert + key)
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(path)
        return Connection(self.port, context)

    async def fill(self) -> str:
        """Make the clusters, and the long list in the first; the token of one who floods."""
        root = Connection(self.port, self.context())
        for name in ("flooded", "bystander"):
            spec: Any = {"limits": {"objects": LIMIT, "bytes": "20Mi"}} if name == "flooded" else {}
            made = {"apiVersion": "pilothouse.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
            assert (await root.request("POST", CLUSTERS, made | {"spec": spec}))[0] == 201
        await root.end()
        tenant, prefix = self.tenant("flooded"), "/clusters/flooded"
        binding = {"metadata": {"name": "flood"}, "roleRef": ROLE, "subjects": [ACCOUNT]}
        bodies: list[tuple[str, Any]] = [
            ("/api/v1/namespaces", {"metadata": {"name": "flooded"}}),
            ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding),
        ]
        for number in range(OBJECTS):
            long = {"metadata": {"name": f"long-{number}"}, "data": {"text": "x" * SIZE}}
            bodies.append(("/api/v1/namespaces/flooded/configmaps", long))
        for path, body in bodies:
            assert (await tenant.request("POST", prefix + path, body))[0] == 201
        path = f"{prefix}/api/v1/namespaces/default/serviceaccounts/default/token"
        status, answer = await tenant.request("POST", path, {"spec": {}})
        assert status == 201, answer
        await tenant.end()
        return str(answer["status"]["token"])


@pytest.fixture(scope="module")
def server() -> Iterator[Flooded]:
    with Flooded(["--clusters", f"--max-memory={BUDGET}"]) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: Flooded) -> str:
    return asyncio.run(server.fill())


@pytest.fixture(scope="module")
def quiet(server: Flooded, token: str) -> Waits:
    """The waits of others without a flood."""
    return asyncio.run(measured(server))


async def measured(server: Flooded) -> Waits:
    """The waits of another cluster and of the root for some seconds."""
    bystander, admin = server.tenant("bystander"), Connection(server.port, server.context())
    waits: list[float] = []
    longest = 0.0
    assert server.process is not None
    process = server.process.pid
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        watch = Stopwatch(process)
        change = {"metadata": {"name": "kube-root-ca.crt", "annotations": {"n": str(len(waits))}}}
        sent = (
            ("PUT", f"/clusters/bystander{MAP}", change)
            if len(waits) % 5 == 0
            else ("GET", f"/clusters/bystander{MAP}")
        )
        status, answer = await bystander.request(*sent)
        waits.append(watch.seconds())
        assert status == 200, answer
        if len(waits) % 20 == 0:
            watch = Stopwatch(process)
            assert (await admin.request("GET", "/api/v1/namespaces"))[0] == 200
            longest = max(longest, watch.seconds())
        await asyncio.sleep(PAUSE)
    for connection in (bystander, admin):
        await connection.end()
    waits.sort()
    return Waits(waits[int(len(waits) * 0.99)], longest)


@pytest.mark.parametrize("flood", ["lists", "creates", "watches"])
def test_other_clusters_are_served(server: Flooded, token: str, quiet: Waits, flood: str) -> None:
    found = []
    for attempt in range(TRIES):
        if attempt:
            quiet = asyncio.run(measured(server))
        process = subprocess.Popen(command(server, token, flood, CONNECTIONS, "/clusters/flooded"))
        try:
            time.sleep(1)
            assert process.poll() is None, "the flood is under way"
            flooded = asyncio.run(measured(server))
        finally:
            process.kill()
            process.wait()
        found.append((quiet, flooded))
        print(f"{flood}: {quiet} -> {flooded}, peak {peak(server) / 1e6:.0f} MB")
        if flooded.small <= max(TIMES * quiet.small, FLOOR) and flooded.admin <= AT_ONCE:
            break
    else:
        raise AssertionError(f"{flood}: {found}")
    assert peak(server) < BUDGET


def test_a_flood_stays_within_the_limits_of_its_cluster(server: Flooded, token: str) -> None:
    """Creates at once do not get past the limit together."""

    async def work() -> None:
        tenant = server.tenant("flooded")
        asking = [server.tenant("flooded") for _ in range(8)]
        path = "/clusters/flooded/api/v1/namespaces/default/configmaps"

        async def create(connection: Connection, name: str) -> int:
            refused = 0
            for number in range(110):
                body = {"metadata": {"name": f"{name}-{number}"}, "data": {"x": "x"}}
                status, answer = await connection.request("POST", path, body)
                assert status in (201, 409) or "limit of" in str(answer), (status, answer)
                refused += status not in (201, 409)
            await connection.end()
            return refused

        refused = await asyncio.gather(*(create(one, f"f{n}") for n, one in enumerate(asking)))
        assert all(refused)
        root = Connection(server.port, server.context())
        _, text = await root.request("GET", "/metrics")
        [line] = [
            one for one in text.splitlines() if one.startswith('pilothouse_cluster_objects{cluster="flooded"')
        ]
        assert float(line.split()[-1]) == LIMIT
        [line] = [
            one for one in text.splitlines() if one.startswith('pilothouse_cluster_bytes{cluster="flooded"')
        ]
        assert float(line.split()[-1]) <= 20 << 20
        await root.end()
        await tenant.end()

    asyncio.run(work())
