"""Requests of every kind that the dashboards show:
reads, writes, watches, refusals, failures, a webhook, a policy."""

import contextlib
import http.client
import json
import ssl
import threading
from types import TracebackType
from typing import Any, Self

PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"
SECRETS = "/api/v1/namespaces/default/secrets"
MAPS = "/api/v1/namespaces/default/configmaps"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"

ROUND = 1.0
"""Seconds between two rounds of a client's requests: less than the two between two scrapes."""


def rule(resource: str) -> dict[str, list[str]]:
    """A rule for the creation of this resource."""
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}


def webhook(resource: str, policy: str) -> dict[str, Any]:
    """A webhook that nobody answers."""
    return {
        "name": f"{resource}.nobody.example",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule(resource)],
        "failurePolicy": policy,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }


OBJECTS = {
    f"{ADMISSION}/validatingwebhookconfigurations": {
        "metadata": {"name": "nobody-there"},
        "webhooks": [webhook("configmaps", "Ignore"), webhook("secrets", "Fail")],
    },
    f"{ADMISSION}/validatingadmissionpolicies": {
        "metadata": {"name": "not-empty"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule("configmaps")]},
            "validations": [{"expression": "has(object.data)"}],
        },
    },
    f"{ADMISSION}/validatingadmissionpolicybindings": {
        "metadata": {"name": "not-empty"},
        "spec": {"policyName": "not-empty", "validationActions": ["Deny"]},
    },
    NODES: {
        "metadata": {"name": "nobody"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
        },
    },
}
POD = {
    "metadata": {"name": "pod"},
    "spec": {"nodeName": "nobody", "containers": [{"name": "c", "image": "i"}]},
}


class Load:
    """Clients in threads, one for each address, from `with` to its end."""

    def __init__(self, ports: list[int], context: ssl.SSLContext) -> None:
        self._context = context
        self._ended = threading.Event()
        kinds = [(kind, port) for port in ports for kind in (self._requests, self._watch)]
        self._threads = [threading.Thread(target=kind, args=(port,)) for kind, port in kinds]
        self._first = ports[0]

    def __enter__(self) -> Self:
        connection = self._connect(self._first)
        for path, obj in OBJECTS.items():
            assert self._send(connection, "POST", path, obj) == 201, path
        connection.close()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _connect(self, port: int) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", port, context=self._context, timeout=30)

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "json",
    ) -> int:
        connection.request(method, path, json.dumps(body), {"Content-Type": f"application/{kind}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def _requests(self, port: int) -> None:
        connection, name = self._connect(port), f"map-{port}"
        one = f"{MAPS}/{name}"
        obj = {"metadata": {"name": name}, "data": {"a": "b"}}
        while not self._ended.wait(ROUND):
            self._send(connection, "POST", MAPS, obj)
            self._send(connection, "GET", one)
            self._send(connection, "PUT", one, obj)
            self._send(connection, "PATCH", one, {"data": {"a": "c"}}, "merge-patch+json")
            self._send(connection, "GET", MAPS)
            self._send(connection, "GET", "/api/v1/configmaps?resourceVersion=0")
            self._send(connection, "DELETE", one)
            self._send(connection, "GET", one)  # 404
            self._send(connection, "POST", MAPS, {"metadata": {"name": name}})  # the policy refuses it
            self._send(connection, "POST", PODS, POD)
            self._send(connection, "GET", f"{PODS}/pod/log")  # 500, no kubelet answers
            self._send(
                connection, "POST", SECRETS, {"metadata": {"name": name}}
            )  # 500, its webhook does not answer
            self._send(connection, "GET", "/readyz")
        connection.close()

    def _watch(self, port: int) -> None:
        while not self._ended.is_set():
            connection = self._connect(port)
            with contextlib.closing(connection):
                connection.request("GET", f"{MAPS}?watch=1&timeoutSeconds=3")
                connection.getresponse().read()
