import asyncio
import gzip
import json
import re
from typing import Any

import pytest
from logged import pairs

from pilothouse.api.openapi.documents import OpenAPI
from pilothouse.api.openapi.version_2 import GroupVersionDocument
from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.health import Health
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.documents.openapi_handlers import V2_PROTOBUF, V3_PROTOBUF, OpenAPIHandlers
from pilothouse.endpoints.documents.openapi_remote import RemoteDocuments, RemoteSpec, pack
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.groups import batch
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request

NAME = "/openapi/v3/apis/batch/v1"


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(batch.RESOURCES)


@pytest.fixture
def nonresource(catalog: Catalog) -> Any:
    out = NonResource(Discovery(catalog), Health())
    OpenAPIHandlers(catalog).install(out)
    return out


def ask(nonresource: Any, target: Any, method: str = "GET", **headers: Any) -> Any:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, target, headers, list(headers.items()))
    return whole(asyncio.run(nonresource.handle(request, request.path)))


def whole(response: Any) -> Any:
    """The answer with its body in one piece."""
    if response is not None and not isinstance(response.body, bytes):
        response.body = b"".join(response.body)
    return response


def header(response: Any, name: str) -> Any:
    return dict(response.headers).get(name)


def test_the_index_leads_to_documents_that_may_be_kept(nonresource: Any) -> None:
    index = ask(nonresource, "/openapi/v3")
    assert index.content_type == "text/plain; charset=utf-8"
    url = json.loads(index.body)["paths"]["apis/batch/v1"]["serverRelativeURL"]
    response = ask(nonresource, url)
    assert header(response, "Cache-Control") == "public, immutable"
    assert header(response, "Vary") == "Accept"
    assert f"hash={header(response, 'Etag')[1:-1]}" in url
    assert "/apis/batch/v1/jobs" in json.loads(response.body)["paths"]
    assert ask(nonresource, "/openapi/v3", if_none_match=header(index, "Etag")).status == 304


def test_another_hash_redirects(nonresource: Any) -> None:
    response = ask(nonresource, f"{NAME}?hash=0000")
    assert (response.status, response.body) == (301, b"")
    assert ask(nonresource, header(response, "Location")).status == 200
    assert header(ask(nonresource, f"{NAME}?hash="), "Cache-Control") is None


def test_tags(nonresource: Any) -> None:
    tag = header(ask(nonresource, NAME), "Etag")
    for given in (tag, f"W/{tag}", f'"a", {tag}', "*"):
        response = ask(nonresource, NAME, if_none_match=given)
        assert (response.status, response.body, response.content_type) == (304, b"", "")
    assert ask(nonresource, NAME, if_none_match='"0"').status == 200
    assert ask(nonresource, NAME, method="HEAD").status == 200


def test_what_is_not_there(nonresource: Any) -> None:
    assert ask(nonresource, "/openapi/v3/").status == 404
    assert ask(nonresource, "/openapi/v3/apis/nope/v1").status == 404
    assert ask(nonresource, "/openapi/v2/") is None
    assert ask(nonresource, "/openapi") is None


@pytest.mark.parametrize("mark", ["@", "."])
def test_version_3_in_protobuf(nonresource: Any, mark: str) -> None:
    accept = f"application/com.github.proto-openapi.spec.v3{mark}v1.0+protobuf, application/json;q=0.9"
    plain = ask(nonresource, NAME)
    response = ask(nonresource, NAME, accept=accept)
    assert response.content_type == "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
    assert response.body.startswith(b"\x0a\x053.0.0")
    assert header(response, "Etag") == header(plain, "Etag")
    assert ask(nonresource, NAME, accept=accept, if_none_match=header(response, "Etag")).status == 304
    moved = ask(nonresource, f"{NAME}?hash=0", accept=accept)
    assert (moved.status, moved.content_type) == (301, response.content_type)
    assert ask(nonresource, "/openapi/v3/apis/nope/v1", accept=accept).status == 404


@pytest.mark.parametrize("target", [NAME, "/openapi/v3/api"])
def test_each_form_of_a_document_is_kept_apart(nonresource: Any, target: str) -> None:
    accepts = ["application/json", V3_PROTOBUF, "application/json"]
    ask(nonresource, "/openapi/v2")
    types = [ask(nonresource, target, accept=accept) for accept in accepts]
    assert [one.content_type for one in types] == accepts
    assert json.loads(types[0].body) == json.loads(types[2].body)


@pytest.mark.parametrize("path", [NAME, "/openapi/v2"])
def test_only_known_types_are_written(nonresource: Any, path: Any) -> None:
    assert ask(nonresource, path, accept="text/html, application/json;q=0.1").status == 200
    assert ask(nonresource, path, accept="*/*").status == 200
    response = ask(nonresource, path, accept="text/html")
    assert (response.status, response.content_type) == (406, "")


@pytest.mark.parametrize("mark", ["@", "."])
def test_version_2_in_protobuf(nonresource: Any, mark: str) -> None:
    response = ask(
        nonresource, "/openapi/v2", accept=f"application/com.github.proto-openapi.spec.v2{mark}v1.0+protobuf"
    )
    assert response.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert response.body.startswith(b"\x0a\x032.0")
    assert header(response, "Etag") != header(ask(nonresource, "/openapi/v2"), "Etag")


def test_version_2(nonresource: Any) -> None:
    response = ask(nonresource, "/openapi/v2", method="POST")
    assert [value for name, value in response.headers if name == "Vary"] == ["Accept-Encoding", "Accept"]
    document = json.loads(response.body)
    assert document["swagger"] == "2.0"
    packed = ask(nonresource, "/openapi/v2", accept_encoding="deflate, gzip;q=0.5")
    assert header(packed, "Content-Encoding") == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == document
    assert header(ask(nonresource, "/openapi/v2", accept_encoding="gzip;q=0"), "Content-Encoding") is None
    assert ask(nonresource, "/openapi/v2", if_none_match=header(response, "Etag")).status == 304


def test_changes_of_the_table_change_the_documents(nonresource: Any, catalog: Catalog) -> None:
    tags = [header(ask(nonresource, path), "Etag") for path in (NAME, "/openapi/v2", "/openapi/v3")]
    catalog.add(other("batch", "v1"))
    again = [header(ask(nonresource, path), "Etag") for path in (NAME, "/openapi/v2", "/openapi/v3")]
    assert all(new != old for new, old in zip(again, tags, strict=True))
    assert (
        "/apis/batch/v1/namespaces/{namespace}/others/{name}"
        in json.loads(ask(nonresource, NAME).body)["paths"]
    )


def other(group: Any, version: Any) -> Resource:
    return Resource(
        group=group, version=version, plural="others", kind="Job", singular="other", namespaced=True,
        verbs=("get",)
    )  # fmt: skip


class Noting(OpenAPI):
    """Notes the parts of version 2 that are made."""

    def __init__(self, made: list[str], catalog: Catalog) -> None:
        def versions() -> list[tuple[str, str]]:
            return [(group, version) for group in catalog.groups() for version in catalog.versions(group)]

        super().__init__(versions, catalog.resources)
        self.made = made

    def part_v2(self, name: str) -> GroupVersionDocument:
        self.made.append(name)
        return super().part_v2(name)


@pytest.mark.parametrize("accept", ["application/json", V2_PROTOBUF])
def test_a_change_makes_only_its_own_part_of_version_2_anew(catalog: Catalog, accept: Any) -> None:
    nonresource, handlers = (
        NonResource(Discovery(catalog), Health()),
        OpenAPIHandlers(catalog),
    )
    handlers.install(nonresource)
    made: list[str] = []
    handlers._openapi = Noting(made, catalog)
    catalog.add(other("example.com", "v1"))
    first = ask(nonresource, "/openapi/v2", accept=accept)
    assert {"apis/batch/v1", "apis/example.com/v1"} <= set(made)
    assert ask(nonresource, "/openapi/v2", accept=accept).body == first.body
    made.clear()
    catalog.add(other("example.com", "v2"))
    second = ask(nonresource, "/openapi/v2", accept=accept)
    assert made == ["apis/example.com/v2"] and second.body != first.body
    catalog.remove("example.com", "v2", "others")
    assert ask(nonresource, "/openapi/v2", accept=accept).body == first.body
    assert made == ["apis/example.com/v2"]


def test_requests_are_answered_while_version_2_is_made(catalog: Catalog) -> None:
    for number in range(20):
        catalog.add(other(f"g{number}.example.com", "v1"))
    nonresource = NonResource(Discovery(catalog), Health())
    OpenAPIHandlers(catalog).install(nonresource)

    async def main() -> tuple[Any, Any]:
        answer = asyncio.create_task(nonresource.handle(Request("GET", "/openapi/v2", {}, []), "/openapi/v2"))
        turns = 0
        while not answer.done():
            await asyncio.sleep(0)
            turns += 1
            if turns == 3:
                catalog.remove("g10.example.com", "v1", "others")
                catalog.add(other("late.example.com", "v1"))
        body: Any = whole(answer.result()).body
        return turns, json.loads(body)["paths"]

    turns, paths = asyncio.run(main())
    assert turns > 20
    assert not any("g10.example.com" in path for path in paths)
    assert any("g19.example.com" in path for path in paths)
    latest = json.loads(ask(nonresource, "/openapi/v2").body)["paths"]
    assert any("late.example.com" in path for path in latest)


def multiples(number: int) -> bytes:
    return b"".join(b"%d" % (n * number) for n in range(300))


def test_the_memory_for_documents_is_bounded(catalog: Catalog) -> None:
    handlers = OpenAPIHandlers(catalog, kept_bytes=2000)
    for number in range(20):
        handlers._keep(str(number), multiples(number))
    assert sum(map(len, handlers._kept.values())) == handlers._kept_bytes <= 2000


@pytest.mark.parametrize(
    ("schemas", "status"), [({"A": {"type": "object"}}, 200), ({"A": {"required": 7}}, 406), ("none", 406)]
)
def test_converted_documents_have_a_protobuf_form_where_they_can(
    catalog: Catalog, schemas: Any, status: int
) -> None:
    remote = RemoteDocuments()
    document = json.dumps({"openapi": "3.0.0", "paths": {}, "components": {"schemas": schemas}}).encode()
    remote.set(("x.example.com", "v1"), RemoteSpec(converted=pack(document, "1")))
    nonresource = NonResource(Discovery(catalog), Health())
    OpenAPIHandlers(catalog, remote=remote).install(nonresource)
    target = "/openapi/v3/apis/x.example.com/v1"
    for _ in range(2):
        assert ask(nonresource, target, accept=V3_PROTOBUF).status == status
    assert json.loads(ask(nonresource, target).body) == json.loads(document)


def test_a_document_that_cannot_be_written_is_one_line_of_the_log(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """That of another server is there all the same."""
    remote = RemoteDocuments()
    for group, paths in (("bad", ["/apis/bad"]), ("good", {"/apis/good": {}})):
        document = json.dumps({"paths": paths, "definitions": {}}).encode()
        remote.set((f"{group}.example.com", "v1"), RemoteSpec(part=pack(document, group)))
    nonresource = NonResource(Discovery(catalog), Health())
    OpenAPIHandlers(catalog, remote=remote).install(nonresource)
    paths = json.loads(ask(nonresource, "/openapi/v2").body)["paths"]
    assert "/apis/good" in paths and "/apis/bad" not in paths and "/apis/batch/v1/jobs" in paths
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert pairs(record)["err"].startswith("AttributeError: 'list' object")


def test_built_in_definitions_of_version_2_stand_there_once(nonresource: Any, catalog: Catalog) -> None:
    catalog.add(other("example.com", "v1"))
    document = json.loads(ask(nonresource, "/openapi/v2").body)
    for members in (document["paths"], document["definitions"], document["parameters"]):
        assert list(members) == sorted(members)
    wanted = set(re.findall(r'"#/definitions/([^"]+)"', json.dumps(document)))
    assert {"io.k8s.api.batch.v1.Job", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"} <= wanted
    assert wanted <= document["definitions"].keys()
    assert "#/parameters/pretty-" in json.dumps(document["paths"])
