"""Kinds by the names that kubectl takes."""

import pytest

from pilothouse.api.values.fields import Object
from pilothouse.commands.kinds import APIKinds
from pilothouse.configuration.flags import FlagError


def resource(plural: str, kind: str, *short: str, scope: str = "Namespaced") -> Object:
    return {
        "resource": plural,
        "singularResource": kind.lower(),
        "responseKind": {"kind": kind},
        "scope": scope,
        "shortNames": list(short),
    }


def group(name: str, **versions: list[Object]) -> Object:
    found = [{"version": version, "resources": resources} for version, resources in versions.items()]
    return {"metadata": {"name": name} if name else {}, "versions": found}


DOCUMENTS = {
    "/api": {
        "items": [
            group("", v1=[resource("events", "Event", "ev"), resource("nodes", "Node", scope="Cluster")])
        ]
    },
    "/apis": {
        "items": [
            group("events.k8s.io", v1=[resource("events", "Event", "ev")]),
            group(
                "example.com",
                v2=[resource("gauges", "Gauge", "ev")],
                v1=[resource("gauges", "Gauge"), resource("evs", "Old")],
            ),
        ]
    },
}


class Documents:
    """Answers with documents of discovery."""

    def call(self, method: str, path: str, *, accept: str) -> Object:
        assert method == "GET" and "as=APIGroupDiscoveryList" in accept
        return DOCUMENTS[path]


@pytest.fixture
def kinds() -> APIKinds:
    return APIKinds(Documents())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("events", "/api/v1/namespaces/n/events/a"),
        ("Event", "/api/v1/namespaces/n/events/a"),
        ("ev", "/api/v1/namespaces/n/events/a"),
        ("ev.events.k8s.io", "/apis/events.k8s.io/v1/namespaces/n/events/a"),
        ("events.v1.events.k8s.io", "/apis/events.k8s.io/v1/namespaces/n/events/a"),
        ("events.v1", "/api/v1/namespaces/n/events/a"),
        ("node", "/api/v1/nodes/a"),
        ("gauge", "/apis/example.com/v2/namespaces/n/gauges/a"),
        ("evs", "/apis/example.com/v1/namespaces/n/evs/a"),
        ("old.example.com", "/apis/example.com/v1/namespaces/n/evs/a"),
    ],
)
def test_names(kinds: APIKinds, word: str, path: str) -> None:
    assert kinds.named(word).path("n", "a") == path


def test_names_with_the_group(kinds: APIKinds) -> None:
    assert [kinds.named(one).resource for one in ("ev", "ev.events.k8s.io")] == [
        "events",
        "events.events.k8s.io",
    ]
    assert kinds.serves("example.com") and not kinds.serves("example.org")


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("gaug", ["gauge", "gauges"]), ("nodes.example.com", []), ("gauge.v1", []), ("x", [])],
)
def test_unknown_names(kinds: APIKinds, word: str, nearest: list[str]) -> None:
    with pytest.raises(FlagError, match=f'the server doesn\'t have a resource type "{word}"') as found:
        kinds.named(word)
    assert found.value.nearest == nearest
