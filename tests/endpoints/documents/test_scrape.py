import asyncio
import gzip
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pilothouse.endpoints.documents.scrape import Scrapes, negotiated
from pilothouse.metrics.instruments import Counter, Group, MetricsRegistry
from pilothouse.server.request import Request

TEXT = "text/plain; version=0.0.4; charset=utf-8; escaping="
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding="
DELIMITED = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
)
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""The Accept header of Prometheus 3."""


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", f"{TEXT}underscores"),
        ("*/*", f"{TEXT}underscores"),
        ("application/json", f"{TEXT}underscores"),
        ("text/plain", f"{TEXT}underscores"),
        ("text/plain;version=0.0.4;escaping=dots", f"{TEXT}dots"),
        ("text/plain;escaping=other", f"{TEXT}underscores"),
        (PROMETHEUS, f"{TEXT}allow-utf-8"),
        (f"{PROTO}delimited;q=0.7,{PROMETHEUS}", f"{DELIMITED}underscores"),
        (f"{PROTO}delimited", f"{DELIMITED}underscores"),
        (f"{PROTO}text,text/plain;q=0.1", f"{TEXT}underscores"),
        ("application/openmetrics-text; version=1.0.0", f"{OPEN}underscores"),
        ("application/openmetrics-text, text/plain;q=0.1", f"{TEXT}underscores"),
        ("application/openmetrics-text; version=2.0.0", f"{TEXT}underscores"),
    ],
)
def test_the_format_is_the_one_that_upstream_would_take(accept: str, expected: str) -> None:
    format, content_type = negotiated(accept)
    assert content_type == expected
    assert content_type.startswith(format.content_type)


class Some(Group):
    def __init__(self) -> None:
        self.requests = Counter("requests_total", "Requests.", ("verb",))
        self.requests.inc("GET", by=3)


def ask(**headers: str) -> Any:
    metrics = MetricsRegistry()
    metrics.add(Some())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("GET", "/metrics", named, list(named.items()))
    return asyncio.run(Scrapes(metrics).handle(request, "/metrics"))


def test_a_scrape_is_compressed_when_asked() -> None:
    plain, packed = ask(), ask(accept_encoding="deflate, gzip;q=1.0")
    assert dict(packed.headers)["Content-Encoding"] == "gzip"
    assert gzip.decompress(b"".join(packed.body)) == b"".join(plain.body)
    assert "Content-Encoding" not in dict(plain.headers)
    assert int(dict(plain.headers)["Process-Start-Time-Unix"]) > 1e9


def test_openmetrics() -> None:
    text = b"".join(ask(accept="application/openmetrics-text").body).decode()
    [family] = text_string_to_metric_families(text)
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"verb": "GET"}, 3.0)]
