r"""Two tenants of one server: one floods it over many connections, the other reads and writes small things,
and an administrator asks what kubectl asks. For Locust.

usage: make load-tenants (it starts a server of its own and prints a table), or one flood against a server:
       TENANTS_FILE=tenants.json locust -f loadtest/tenants.py --headless -u 202 -r 100 -t 20s \
           Small Administrator Lists
TENANTS_FILE is a JSON object: `server` (a loopback address), `ca` (a file) and `tokens` (of `flood`, `small`
and `admin`). The namespaces must be there, with what they have: loadtest/two_tenants.py makes them.
"""

import json
import os
import random
import time
from typing import Any
from urllib.parse import urlsplit

from locust import HttpUser, constant, constant_pacing, task

with open(os.environ["TENANTS_FILE"]) as file:
    SETTINGS: dict[str, Any] = json.load(file)
if urlsplit(SETTINGS["server"]).hostname not in ("127.0.0.1", "localhost", "::1"):
    raise SystemExit(f"{SETTINGS['server']} is not a loopback address")

FLOODED, SMALL = "/api/v1/namespaces/flood-data/configmaps", "/api/v1/namespaces/small/configmaps"
PIECE = 1 << 16
"""Bytes of a long answer that are read at a time."""


class Tenant(HttpUser):
    """A client with a bearer token of `role`. `fixed_count` users of each class run beside the others."""

    abstract = True
    host = SETTINGS["server"]
    role = ""

    def on_start(self) -> None:
        self.client.verify = SETTINGS["ca"]
        self.client.trust_env = False
        self.client.headers["Authorization"] = f"Bearer {SETTINGS['tokens'][self.role]}"
        self.id = f"{random.getrandbits(40):010x}"


class Small(Tenant):
    """Reads and writes small things, 20 times a second."""

    role = "small"
    fixed_count = 1
    wait_time = constant_pacing(0.05)

    def on_start(self) -> None:
        super().on_start()
        self.client.post(SMALL, json={"metadata": {"name": self.id}}, name="small: first")

    @task(4)
    def get(self) -> None:
        self.client.get(f"{SMALL}/{self.id}", name="small")

    @task(1)
    def update(self) -> None:
        body = {"metadata": {"name": self.id}, "data": {"at": str(time.time())}}
        self.client.put(f"{SMALL}/{self.id}", json=body, name="small")


class Administrator(Tenant):
    """The requests of `kubectl get`: discovery is cached, so it is one table."""

    role = "admin"
    fixed_count = 1
    wait_time = constant_pacing(0.5)

    @task
    def get(self) -> None:
        table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
        self.client.get("/api/v1/namespaces?limit=500", headers=table, name="kubectl get")


class Flood(Tenant):
    """The first tenant: refusals with 429 are what is expected; it does not heed Retry-After."""

    abstract = True
    role = "flood"
    wait_time = constant(0)

    def read(self, path: str, name: str, encoding: str = "identity") -> None:
        """Read an answer piece by piece without keeping it."""
        headers = {"Accept-Encoding": encoding}
        with self.client.get(path, name=name, headers=headers, stream=True, catch_response=True) as answer:
            for _ in answer.iter_content(PIECE):
                pass
            if answer.status_code == 429:
                answer.success()


class Lists(Flood):
    """Lists without pages."""

    @task
    def everything(self) -> None:
        self.read(FLOODED, "flood: list")


class Creates(Flood):
    """Creates objects and deletes none."""

    @task
    def create(self) -> None:
        body = {"metadata": {"generateName": "flood-"}, "data": {"text": "x" * 1024}}
        with self.client.post(
            "/api/v1/namespaces/flood-new/configmaps", json=body, name="flood: create", catch_response=True
        ) as answer:
            if answer.status_code == 429:
                answer.success()


class Watches(Flood):
    """Watches from the beginning, of which nothing is read for a while."""

    @task
    def unread(self) -> None:
        url = f"{FLOODED}?watch=1&timeoutSeconds=60"
        with self.client.get(url, name="flood: watch", stream=True, catch_response=True) as answer:
            time.sleep(5)
            answer.success()


class Discovery(Flood):
    """Reads the documents that describe the API."""

    @task
    def documents(self) -> None:
        for path in ("/api", "/apis", "/openapi/v2", "/openapi/v3"):
            self.read(path, f"flood: {path}", "gzip")
