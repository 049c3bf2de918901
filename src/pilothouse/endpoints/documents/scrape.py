"""Answers /metrics and /metrics/slis:
Prometheus' formats, compressed when asked (promhttp, prometheus/common expfmt)."""

import asyncio
import time
import zlib

from pilothouse.endpoints.answers.list_stream import takes_gzip
from pilothouse.endpoints.documents.health import TEXT as PLAIN
from pilothouse.endpoints.request.negotiation import Clause, parse_accept
from pilothouse.metrics.exposition import OPENMETRICS, PROTOBUF, TEXT, ExpositionFormat
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.server.request import Request, Response

ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")
"""How names with other characters than ASCII's may be written; there are none here."""


class Scrapes:
    """Shows the metrics of one registry. DELETE resets them, as upstream does with profiling on."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        self._metrics = metrics
        self._started = str(int(time.time()))

    async def handle(self, request: Request, path: str) -> Response:
        """Answer a scrape."""
        if request.method == "DELETE":
            await self._metrics.reset_all()
            return Response(200, b"metrics reset\n", PLAIN)
        format, content_type = negotiated(request.headers.get("accept", ""))
        headers = [("Process-Start-Time-Unix", self._started)]
        body = await self._metrics.pieces(format)
        if takes_gzip(request.headers.get("accept-encoding", "")):
            headers.append(("Content-Encoding", "gzip"))
            body = [await asyncio.to_thread(gzipped, body)]
        return Response(200, body, content_type, headers)


def negotiated(accept: str) -> tuple[ExpositionFormat, str]:
    """The format of an answer, and its Content-Type.

    kube-apiserver offers text and protobuf, and takes the first clause that means one of these. Clients that
    would take OpenMetrics but not the text get OpenMetrics here: upstream answers those with the text all the
    same. So Prometheus, which takes both, gets what it gets from kube-apiserver.
    """
    escaping, clauses = "underscores", parse_accept(accept)
    for clause in clauses:
        asked = clause.params.get("escaping", "")
        escaping = asked if asked in ESCAPINGS else escaping
        format = _offered(clause)
        if format is not None:
            break
    else:
        format = OPENMETRICS if any(map(_means_openmetrics, clauses)) else TEXT
    return format, f"{format.content_type}; escaping={escaping}"


def _offered(clause: Clause) -> ExpositionFormat | None:
    media, params = f"{clause.type}/{clause.subtype}", clause.params
    if media == "text/plain" and params.get("version", "") in ("", "0.0.4"):
        return TEXT
    protobuf = media == "application/vnd.google.protobuf"
    if protobuf and params.get("proto") == "io.prometheus.client.MetricFamily":
        return PROTOBUF if params.get("encoding") == "delimited" else None
    return None


def _means_openmetrics(clause: Clause) -> bool:
    known = clause.params.get("version", "") in ("", "1.0.0")
    return f"{clause.type}/{clause.subtype}" == "application/openmetrics-text" and known


def gzipped(pieces: list[bytes]) -> bytes:
    """The body as a gzip stream, at level 1: it is large, and most of it repeats."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join((*map(compressor.compress, pieces), compressor.flush()))
