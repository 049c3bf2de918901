"""Objects from files."""

import json
import pathlib
from collections.abc import Callable

import pytest

from pilothouse.testing.client import KubeClient
from pilothouse.testing.manifests import ApplyError
from pilothouse.testing.server import InProcess

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer, maximum: 5}}}}
"""
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: shop}\nspec: {size: 3}\n"
SHOP = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
COLOURS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours}\ndata: {sky: %s}\n"

Write = Callable[..., pathlib.Path]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def write(name: str, *documents: str) -> pathlib.Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("---\n".join(documents))
        return path

    return write


def get(server: InProcess, path: str) -> dict[str, object]:
    with KubeClient(server.url, server.context()) as client:
        return client.call("GET", path)


def test_a_folder_is_applied_with_definitions_and_namespaces_first(server: InProcess, write: Write) -> None:
    folder = write("all/1.yaml", "# a comment\n", WIDGET, COLOURS % "blue").parent
    write("all/2.yml", DEFINITION, SHOP)
    write("all/note.txt", "no object")
    for _ in range(2):
        made = server.apply(folder)
        assert [one["kind"] for one in made] == [
            "CustomResourceDefinition",
            "Namespace",
            "Widget",
            "ConfigMap",
        ]
    assert get(server, "/apis/example.com/v1/namespaces/shop/widgets/w")["spec"] == {"size": 3}
    assert get(server, "/api/v1/namespaces/default/configmaps/colours")["data"] == {"sky": "blue"}


def test_a_file_changes_what_another_has_made(server: InProcess, write: Write) -> None:
    server.apply(write("a.yaml", SHOP, COLOURS % "blue"), write("b.yaml", COLOURS % "grey"), namespace="shop")
    found = get(server, "/api/v1/namespaces/shop/configmaps/colours")
    assert found["data"] == {"sky": "grey"}


def test_fields_of_others_are_taken_over(server: InProcess, write: Write) -> None:
    colours = {"metadata": {"name": "colours"}, "data": {"sky": "red"}}
    with KubeClient(server.url, server.context()) as client:
        client.call("POST", "/api/v1/namespaces/default/configmaps", colours)
    assert server.apply(write("a.yaml", COLOURS % "blue"))[0]["data"] == {"sky": "blue"}


def test_unknown_fields_are_refused(server: InProcess, write: Write) -> None:
    with pytest.raises(ApplyError, match=r"\.spec\.sizes: field not declared in schema"):
        server.apply(write("a.yaml", DEFINITION, SHOP, WIDGET.replace("size", "sizes")))


def test_lists_and_json(server: InProcess, write: Write) -> None:
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}
        for name in ("one", "two")
    ]
    made = server.apply(write("a.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": items})))
    assert [one["metadata"]["name"] for one in made] == ["one", "two"]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (COLOURS % "[1]", r"document 2 \(ConfigMap colours\): .*sky"),
        (COLOURS % "blue" + "datta: {}\n", r"document 2 \(ConfigMap colours\): .*datta: field not declared"),
        (COLOURS % "blue" + "data: {}\n", r'document 2: .*key "data" already set'),
        (WIDGET, r"document 2 \(Widget w\): the server has no kind Widget in example.com/v1"),
        ("a: [", "document 2: yaml: "),
        ("a: b", "document 2: no object with apiVersion and kind"),
        (COLOURS.replace("name", "generateName") % "blue", r"\(ConfigMap\): metadata\.name is missing"),
        (COLOURS.replace("name: ", "namespace: none, name: ") % "blue", '404 NotFound: .*"none" not'),
    ],
)  # fmt: skip
def test_an_error_names_file_and_document(document: str, error: str, server: InProcess, write: Write) -> None:
    path = write("bad.yaml", SHOP, document)
    with pytest.raises(ApplyError, match=rf"(?s)bad\.yaml, .*{error}"):
        server.apply(path)


def test_the_causes_of_a_refusal_are_told(server: InProcess, write: Write) -> None:
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 0}, {port: 70000}]}\n"
    )
    with pytest.raises(ApplyError) as raised:
        server.apply(write("s.yaml", service))
    told = str(raised.value)
    assert "document 1 (Service s): 422 Invalid" in told
    assert "spec.ports[0].port" in told and "spec.ports[1].port" in told


def test_a_folder_without_files_is_an_error(server: InProcess, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ApplyError, match=r"has no file that ends with \.json, \.yaml, \.yml"):
        server.apply(tmp_path)


def test_a_definition_that_is_not_established_is_told(server: InProcess, write: Write) -> None:
    clash = DEFINITION.replace("widgets", "gadgets")  # its kind is taken
    with pytest.raises(
        ApplyError, match=r"(?s)b\.yaml, .*meet Established.*NamesAccepted=False ListKindConflict:"
    ):
        server.apply(write("a.yaml", DEFINITION), write("b.yaml", clash), timeout=1)
