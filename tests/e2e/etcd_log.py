"""The history of etcd itself, asked by its own client."""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from pilothouse.testing.etcd import EtcdCluster


@dataclass(frozen=True)
class Change:
    """A change of a key; a deletion has no value. `name` is what stands after the key's last slash."""

    key: str
    value: bytes
    revision: int
    deleted: bool

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


def changes(etcd: EtcdCluster, prefix: str, since: int, until: int) -> Iterator[Change]:
    """The changes of keys with a prefix from one revision to another,
    at which one of them must have been changed."""
    command = ["etcdctl", f"--endpoints={etcd.urls[0]}", "watch", f"--rev={since}", "-w", "json", "--prefix"]
    process = subprocess.Popen([*command, prefix], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            for event in json.loads(line).get("Events") or ():
                kv = event["kv"]
                key = base64.b64decode(kv["key"]).decode()
                value = base64.b64decode(kv.get("value", ""))
                yield Change(key, value, kv["mod_revision"], bool(event.get("type")))
                if kv["mod_revision"] == until:
                    return
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    raise AssertionError("etcd ended the watch")
