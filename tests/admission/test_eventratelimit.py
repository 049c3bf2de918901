"""Events that come too fast are refused."""

from typing import Any

import pytest
from harness import Rig, is_asked

from pilothouse import errors
from pilothouse.admission.eventratelimit import KEPT, VERSIONS, EventRateLimit, Limit, read
from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values.identity import User

EVENTS = ("", "v1", "events")


def section(*limits: Any) -> dict[str, Any]:
    return {"apiVersion": VERSIONS[0], "kind": "Configuration", "limits": list(limits)}


def limit(kind: str, qps: int = 1, burst: int = 2, **more: Any) -> dict[str, Any]:
    return {"type": kind, "qps": qps, "burst": burst, **more}


class Limited:
    """A plugin with a clock that the test moves."""

    def __init__(self, rig: Rig, *limits: Any) -> None:
        self.rig = rig
        self.now = 100.0
        self.plugin = EventRateLimit(section(*limits), lambda: self.now)

    def send(
        self, namespace: str = "default", user: str = "jane", name: str = "p", component: str = "kubelet"
    ) -> Any:
        """The message of the refusal, "" where there is none."""
        event = {"metadata": {"name": "e"}, "source": {"component": component, "host": "h"}}
        event["involvedObject"] = {"kind": "Pod", "namespace": namespace, "name": name, "apiVersion": "v1"}
        asked = self.rig.attributes(event, resource=EVENTS, namespace=namespace)
        asked.user = User(user)
        assert is_asked(self.plugin, asked)
        try:
            self.plugin.validate(asked)
        except errors.TooManyRequests as err:
            assert err.code == 429
            return err.message
        return ""


async def test_tokens_come_back(rig: Rig) -> None:
    limited = Limited(rig, limit("Server"))
    assert [bool(limited.send()) for _ in range(3)] == [False, False, True]
    limited.now += 0.5
    assert limited.send() == "Too many requests: limit reached on type Server for key "
    limited.now += 0.5
    assert not limited.send() and limited.send()
    limited.now += 100
    assert [bool(limited.send()) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("kind", "member", "key"),
    [
        ("Namespace", "namespace", "default"),
        ("User", "user", "jane"),
        ("SourceAndObject", "component", "kubelethPoddefaultpv1"),
        ("SourceAndObject", "name", "kubelethPoddefaultpv1"),
    ],
)
async def test_keys(rig: Rig, kind: str, member: str, key: str) -> None:
    limited = Limited(rig, limit(kind, burst=1))
    assert not limited.send()
    assert limited.send() == f"Too many requests: limit reached on type {kind} for key {key}"
    assert not limited.send(**{member: "kube-system"})


async def test_every_limit_counts_and_the_last_refusal_is_told(rig: Rig) -> None:
    limited = Limited(rig, limit("Server", burst=1), limit("User", burst=2))
    assert not limited.send()
    assert "Server" in limited.send()
    assert "User" in limited.send()


async def test_the_oldest_key_is_forgotten(rig: Rig) -> None:
    limited = Limited(rig, limit("User", burst=1, cacheSize=2))
    for user in "abc":
        assert not limited.send(user=user)
    assert limited.send(user="c") and not limited.send(user="a")


async def test_only_events_of_the_core_group(rig: Rig) -> None:
    plugin = EventRateLimit(section(limit("Server")))
    group = "events.k8s.io"
    assert not is_asked(plugin, rig.attributes({}, resource=(group, "v1", "events")))
    assert not is_asked(plugin, rig.attributes({}))
    assert not is_asked(plugin, rig.attributes(None, {}, resource=EVENTS, operation="DELETE"))


def test_configuration() -> None:
    assert read(section(limit("Server"), limit("User", 5, 6, cacheSize=7))) == [
        Limit("Server", 1, 2, KEPT),
        Limit("User", 5, 6, 7),
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "limits: Invalid value: null: must not be empty"),
        (section(), "limits: Invalid value: null: must not be empty"),
        (
            section(limit("x", 0, 0, cacheSize=-1)),
            (
                '[limits[0].type: Unsupported value: "x": supported values: "Server", "Namespace", "User",'
                ' "SourceAndObject", limits[0].burst: Invalid value: 0: must be positive, limits[0].qps:'
                " Invalid value: 0: must be positive, limits[0].cacheSize: Invalid value: -1: must not be"
                " negative]"
            ),
        ),
        (section({"kind": "x"}), 'strict decoding error: unknown field "limits[0].kind"'),
        ({"kind": "Configuration"}, 'no kind "Configuration" is registered for version ""'),
    ],
)
def test_what_is_wrong(config: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EventRateLimit(config)
    assert str(caught.value).startswith(message)
