"""Plays scenarios on an API server, and hides in its answers what differs from run to run."""

import http.client
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fuzz.scenario import Scenario, Step

WAIT = 5.0
"""Seconds that a step waits for the status that it wants."""
PAUSE = 0.01
EVENTS = 0.15
"""Seconds after which a watch that says nothing more is closed."""
COMPARED = ("content-type", "warning", "location", "allow", "www-authenticate")
BROKEN = 0
"""The status where the connection was closed without an answer."""

MISTAKE = re.compile(r"Internal error occurred: [A-Z]\w+")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CUT_UUID = re.compile(r"[0-9a-f-]{1,35}(?=\.\.\. \(\d+ characters left out\))")
"""The end of what a server quotes of a long text."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
OWN = ("2026-01-01", "2026-13", "0001-01-01", "9999-12-31", "10000-01-01")
"""Beginnings of times that scenarios bring along."""
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
ACCESS = re.compile(r"kube-api-access-[a-z0-9]{5}\b")
VERSION = re.compile(r'(resourceVersion\\*"?: ?\\*")\d+')
AGE = re.compile(r"^\d+[smhd](\d+[smh])?$|^<invalid>$")
MADE = re.compile(r"(gen-|GEN|gena+)[bcdfghjklmnpqrstvwxz2456789]{5}\b")
"""Names that a server has made: all prefixes of scenarios end like these."""
PORT = re.compile(r"(nodePort:)\d+")
ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+\b")


@dataclass
class Answer:
    """Status, compared headers, and the body: decoded JSON, the events of a watch, or text."""

    status: int
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: Any = None

    @property
    def mistaken(self) -> bool:
        """Whether the server failed by a mistake of its own, which it names by the class of an exception.

        Some other errors are a 500 upstream, too: plain Go errors, a node port that is taken, a panic.
        """
        message = self.body.get("message") if isinstance(self.body, dict) else ""
        return self.status == BROKEN or MISTAKE.fullmatch(str(message)) is not None


class Player:
    """One connection to a server, as an administrator: by a certificate in `context`, or by `token`."""

    def __init__(self, url: str, context: ssl.SSLContext, token: str = "") -> None:
        self.url, self.context = urlsplit(url), context
        self.always = {"authorization": f"Bearer {token}"} if token else {}
        self.connection: http.client.HTTPSConnection | None = None

    def play(self, scenario: Scenario) -> Iterator[tuple[Step, Answer]]:
        """Send the steps, one after the other, in a namespace of their own."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scenario.namespace}}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self._make("/api/v1/namespaces", namespace)
        self._make(f"/api/v1/namespaces/{scenario.namespace}/serviceaccounts", account)
        known: dict[str, str] = {}
        refused = False
        try:
            for step in scenario.steps:
                if refused and step.until:  # what it waits for was not made
                    return
                answer = self.send(_filled(step, known))
                refused = answer.status >= 300
                _learn(answer.body, known)
                yield step, answer
        finally:
            for path in (*reversed(scenario.leave), f"/api/v1/namespaces/{scenario.namespace}"):
                self._drop(path)

    def _make(self, path: str, body: Any) -> None:
        self.send(Step("POST", path, json.dumps(body).encode(), {"content-type": "application/json"}))

    def _drop(self, path: str) -> None:
        free = b'{"metadata":{"finalizers":null}}'
        self.send(Step("PATCH", path, free, {"content-type": "application/merge-patch+json"}))
        self.send(Step("DELETE", path))

    def send(self, step: Step) -> Answer:
        """The answer; the last one when the status that the step waits for does not come."""
        until = time.monotonic() + WAIT
        while True:
            answer = self._once(step)
            if step.until in (0, answer.status) or time.monotonic() > until:
                return answer
            time.sleep(PAUSE)

    def _once(self, step: Step) -> Answer:
        for attempt in (0, 1):
            fresh = self.connection is None
            try:
                return self._exchange(step)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if fresh or attempt:
                    return Answer(BROKEN, {}, f"{type(error).__name__}: {error}")
        raise AssertionError

    def _exchange(self, step: Step) -> Answer:
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                self.url.hostname or "", self.url.port, context=self.context, timeout=20
            )
        connection = self.connection
        connection.putrequest(step.method, step.path, skip_accept_encoding=True)
        for name, value in {"accept": "application/json", **self.always, **step.headers}.items():
            connection.putheader(name, value.encode())
        if step.body is not None or step.method in ("POST", "PUT", "PATCH"):
            connection.putheader("content-length", str(len(step.body or b"")))
        connection.endheaders(step.body)
        answer = connection.getresponse()
        headers: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            if name.lower() in COMPARED:
                headers.setdefault(name.lower(), []).append(value)
        if answer.getheader("transfer-encoding") == "chunked" and _watches(step.path):
            return Answer(answer.status, headers, self._events(answer))
        return Answer(answer.status, headers, _decoded(answer.read()))

    def _events(self, answer: http.client.HTTPResponse) -> list[Any]:
        """The events that a watch sends at once; its connection is closed."""
        assert self.connection is not None and self.connection.sock is not None
        self.connection.sock.settimeout(EVENTS)
        events = []
        try:
            while line := answer.readline():
                events.append(_decoded(line))
        except (OSError, http.client.HTTPException):
            pass
        self.close()
        return events

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def _watches(path: str) -> bool:
    return "watch" in path


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def _filled(step: Step, known: Mapping[str, str]) -> Step:
    """The step with what the last answers said in place of its marks."""
    path, body = step.path, step.body
    for mark, value in known.items():
        path = path.replace("%24" + mark[1:], value)
        body = body.replace(mark.encode(), value.encode()) if body is not None else None
    return Step(step.method, path, body, step.headers, step.until)


def _learn(body: Any, known: dict[str, str]) -> None:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if isinstance(metadata, dict):
        for mark, name in (("$RV", "resourceVersion"), ("$UID", "uid"), ("$CONTINUE", "continue")):
            if isinstance(metadata.get(name), str) and metadata[name]:
                known[mark] = metadata[name]


class Normaliser:
    """Gives what a server chooses the number of its first appearance in a scenario:
    uids, versions, addresses, ports.

    Lists and tables lose what is not the scenario's: its objects have `place` as namespace or in their name.
    """

    def __init__(self, place: str = "") -> None:
        self.place = place
        self.seen: dict[str, dict[Any, int]] = {}

    def answer(self, answer: Answer) -> Answer:
        headers = {name: [self._text(value) for value in values] for name, values in answer.headers.items()}
        return Answer(answer.status, headers, self.value(self._own(answer.body)))

    def _own(self, body: Any) -> Any:
        """A list or a watch without the objects of others."""
        if isinstance(body, list):
            events = [event for event in body if isinstance(event, dict) and self._mine(event)]
            return [event | {"object": self._own(event.get("object"))} for event in events]
        if isinstance(body, dict):
            for name, mine in (
                ("items", self._mine),
                ("rows", self._mine),
                ("groups", self._known),
                ("paths", self._known),
            ):
                if isinstance(body.get(name), list):
                    return {**body, name: [item for item in body[name] if mine(item)]}
        return body

    def _known(self, item: Any) -> bool:
        """Whether a group or a path is built in, or the scenario's."""
        text = json.dumps(item)
        return "fuzz-" not in text or self.place in text

    def _mine(self, item: Any) -> bool:
        named = item.get("object", item) if isinstance(item, dict) else None
        metadata = named.get("metadata") if isinstance(named, dict) else None
        if not isinstance(metadata, dict) or "name" not in metadata:
            return True
        return self.place in (str(metadata.get("namespace")) + str(metadata["name"]))

    def value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {self._text(name): self.value(value[name], name) for name in sorted(value)}
        if isinstance(value, list):
            items = [self.value(item, key) for item in value]
            return sorted(items, key=json.dumps) if key == "managedFields" else items
        if key in ("resourceVersion", "continue") and isinstance(value, str) and value not in ("", "0"):
            return f"<{key}>"
        if key in ("nodePort", "healthCheckNodePort") and value:
            return self._numbered("port", value)
        if key == "serverAddress":
            return "<address>"
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        if AGE.match(text):
            return "<age>"
        text = UUID.sub(lambda found: self._numbered("uid", found[0]), TOKEN.sub("<token>", text))
        text = CUT_UUID.sub("<cut>", text)
        text = PORT.sub(r"\1<port>", MADE.sub(r"\1<made>", text))
        text = ADDRESS.sub(lambda found: self._numbered("address", found[0]), ACCESS.sub("<access>", text))
        return VERSION.sub(
            r"\1<version>", TIME.sub(lambda found: found[0] if found[0].startswith(OWN) else "<time>", text)
        )

    def _numbered(self, kind: str, value: Any) -> str:
        table = self.seen.setdefault(kind, {})
        return f"<{kind} {table.setdefault(value, len(table) + 1)}>"
