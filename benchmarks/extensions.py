"""Measure what policies and webhooks add to the create of a pod:
of two servers that write in turns, one has them.

Prints medians in microseconds. The servers run in this process, the webhooks in another one, over TLS.
"""

import asyncio
import base64
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]

from bench_write_path import PODS, Rig, pod

ROUNDS, CREATES = 30, 20
"""Turns of each server, and creates in a turn."""
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RULE = (  # of five terms
    "object.metadata.name.startsWith('pod') && has(object.spec.containers) "
    "&& object.spec.containers.size() > 0 && !('skip' in object.metadata.labels) "
    "&& object.metadata.namespace != 'other"
)


def rule(resource: str) -> dict[str, Any]:
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": [resource]}


def policies(rig: Rig, count: int = 10) -> None:
    """Policies with one rule of five terms each, and their bindings."""
    for i in range(count):
        spec = {
            "matchConstraints": {"resourceRules": [rule("pods")]},
            "validations": [{"expression": f"{RULE}{i}'"}],
        }
        bound = {"policyName": f"p{i}", "validationActions": ["Deny"]}
        for plural, name, made in (("policies", f"p{i}", spec), ("policybindings", f"b{i}", bound)):
            rig.send(
                "POST", f"{ADMISSION}/validatingadmission{plural}", {"metadata": {"name": name}, "spec": made}
            )


def webhooks(rig: Rig, sort: str, resource: str, count: int, port: int, ca: bytes) -> None:
    """Webhooks of one type (mutating, validating) about one resource."""
    for i in range(count):
        hook = {
            "name": f"h{i}.example.com",
            "clientConfig": {
                "url": f"https://127.0.0.1:{port}/",
                "caBundle": base64.b64encode(ca).decode(),
            },
            "rules": [rule(resource)],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        path = f"{ADMISSION}/{sort}webhookconfigurations"
        rig.send("POST", path, {"metadata": {"name": f"{sort}{i}"}, "webhooks": [hook]})


def turn(rig: Rig) -> tuple[float, float]:
    """Wall-clock and processor seconds of a create, of CREATES."""
    began, used = time.perf_counter(), time.process_time()
    for _ in range(CREATES):
        rig.create()
    return (time.perf_counter() - began) / CREATES, (time.process_time() - used) / CREATES


def compare(name: str, configure: Callable[[Rig], None]) -> None:
    """Print what a create takes without and with a configuration."""
    rigs = Rig(), Rig()
    configure(rigs[1])
    rigs[1].loop.run_until_complete(asyncio.sleep(0.3))  # until the configuration is followed
    rounds = [[turn(rig) for rig in rigs] for _ in range(ROUNDS + 3)][3:]
    for which, unit in ((0, "wall"), (1, "processor")):
        without, within = (statistics.median(one[i][which] for one in rounds) * 1e6 for i in (0, 1))
        print(f"{name:44} {unit:10} {without:6.0f} -> {within:6.0f} us, {within - without:+7.1f}")
    for rig in rigs:
        rig.close()


async def serve(folder: Path) -> None:
    """Webhooks that allow everything."""
    import json

    from aiohttp import web
    from backend import Backend

    async def answer(request: web.Request) -> web.StreamResponse:
        review = json.loads(await request.read())
        response = {"uid": review["request"]["uid"], "allowed": True}
        return web.json_response({**review, "request": None, "response": response})

    async with Backend(folder, answer) as backend:
        (folder / "ca.pem").write_bytes(backend.ca)
        print(backend.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> int:
    if len(sys.argv) > 1:
        asyncio.run(serve(Path(sys.argv[1])))
        return 0
    assert pod("a") and PODS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, __file__, name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            ca = (folder / "ca.pem").read_bytes()

            def others(rig: Rig) -> None:
                webhooks(rig, "mutating", "services", 5, port, ca)
                webhooks(rig, "validating", "services", 5, port, ca)

            compare("nothing", lambda rig: None)
            compare("ten policies on pods", policies)
            compare("ten webhooks on other resources", others)
            compare(
                "one validating webhook on pods", lambda rig: webhooks(rig, "validating", "pods", 1, port, ca)
            )
            compare(
                "one mutating webhook on pods", lambda rig: webhooks(rig, "mutating", "pods", 1, port, ca)
            )
            process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
