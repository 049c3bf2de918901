"""Keeps the ConfigMap `default/motd` in all clusters of a kubeconfig, with the official client.

    python controller.py KUBECONFIG "a text"

Each context of the file is a cluster. Contexts that are added are taken in, those that are removed are left
alone, both without a restart. Nothing in it is about Pilothouse.
"""

import argparse
import logging
import os
import pathlib
import signal
import threading
from typing import Any

import kubernetes
import urllib3
import yaml
from kubernetes.client.exceptions import ApiException

log = logging.getLogger("many-clusters")

NAMESPACE, NAME = "default", "motd"
MANAGER = "many-clusters"
SECONDS = 300
"""How long a watch lasts, at most."""
PAUSE = 1.0
"""Seconds between two looks at the kubeconfig, and before a cluster that has failed is tried again."""


class Cluster(threading.Thread):
    """Keeps the ConfigMap of one cluster: brings it about, and again whenever somebody has changed it."""

    def __init__(self, kubeconfig: dict[str, Any], context: str, text: str) -> None:
        super().__init__(name=context, daemon=True)
        self._text = text
        self._ended = threading.Event()
        api = kubernetes.config.new_client_from_config_dict(kubeconfig, context)
        self._core = kubernetes.client.CoreV1Api(api)
        self._watch = kubernetes.watch.Watch()

    def end(self) -> None:
        """Have the thread end with the next event."""
        self._ended.set()
        self._watch.stop()

    def run(self) -> None:
        """Reconcile until the end."""
        while not self._ended.is_set():
            try:
                self._follow()
            except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
                log.warning("%s: tried again: %s", self.name, getattr(error, "reason", None) or error)
                self._ended.wait(PAUSE)

    def _follow(self) -> None:
        chosen = f"metadata.name={NAME}"
        found = self._core.list_namespaced_config_map(NAMESPACE, field_selector=chosen)
        self._reconcile(found.items[0] if found.items else None)
        events = self._watch.stream(
            self._core.list_namespaced_config_map,
            NAMESPACE,
            field_selector=chosen,
            resource_version=found.metadata.resource_version,
            timeout_seconds=SECONDS,
        )
        for event in events:
            self._reconcile(None if event["type"] == "DELETED" else event["object"])
            if self._ended.is_set():
                return

    def _reconcile(self, found: kubernetes.client.V1ConfigMap | None) -> None:
        """Write the ConfigMap where it is not what it should be."""
        data = {"text": self._text, "cluster": self.name}
        if found is not None and found.data == data:
            return
        metadata = kubernetes.client.V1ObjectMeta(name=NAME)
        if found is None:
            body = kubernetes.client.V1ConfigMap(metadata=metadata, data=data)
            self._core.create_namespaced_config_map(NAMESPACE, body, field_manager=MANAGER)
        else:
            found.data = data
            self._core.replace_namespaced_config_map(NAME, NAMESPACE, found, field_manager=MANAGER)
        log.info("%s: written", self.name)


def follow(path: pathlib.Path, text: str, ended: threading.Event) -> None:
    """Run a thread for each context until the end; the file is read again when it has changed."""
    running: dict[str, Cluster] = {}
    seen = 0
    while not ended.is_set():
        changed = os.stat(path).st_mtime_ns
        if changed != seen:
            seen, kubeconfig = changed, yaml.safe_load(path.read_bytes())
            wanted = {one["name"] for one in kubeconfig["contexts"]}
            for name in running.keys() - wanted:
                running.pop(name).end()
            for name in sorted(wanted - running.keys()):
                running[name] = Cluster(kubeconfig, name, text)
                running[name].start()
        ended.wait(PAUSE)


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kubeconfig", type=pathlib.Path)
    parser.add_argument("text")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ended = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: ended.set())
    follow(arguments.kubeconfig, arguments.text, ended)


if __name__ == "__main__":
    main()
