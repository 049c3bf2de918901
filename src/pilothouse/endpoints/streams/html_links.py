"""Rewrites the links of HTML that comes through a proxy, as it comes (apimachinery util/proxy Transport).

A tag with a link that changes is written anew; every other byte stays. The work is done in slices, between
which the loop serves others, and what cannot be interpreted is passed on as it is.
"""

import asyncio
import codecs
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from html.parser import HTMLParser
from typing import Protocol

SLICE = 1 << 10
"""Characters that are parsed in one turn of the loop; a sixteenth of an unfinished tag, if that is more."""
PENDING = 64 << 10
"""Characters of an unfinished tag or comment; behind a longer one nothing is rewritten."""
_TAIL = 16
"""Characters at the end of a long script in which its end tag may have begun."""

LINKS = {
    "a": {"href"},
    "applet": {"codebase"},
    "area": {"href"},
    "audio": {"src"},
    "base": {"href"},
    "blockquote": {"cite"},
    "body": {"background"},
    "button": {"formaction"},
    "command": {"icon"},
    "del": {"cite"},
    "embed": {"src"},
    "form": {"action"},
    "frame": {"longdesc", "src"},
    "head": {"profile"},
    "html": {"manifest"},
    "iframe": {"longdesc", "src"},
    "img": {"longdesc", "src", "usemap"},
    "input": {"src", "usemap", "formaction"},
    "ins": {"cite"},
    "link": {"href"},
    "object": {"classid", "codebase", "data", "usemap"},
    "q": {"cite"},
    "script": {"src"},
    "source": {"src"},
    "video": {"poster", "src"},
}
"""The attributes of each tag that are links (atomsToAttrs)."""
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\r": "&#13;"})
"""Characters of attributes as Go's html.EscapeString writes them."""

Rewrite = Callable[[str], str]
"""A link as it leads through this server; the same text when it leads elsewhere."""
Attributes = list[tuple[str, str | None]]


class Links(HTMLParser):
    """Rewrites a document that is given in pieces of text."""

    def __init__(self, rewrite: Rewrite) -> None:
        super().__init__()
        self._rewrite = rewrite
        self._edits: list[tuple[int, int, str]] = []
        self._at = 0
        self._plain = False

    @property
    def turn(self) -> int:
        """How many characters to pass to `take` in one turn."""
        return max(SLICE, len(self.rawdata) // 16)

    def take(self, text: str) -> str:
        """The text that can be passed on once the next piece is known."""
        if self._plain:
            return text
        joined = self.rawdata + text
        self._edits = []
        if self.rawdata and ">" not in text and len(joined) <= PENDING:  # nothing can end here
            self.rawdata = joined
            return ""
        try:
            self.feed(text)
        except AssertionError:  # a marked section that the parser does not know
            self._plain, self.rawdata = True, ""
        if len(self.rawdata) > PENDING:
            self._plain = self.cdata_elem is None
            self.rawdata = "" if self._plain else self.rawdata[-_TAIL:]
        return "".join(self._edited(joined[: len(joined) - len(self.rawdata)]))

    def rest(self) -> str:
        """The text that is left at the end."""
        return self.rawdata

    def parse_starttag(self, i: int) -> int:
        self._at = i
        return super().parse_starttag(i)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self._tag(tag, attrs, ">")

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self._tag(tag, attrs, "/>")

    def _tag(self, tag: str, attrs: Attributes, end: str) -> None:
        links = LINKS.get(tag)
        text = self.get_starttag_text()
        if links is None or text is None:
            return
        found = [(name, self._link(value) if name in links else value) for name, value in attrs]
        if found != attrs:
            shown = "".join(f' {name}="{(value or "").translate(_ESCAPED)}"' for name, value in found)
            self._edits.append((self._at, self._at + len(text), f"<{tag}{shown}{end}"))

    def _link(self, value: str | None) -> str | None:
        try:
            return value and self._rewrite(value)
        except ValueError:  # no URL
            return value

    def _edited(self, text: str) -> Iterator[str]:
        at = 0
        for start, end, new in self._edits:
            yield text[at:start]
            yield new
            at = end
        yield text[at:]


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Stored:
    """Bodies without an encoding."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


_GZIP, _ZLIB, _RAW = 31, 15, -15
"""Forms of zlib (wbits)."""
_HEAD = 2
"""Bytes by which they are told apart."""


async def rewritten(
    pieces: AsyncIterator[bytes], encoding: str, rewrite: Rewrite
) -> AsyncGenerator[bytes, None]:
    """The document with its links rewritten, in its encoding; raises what `pieces` does, and zlib.error."""
    links, decoder = Links(rewrite), codecs.getincrementaldecoder("utf-8")("surrogateescape")
    packer: _Packer = _Stored()
    form, unpacker, before = 0, None, b""
    async for piece in pieces:
        if encoding and unpacker is None:
            piece = before + piece
            if len(piece) < _HEAD:
                before = piece
                continue
            form = _GZIP if encoding == "gzip" else _form(piece)
            unpacker = zlib.decompressobj(form)
            packer = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION if form == _GZIP else 9, zlib.DEFLATED, form)
        while piece:
            if unpacker is None:
                data, piece = piece[:SLICE], piece[SLICE:]
            elif unpacker.eof:
                unpacker = zlib.decompressobj(form)  # another member of gzip
                continue
            else:
                data = unpacker.decompress(piece, SLICE)
                piece = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            text = decoder.decode(data)
            if out := packer.compress(links.take(text).encode("utf-8", "surrogateescape")):
                yield out
            await asyncio.sleep(0)
    text = links.rest() + decoder.decode(b"", final=True)
    yield packer.compress(text.encode("utf-8", "surrogateescape")) + packer.flush()


def _form(start: bytes) -> int:
    """Whether a body that is called deflate has zlib's head,
    as HTTP wants it (RFC 9110 8.4.1.2), or none, as Go's has."""
    zlib_head = start[0] & 15 == zlib.DEFLATED and (start[0] << 8 | start[1]) % 31 == 0
    return _ZLIB if zlib_head else _RAW
