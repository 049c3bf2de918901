from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.endpoints.request import negotiation
from pilothouse.endpoints.request.negotiation import (
    negotiate,
    negotiate_discovery,
    negotiate_error,
    parse_accept,
)
from pilothouse.errors import NotAcceptable

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "form", "transform"),
    [
        (None, "json", ""),
        ("", "json", ""),
        ("*/*", "json", ""),
        ("*", "json", ""),
        ("application/*", "json", ""),
        ("application/yaml", "yaml", ""),
        ("application/vnd.kubernetes.protobuf, application/json", "protobuf", ""),
        ("*/*;q=0.1, application/yaml", "yaml", ""),
        ("*/*, application/yaml;q=0.1", "yaml", ""),
        ("application/yaml;q=0.1, application/json;q=0.2", "json", ""),
        ("application/xml;q=0.9,application/json;q=0", "json", ""),
        ("application/json; charset=utf-8", "json", ""),
        (TABLE, "json", "Table"),
        ("application/json; as=Table; v=v1beta1; g=meta.k8s.io", "json", "Table"),
        (f"{TABLE},application/json", "json", "Table"),
        (f"application/json;q=0.9,{TABLE};q=0.1", "json", ""),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", "json", ""),
        ("*/*;as=Table;v=v1;g=meta.k8s.io", "json", "Table"),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml", "yaml", ""),
        ("application/json;stream=watch", "json", ""),
    ],
)
def test_negotiated(accept: Any, form: str, transform: str) -> None:
    media = negotiate(accept)
    assert (media.format, media.transform) == (form, transform)
    assert media.content_type == {v: k for k, v in negotiation.FORMATS.items()}[form]


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "APPLICATION/JSON",
        "garbage",
        "application/cbor",
        "application/json;as=Table;v=v2;g=meta.k8s.io",
        "application/json;as=Table;v=v1;g=example.com",
        "application/json;as=Table",
        "application/json;v=v1;g=meta.k8s.io",
        "application/json;as=table;v=v1;g=meta.k8s.io",
        "application/json;as=;v=v1;g=meta.k8s.io",
        "application/yaml;stream=watch",
        "application/json;stream=other",
        "application/json;sv=v2",
    ],
)
def test_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate(accept)
    assert caught.value.message == (
        "only the following media types are accepted: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    assert caught.value.details is None


def test_tables_only_where_they_are_possible() -> None:
    with pytest.raises(NotAcceptable):
        negotiate(TABLE, tables=False)
    assert negotiate(PARTIAL, tables=False).transform == "PartialObjectMetadata"


def test_custom_resources_have_no_protobuf() -> None:
    with pytest.raises(NotAcceptable):
        negotiate("application/vnd.kubernetes.protobuf", protobuf=False)
    accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    assert negotiate(accept, protobuf=False).format == "protobuf"


def test_streams() -> None:
    assert negotiate("*/*", stream=True).content_type == "application/json"
    protobuf = negotiate("application/vnd.kubernetes.protobuf;stream=watch", stream=True)
    assert protobuf.content_type == "application/vnd.kubernetes.protobuf;stream=watch"
    with pytest.raises(NotAcceptable, match="application/json;stream=watch, application/vnd"):
        negotiate("application/yaml", stream=True)
    for accept in ("application/json;stream=odd", "application/json;as=Odd;v=v1;g=meta.k8s.io"):
        with pytest.raises(NotAcceptable, match="accepted: application/json, application/yaml, "):
            negotiate(accept, stream=True)


@pytest.mark.parametrize(
    "accept", [None, "", "*/*", "text/html, */*", "text/html,application/json;q=0.1", f"{TABLE}"]
)
def test_acceptable_to_the_router(accept: str | None) -> None:
    negotiation.acceptable(accept)


@pytest.mark.parametrize(
    "accept", ["text/html", "application/*", "text/*", "APPLICATION/JSON", "application/jsonx"]
)
def test_not_acceptable_to_the_router(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiation.acceptable(accept)
    assert caught.value.message == (
        "406: Not Acceptable\n\nAvailable representations: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    assert caught.value.details == {}


def test_aggregated_discovery() -> None:
    assert negotiate_discovery(None) is None
    assert negotiate_discovery("*/*") is None
    assert negotiate_discovery(DISCOVERY.replace("v2", "v2beta1")) is None
    media = negotiate_discovery(f"application/json;q=1,{DISCOVERY};q=0.1;profile=nopeer")
    assert media is not None
    assert (media.content_type, media.profile) == (DISCOVERY, "nopeer")


def test_errors_are_always_written() -> None:
    assert negotiate_error("text/html").format == "json"
    assert negotiate_error(TABLE).format == "json"
    assert negotiate_error("application/yaml").format == "yaml"


@pytest.mark.parametrize(
    ("query", "agent", "wanted"),
    [
        ("", "", False),
        ("pretty=true", "", True),
        ("pretty=1", "", True),
        ("pretty=maybe", "", False),
        ("pretty=", "curl/8", True),
        ("pretty=false", "curl/8", False),
        ("", "Mozilla/5.0 (X11)", True),
        ("", "kubectl/v1.36", False),
    ],
)
def test_pretty(query: str, agent: str, wanted: bool) -> None:
    assert negotiation.wants_pretty(query, agent) is wanted


@given(st.text("a/*;=,q.0 1sv"))
def test_any_header_is_parsed(header: Any) -> None:
    for clause in parse_accept(header):
        assert clause.type or clause.subtype
    negotiate_error(header)


def test_a_client_cannot_fill_the_memory() -> None:
    for number in range(3 * negotiation.CACHE_LIMIT):
        negotiate(f"application/json;x={number}")
    assert len(negotiation._objects_or_tables.cache) <= negotiation.CACHE_LIMIT


def test_a_header_of_many_ranges_counts_in_part() -> None:
    negotiation._objects_or_tables.cache.clear()
    many = "text/html," * 450_000
    assert len(negotiation.parse_accept(many)) <= negotiation.RANGES_LIMIT
    assert negotiation.negotiate("application/yaml," + many).format == "yaml"
    for header in ("a/b;q=1," * 100_000, "x" * 900_000, ";" * 900_000, "," * 900_000):
        with pytest.raises(NotAcceptable):
            negotiation.negotiate(header)
    assert not negotiation._objects_or_tables.cache, "nothing long is kept"
