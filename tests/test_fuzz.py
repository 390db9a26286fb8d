"""Mutated valid files never end a parser with anything but values or an error of ours.

`python -m pytest tests/test_fuzz.py --hypothesis-profile=fuzz` tries many more.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import BinaryIO

from builders.cbz import build_cbz, comic_info_xml
from builders.epub import build_epub, nav_document, ncx_document, zipped
from builders.images import image, jpeg, png
from builders.m4b import build_m4b
from builders.pdf import build_pdf, xmp_packet
from hypothesis import example, given
from hypothesis import strategies as st

from datasette_shisho_resync.demo.mp4 import freeform_item, item
from datasette_shisho_resync.errors import MediaError
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import Limits, ParsedFile
from datasette_shisho_resync.parsers.image import read_cover
from datasette_shisho_resync.parsers.sidecar import parse_sidecar

LIMITS = Limits()
NAV = '<item id="n" href="n.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
NCX = '<item id="x" href="x.ncx" media-type="application/x-dtbncx+xml"/>'
METADATA = """
<dc:description>&lt;b&gt;Long&lt;/b&gt;</dc:description><dc:subject>SF</dc:subject>
<dc:language>en-GB</dc:language><dc:date>2001-02-03</dc:date><dc:publisher>P</dc:publisher>
<dc:identifier id="i">urn:isbn:9780316769488</dc:identifier>
<meta property="belongs-to-collection" id="c">Saga</meta>
<meta refines="#c" property="group-position">2.5</meta>
<meta name="calibre:series" content="S"/><meta name="calibre:series_index" content="1"/>
<meta name="cover" content="cover"/>
"""
TOC = "<ol><li><a href='a.xhtml'>One</a><ol><li><a href='b.xhtml#x'>Two</a></li></ol></li></ol>"
POINTS = "<navPoint><navLabel><text>One</text></navLabel><content src='a'/></navPoint>"
COMIC = """<Title>T</Title><Series>S</Series><Number>1.5</Number><Writer>A, B</Writer><Genre>G</Genre>
<GTIN>9780316769488</GTIN><Year>2001</Year><Month>2</Month><Web>http://a/ b</Web><LanguageISO>en</LanguageISO>
<Pages><Page Image="1" Type="FrontCover" Bookmark="C"/></Pages>"""
MODIFIED = "<xmp:ModifyDate>2001-01-01</xmp:ModifyDate>"
SEEDS = {
    "epub": [
        build_epub(
            metadata_xml=METADATA,
            manifest_xml=NAV + NCX,
            spine_xml='<spine toc="x"/>',
            files={"OEBPS/n.xhtml": nav_document(TOC), "OEBPS/x.ncx": ncx_document(POINTS)},
            cover=png(2, 3),
        ),
        build_epub(manifest_xml=NCX, files={"OEBPS/x.ncx": ncx_document(POINTS)}, cover=jpeg(2, 3)),
    ],
    "cbz": [
        build_cbz(comic_info=comic_info_xml(COMIC)),
        build_cbz(pages={"v01/ch 1/1.jpg": jpeg(2, 2), "v01/ch 2/2.png": png(2, 2), "__MACOSX/x.jpg": b""}),
    ],
    "m4b": [
        build_m4b(title="T", artist="A", narrator="N", genre="G", description="D", cover=png(2, 3),
            quicktime_chapters=[(0, "One"), (1000, "Two")], nero_chapters=[(0, "N")],
            extra_ilst=item("gnre", b"\0\5", kind=0) + freeform_item("com.apple.iTunes", "SERIES", "S")),
        build_m4b(nero_chapters=[(0, "One"), (9, "Two")], freeform={("com.pilabor.tone", "PART"): "2"}),
    ],
    "pdf": [
        build_pdf(title="T", author="A, B", keywords="x", outline=[("One", 0, 0), ("Two", 1, 1)], lang="en",
            image=jpeg(4, 4), xmp=xmp_packet(f"<dc:title>X</dc:title>{MODIFIED}")),
        build_pdf(image=png(4, 4), encrypted=True, password=""),
    ],
}  # fmt: skip
INTERESTING = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\0",
    b"\0\0\0\1",
]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([1, 2, 4, 8, 64, 500]))
        kind = draw(st.sampled_from(["write", "insert", "cut", "copy", "end", "bit"]))
        if kind == "write":
            data[at : at + length] = draw(st.sampled_from(INTERESTING) | st.binary(min_size=1, max_size=8))
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from(INTERESTING) | st.binary(min_size=1, max_size=length))
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "copy":
            start = draw(st.integers(0, len(data)))
            data[at:at] = data[start : start + length]
        elif kind == "bit" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        else:
            del data[at:]
    return bytes(data)


@st.composite
def mutated_entries(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Mutate what is inside an archive, which keeps its checksums."""
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(seeds)))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(entries)))
    entries[name] = draw(mutated([entries[name]]))
    return zipped(entries)


def parse(file_type: str, data: bytes) -> None:
    parser: Callable[[BinaryIO, str, Limits], ParsedFile] = default_extensions().parsers[file_type]
    try:
        found = parser(io.BytesIO(data), f"/a.{file_type}", LIMITS)
        assert isinstance(found, ParsedFile)
        if found.load_cover is not None:
            found.load_cover()
    except MediaError:
        return
    assert "\0" not in repr(found)


@given(data=mutated(SEEDS["epub"]) | mutated_entries(SEEDS["epub"]))
def test_a_mutated_epub_is_read_or_refused(data: bytes) -> None:
    parse("epub", data)


@given(data=mutated(SEEDS["cbz"]) | mutated_entries(SEEDS["cbz"]))
def test_a_mutated_cbz_is_read_or_refused(data: bytes) -> None:
    parse("cbz", data)


@given(data=mutated(SEEDS["m4b"]))
def test_a_mutated_m4b_is_read_or_refused(data: bytes) -> None:
    parse("m4b", data)


@given(data=mutated(SEEDS["pdf"]))
def test_a_mutated_pdf_is_read_or_refused(data: bytes) -> None:
    parse("pdf", data)


IMAGES = [image(kind, 3, 5) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]


@given(data=mutated(IMAGES))
@example(data=b"\xff\xd8\xff" + struct.pack(">BH", 0xE0, 0))
@example(data=b"\xff\xd8" + b"\xff" * 100)
def test_a_mutated_image_has_a_size_or_is_refused(data: bytes) -> None:
    try:
        found = read_cover(data, "/a", LIMITS)
    except MediaError:
        return
    assert found.width > 0
    assert found.height > 0


SIDECAR = {
    "version": 1, "title": "T", "authors": [{"name": "A", "role": "writer"}], "genres": ["G"],
    "abridged": True, "series": [{"name": "S", "number": 1.5, "unit": "volume"}], "language": "en",
    "release_date": "2001-02-03",
    "identifiers": [{"type": "isbn_13", "value": "9780316769488"}], "url": "http://a", "cover_page": 0,
    "chapters": [{"title": "C", "start_page": 0, "children": [{"title": "D", "start_timestamp_ms": 5}]}],
}  # fmt: skip
SIDECARS = [json.dumps(SIDECAR).encode()]
KEYS = (*SIDECAR, "name", "number", "children", "start_page", "type", "value")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(data=mutated(SIDECARS) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_mutated_sidecar_is_read_or_explained(data: bytes) -> None:
    found = parse_sidecar(data, "/a.metadata.json", LIMITS)
    assert (found.parsed is None) == (found.error is not None)
