"""Keys of the store and paths of fields as people name them."""

import pytest

from pilothouse.history.paths import hidden, shown
from pilothouse.history.places import Place, places, stored
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.store import key_of


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    from pilothouse.registry.catalog import built_in

    return Catalog(built_in())


def test_every_resource_has_its_place(catalog: Catalog) -> None:
    place_of = places(catalog)
    kinds = stored(catalog)
    assert len(kinds) > 50
    for record in kinds:
        namespace = "some-namespace" if record.namespaced else ""
        key = key_of(record, namespace, "system:a.b")
        assert place_of(key) == Place(record.group_resource, namespace, "system:a.b"), key


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("/registry/example.com/widgets/ns/one", Place("widgets.example.com", "ns", "one")),
        ("/registry/example.com/widgets/one", Place("widgets.example.com", "", "one")),
        ("/registry/services/specs/ns/one", Place("services", "ns", "one")),
        ("/registry/services/endpoints/ns/one", Place("endpoints", "ns", "one")),
        ("/registry/ranges/serviceips", Place("", "", "")),
        ("/registry/ranges/servicenodeports", Place("", "", "")),
    ],
)
def test_places_of_some_keys(catalog: Catalog, key: str, place: Place) -> None:
    assert places(catalog)(key) == place


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "."),
        (("spec", "replicas"), ".spec.replicas"),
        (("spec", "containers", 0, "image"), ".spec.containers[0].image"),
        (("metadata", "labels", "app.kubernetes.io/name"), ".metadata.labels['app.kubernetes.io/name']"),
        (("data", "it's \\"), ".data['it\\'s \\\\']"),
        (("data", ""), ".data['']"),
        (("data", "1"), ".data['1']"),
        (("data", "a-b"), ".data.a-b"),
        (("data", "a\n"), ".data['a\n']"),
    ],
)
def test_paths_as_texts(path: tuple[str | int, ...], text: str) -> None:
    assert shown(path) == text


def test_what_is_hidden() -> None:
    assert hidden(("metadata", "managedFields", 0, "time")) and hidden(("metadata", "resourceVersion"))
    assert hidden(("metadata", "generation"))
    assert not hidden(("metadata",)) and not hidden(("spec", "metadata", "generation"))
    assert not hidden(("metadata", "labels", "generation"))
