"""A bounded mix of everyday requests against the server of `make run`, for Locust.

usage: make load, or locust -f loadtest/locustfile.py --headless with your own numbers.
Only loopback addresses are accepted, the number of users is bounded,
and everything happens in one namespace that is deleted at the end.
"""

import os
import random
import ssl
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml
from locust import HttpUser, between, events, task
from locust.env import Environment

NAMESPACE = "loadtest"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
MOST_USERS = 200
KEPT = 50
"""Objects that a user has at most."""


def settings() -> dict[str, Any]:
    """Address and certificates of the current context of KUBECONFIG."""
    import base64
    import tempfile

    with open(os.environ.get("KUBECONFIG", "var/admin.kubeconfig")) as file:
        config = yaml.safe_load(file)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    paths = []
    for part in (
        cluster["certificate-authority-data"],
        user["client-certificate-data"],
        user["client-key-data"],
    ):
        with tempfile.NamedTemporaryFile(delete=False) as out:
            out.write(base64.b64decode(part))
        paths.append(out.name)
    return {"server": cluster["server"], "ca": paths[0], "cert": (paths[1], paths[2])}


SETTINGS = settings()
if urlsplit(SETTINGS["server"]).hostname not in ("127.0.0.1", "localhost", "::1"):
    raise SystemExit(f"{SETTINGS['server']} is not a loopback address")


@events.init.add_listener
def bound(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    if options is not None and (options.num_users or 1) > MOST_USERS:
        raise SystemExit(f"at most {MOST_USERS} users")


def pool() -> urllib3.PoolManager:
    context = ssl.create_default_context(cafile=SETTINGS["ca"])
    context.load_cert_chain(*SETTINGS["cert"])
    return urllib3.PoolManager(ssl_context=context)


@events.test_start.add_listener
def begin(environment: Environment, **_: object) -> None:
    body = {"metadata": {"name": NAMESPACE}}
    pool().request("POST", f"{SETTINGS['server']}/api/v1/namespaces", json=body)


@events.test_stop.add_listener
def finish(environment: Environment, **_: object) -> None:
    pool().request("DELETE", f"{SETTINGS['server']}/api/v1/namespaces/{NAMESPACE}")


class Client(HttpUser):
    """Reads a lot, writes a little, lists in pages."""

    host = SETTINGS["server"]
    wait_time = between(0.01, 0.1)

    def on_start(self) -> None:
        self.client.verify, self.client.cert = SETTINGS["ca"], SETTINGS["cert"]
        self.prefix = f"{random.getrandbits(40):010x}"
        self.names: list[str] = []
        self.made = 0

    @task(2)
    def create(self) -> None:
        if len(self.names) >= KEPT:
            self.delete()
        self.made += 1
        name = f"{self.prefix}-{self.made}"
        body = {"metadata": {"name": name, "labels": {"by": self.prefix}}, "data": {"text": "x" * 1024}}
        if self.client.post(MAPS, json=body, name="create").ok:
            self.names.append(name)

    @task(10)
    def get(self) -> None:
        if self.names:
            self.client.get(f"{MAPS}/{random.choice(self.names)}", name="get")

    @task(2)
    def patch(self) -> None:
        if self.names:
            headers = {"Content-Type": "application/merge-patch+json"}
            body = f'{{"data":{{"n":"{random.random()}"}}}}'
            self.client.patch(f"{MAPS}/{random.choice(self.names)}", data=body, headers=headers, name="patch")

    @task(1)
    def pages(self) -> None:
        token = ""
        for _ in range(3):
            answer = self.client.get(f"{MAPS}?limit=100&continue={token}", name="list, a page")
            token = answer.json().get("metadata", {}).get("continue", "") if answer.ok else ""
            if not token:
                break

    @task(1)
    def own(self) -> None:
        self.client.get(f"{MAPS}?labelSelector=by%3D{self.prefix}", name="list by label")

    @task(1)
    def delete(self) -> None:
        if self.names:
            self.client.delete(f"{MAPS}/{self.names.pop()}", name="delete")
