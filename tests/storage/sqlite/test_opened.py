"""The embedded store as the flags ask for it, below the API."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from harness import Rig

from pilothouse.configuration import options
from pilothouse.storage.backends import open_storage

LEASES = "/apis/coordination.k8s.io/v1/namespaces/%s/leases"


def reserved(directory: Path) -> bool:
    """Whether an update was not synced, before which revisions are reserved."""
    with sqlite3.connect(directory / "state.db") as db:
        return db.execute("SELECT number FROM meta WHERE name = 'reserved'").fetchone() is not None


async def renewed(rig: Rig, namespace: str) -> None:
    lease: dict[str, Any] = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {"holderIdentity": "a"},
    }
    made = await rig.ok("POST", LEASES % namespace, lease)
    made["spec"]["holderIdentity"] = "b"
    await rig.ok("PUT", f"{LEASES % namespace}/a", made)


@pytest.mark.parametrize(("flag", "relaxed"), [("", False), ("strict", False), ("relaxed", True)])
def test_the_flag_is_about_leases_in_the_namespace_of_nodes(tmp_path: Path, flag: str, relaxed: bool) -> None:
    flags = [f"--lease-durability={flag}"] if flag else []

    async def main() -> None:
        store = open_storage(options.parse(flags).store, tmp_path)
        async with Rig(storage=store, namespaces=("kube-system", "default", "kube-node-lease")) as rig:
            for namespace in ("kube-system", "default"):
                await renewed(rig, namespace)
            assert not reserved(tmp_path)
            await renewed(rig, "kube-node-lease")
            assert reserved(tmp_path) == relaxed

    asyncio.run(main())
