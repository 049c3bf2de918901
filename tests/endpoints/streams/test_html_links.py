"""Links of HTML that comes through a proxy."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.endpoints.streams.html_links import LINKS, PENDING, SLICE, Links, rewritten


def through(link: str) -> str:
    if link == "bad":
        raise ValueError("no URL")
    return f"/p{link}" if link.startswith("/") else link


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def page(*data: bytes, encoding: str = "") -> bytes:
    return b"".join([piece async for piece in rewritten(pieces(*data), encoding, through)])


def rewrite(text: bytes) -> bytes:
    return asyncio.run(page(text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('<a href="/x">', '<a href="/p/x">'),
        ("<A HREF=/x class='b'>T</A>", '<a href="/p/x" class="b">T</A>'),
        ('<img src="/x" alt>', '<img src="/p/x" alt="">'),
        ('<img src="/x"/>', '<img src="/p/x"/>'),
        ('<a href="/x?a=1&amp;b=&quot;">', '<a href="/p/x?a=1&amp;b=&#34;">'),
        ('<iframe src="/a" longdesc="/b" name="/c">', '<iframe src="/p/a" longdesc="/p/b" name="/c">'),
        (
            "<script src='/x.js'>'<a href=\"/x\">'</script>",
            '<script src="/p/x.js">\'<a href="/x">\'</script>',
        ),
        ('<a href="/é&euro;">', '<a href="/p/é€">'),
        ('<a href="bad" title="/x"><a href="/y">', '<a href="bad" title="/x"><a href="/p/y">'),
    ],
)
def test_links_are_rewritten(text: str, wanted: str) -> None:
    assert rewrite(text.encode()) == wanted.encode()


@pytest.mark.parametrize(
    "text",
    [
        '<A  Href="x"  CLASS=b >',
        '<!-- <a href="/x"> -->',
        "<!DOCTYPE html><style>a { b: \"<a href='/x'>\" }</style>",
        '<p href="/x">&copy; &amp &#65; a < b && c</p ><br/>',
        "<a",
        "<!--",
        '<a href="/x"',
        "<?php <a href='/x' ?>",
    ],
)
def test_all_else_stays_as_it_is(text: str) -> None:
    assert rewrite(text.encode()) == text.encode()


def test_bytes_that_are_no_utf8_stay() -> None:
    assert rewrite(b"\xff<a href='/\xfe'>\xc3") == b'\xff<a href="/p/\xfe">\xc3'


def test_what_the_parser_does_not_know_ends_the_rewriting() -> None:
    text = b'<a href="/x"><![foo[<a href="/y">'
    assert rewrite(text) == b'<a href="/p/x"><![foo[<a href="/y">'


@pytest.mark.parametrize("tag", LINKS)
def test_every_link_of_every_tag(tag: str) -> None:
    for name in LINKS[tag]:
        assert rewrite(f'<{tag} {name}="/x">'.encode()) == f'<{tag} {name}="/p/x">'.encode()


@settings(max_examples=75 * SCALE, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                '<a href="/x">',
                "<a href='y'>",
                "<b>",
                "</a>",
                "text\n",
                "&amp;",
                "<!-- c -->",
                "<",
                ">",
                '"',
                "é",
                "<script>",
                "</script>",
                "<img src=/z />",
                "<![CDATA[",
                "]]>",
                "<!x>",
                "</",
                "&#",
                "<a b",
                "ÿ",
            ]
        ),
        max_size=40,
    ),
    st.integers(1, 50),
)
def test_it_does_not_matter_how_a_page_is_cut(parts: list[str], size: int) -> None:
    whole = "".join(parts).encode("latin-1", "xmlcharrefreplace")
    cut = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert asyncio.run(page(*cut)) == asyncio.run(page(whole))


@settings(max_examples=75 * SCALE, deadline=None)
@given(st.binary(max_size=3000))
def test_a_page_without_links_keeps_its_bytes(data: bytes) -> None:
    assert rewrite(data) == data or b"=" in data


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw"])
def test_encodings(encoding: str) -> None:
    text, wanted = b"<a href='/x'>" * 3000, b'<a href="/p/x">' * 3000
    packer = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw": -15}[encoding])
    packed = packer.compress(text) + packer.flush()
    cut = [packed[at : at + 1] for at in range(0, len(packed))]
    found = asyncio.run(page(*cut, encoding="deflate" if encoding == "raw" else encoding))
    unpacked = (
        gzip.decompress(found)
        if encoding == "gzip"
        else zlib.decompress(found, 15 if encoding == "deflate" else -15)
    )
    assert unpacked == wanted


def test_gzip_of_several_members() -> None:
    packed = gzip.compress(b"<a href='/x'>") + gzip.compress(b"</a>")
    assert gzip.decompress(asyncio.run(page(packed, encoding="gzip"))) == b'<a href="/p/x"></a>'


def test_a_long_page_in_few_bytes_is_unpacked_in_small_parts() -> None:
    async def run() -> int:
        packed, turns = gzip.compress(bytes(1 << 20)), 0
        reading = asyncio.ensure_future(page(packed, encoding="gzip"))
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert gzip.decompress(await reading) == bytes(1 << 20)
        return turns

    assert asyncio.run(run()) >= (1 << 20) // SLICE


@pytest.mark.parametrize("begin", ["<a ", "<!--", "<script>", "&", "</", "<![CDATA[", "<a b='", "<!"])
def test_what_never_ends_is_passed_on(begin: str) -> None:
    links = Links(through)
    text = begin + "x" * (3 * PENDING)
    out = [links.take(text[at : at + 4096]) for at in range(0, len(text), 4096)]
    assert len(links.rest()) <= PENDING and "".join(out) + links.rest() == text


def test_behind_a_long_script_links_are_rewritten() -> None:
    text = "<script>" + "x" * (3 * PENDING) + "</script>"
    assert rewrite(f"{text}<a href=/x>".encode()) == f'{text}<a href="/p/x">'.encode()
