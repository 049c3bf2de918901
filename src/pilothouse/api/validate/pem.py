"""Finds PEM blocks in arbitrary text, and tells bundles of certificates."""

from bisect import bisect_left
from collections.abc import Iterator

from pilothouse.process.patterns import pattern

_MARK = pattern(rb"-----(BEGIN|END) ([^-\n]{0,64})-----")
"""Begin or end of a block. The length of the kind is limited, which bounds the work per character."""
_REST_OF_LINE = pattern(rb"[ \t]*\r?\n")


def blocks(data: bytes, *, own_line: bool = False) -> Iterator[tuple[str, bytes]]:
    """Kind and text of each block, from a BEGIN to the next END of the same kind, with anything in between.

    With `own_line`, the BEGIN must be the only text on its line, and the block's text starts after that line.
    """
    ends: dict[bytes, list[int]] = {}
    for mark in _MARK.finditer(data):
        if mark[1] == b"END":
            ends.setdefault(mark[2], []).append(mark.start())
    past = 0
    for mark in _MARK.finditer(data):
        if mark[1] == b"END" or mark.start() < past:
            continue
        start = mark.end()
        if own_line:
            line = _REST_OF_LINE.match(data, start)
            if line is None:
                continue
            start = line.end()
        places = ends.get(mark[2], [])
        following = bisect_left(places, start)
        if following < len(places):
            past = places[following]
            yield mark[2].decode("utf-8", "replace"), data[start:past]


def is_bundle(bundle: str) -> bool:
    """Whether a base64 text contains PEM certificates."""
    import base64

    from cryptography import x509

    try:
        return bool(x509.load_pem_x509_certificates(base64.b64decode(bundle)))
    except ValueError:
        return False
