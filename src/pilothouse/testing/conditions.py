"""Waits until an object meets a condition, by a watch."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlencode

from pilothouse.api.values.fields import Object
from pilothouse.testing.client import KubeClient, RefusedError

Condition = str | Callable[[Object], object]
"""`Ready`, `Ready=False`, `delete` as kubectl's --for has them, or a function of the object."""
DELETE = "delete"
EVENTS = 10
"""The latest events that an error shows."""


class ObservedVersion(NamedTuple):
    """An object, and whether it exists; of one that never did only the kind is known."""

    object: Object
    exists: bool


def wait(client: KubeClient, path: str, condition: Condition, seconds: float) -> Object:
    """The object at a path once it meets a condition. TimeoutError shows its conditions and events."""
    begun = time.monotonic()
    last, trouble = ObservedVersion({}, exists=False), ""
    for last in _versions(client, path, begun + seconds):
        try:
            if _met(condition, last):
                return last.object
            trouble = ""
        except LookupError as error:  # of a function that reads a member which is not there yet
            trouble = f" ({type(error).__name__}: {error})"
    wanted = condition if isinstance(condition, str) else getattr(condition, "__name__", "the condition")
    head = f"{path} did not meet {wanted} within {round(seconds, 1):g} s{trouble}"
    raise TimeoutError("\n".join([head, *_state(client, path, last)]))


def _met(condition: Condition, version: ObservedVersion) -> bool:
    if condition == DELETE:
        return not version.exists
    if not version.exists:
        return False
    if callable(condition):
        return bool(condition(version.object))
    kind, _, status = condition.partition("=")
    return any(
        one.get("type") == kind and one.get("status") == (status or "True")
        for one in _conditions(version.object)
    )


def _conditions(obj: Object) -> list[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _versions(client: KubeClient, path: str, deadline: float) -> Iterator[ObservedVersion]:
    """The object as it is and as it becomes, until `deadline`."""
    collection, _, name = path.rpartition("/")
    query = {"fieldSelector": f"metadata.name={name}"}
    while True:
        found = client.call("GET", f"{collection}?{urlencode(query)}")
        kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        exists = bool(found["items"])
        yield ObservedVersion(kind | found["items"][0] if exists else kind, exists)
        watch = query | {"watch": "true", "resourceVersion": found["metadata"]["resourceVersion"]}
        try:
            for event in client.events(f"{collection}?{urlencode(watch)}", deadline):
                if event["type"] == "ERROR":
                    break
                yield ObservedVersion(event["object"], event["type"] != "DELETED")
        except RefusedError as error:
            if error.code != 410:  # the revision is too old: begin anew
                raise
        if time.monotonic() >= deadline:
            return
        time.sleep(min(0.05, max(0.0, deadline - time.monotonic())))


def _state(client: KubeClient, path: str, version: ObservedVersion) -> Iterator[str]:
    """An object's conditions and events, a line each."""
    if not version.exists:
        yield "the object does not exist"
    if conditions := _conditions(version.object):
        yield "conditions:"
    for one in conditions:
        yield f"  {one.get('type')}={one.get('status')} {one.get('reason', '')}: {one.get('message', '')}"
    field = {"involvedObject.kind": version.object["kind"], "involvedObject.name": path.rpartition("/")[2]}
    if namespace := (version.object.get("metadata") or {}).get("namespace"):
        field["involvedObject.namespace"] = namespace
    selector = ",".join(f"{name}={value}" for name, value in field.items())
    try:
        events = client.call("GET", f"/api/v1/events?{urlencode({'fieldSelector': selector})}")["items"]
    except RefusedError as error:
        yield f"its events cannot be read: {error}"
        return
    events.sort(key=_last_seen)
    if events:
        yield "events:"
    for one in events[-EVENTS:]:
        times = f" (x{one['count']})" if one.get("count", 1) > 1 else ""
        yield f"  {one.get('type', '')} {one.get('reason', '')}{times}: {one.get('message', '')}"


def _last_seen(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
