"""The valid files that the fuzzer starts from: a few of each kind, with as much in them as fits."""

from __future__ import annotations

import io
import json
import struct
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from builders.cbz import build_cbz, comic_info_xml
from builders.epub import build_epub, nav_document, ncx_document
from builders.images import image, jpeg, png
from builders.m4b import build_m4b
from builders.pdf import build_pdf, xmp_packet
from PIL import Image

from datasette_shisho_resync.demo.mp4 import box, freeform_item, full_box, item

from .building import KINDS
from .cases import Case
from .taking_apart import take_apart

_ITEMS = (
    '<item id="n" href="n.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    '<item id="x" href="x.ncx" media-type="application/x-dtbncx+xml"/>'
)
_METADATA = """
<dc:description>&lt;b&gt;Long&lt;/b&gt;</dc:description><dc:subject>SF</dc:subject>
<dc:language>en-GB</dc:language><dc:date>2001-02-03</dc:date><dc:publisher>P</dc:publisher>
<dc:identifier id="i">urn:isbn:9780316769488</dc:identifier>
<meta property="belongs-to-collection" id="c">Saga</meta>
<meta refines="#c" property="group-position">2.5</meta>
<meta name="calibre:series" content="S"/><meta name="calibre:series_index" content="1"/>
<meta name="cover" content="cover"/>
"""
_TOC = "<ol><li><a href='a.xhtml'>One</a><ol><li><a href='b.xhtml#x'>Two</a></li></ol></li></ol>"
_POINTS = "<navPoint><navLabel><text>One</text></navLabel><content src='a'/></navPoint>"
_COMIC = """<Title>T</Title><Series>S</Series><Number>1.5</Number><Writer>A, B</Writer><Genre>G</Genre>
<GTIN>9780316769488</GTIN><Year>2001</Year><Month>2</Month><Web>http://a/ b</Web><LanguageISO>en</LanguageISO>
<Pages><Page Image="1" Type="FrontCover" Bookmark="C"/></Pages>"""
_MODIFIED = "<xmp:ModifyDate>2001-01-01</xmp:ModifyDate>"
_SIDECAR = {
    "version": 1, "title": "T", "authors": [{"name": "A", "role": "writer"}], "genres": ["G"],
    "abridged": True, "series": [{"name": "S", "number": 1.5, "unit": "volume"}], "language": "en",
    "release_date": "2001-02-03",
    "identifiers": [{"type": "isbn_13", "value": "9780316769488"}], "url": "http://a", "cover_page": 0,
    "chapters": [{"title": "C", "start_page": 0, "children": [{"title": "D", "href": "a"}]}],
}  # fmt: skip

_PNG = png(2, 3)
_DRAWING = (
    f"<svg><image href='data:image/png;base64,{b64encode(_PNG).decode()}'/><image href='images/front'/></svg>"
)
_DRAWN = '<item id="d" href="d.svg" media-type="image/svg+xml" properties="cover-image"/>'
_PAGES = '<item id="p" href="p.xhtml" media-type="application/xhtml+xml"/>'
_FRONT: dict[str, str | bytes] = {
    "OEBPS/front.png": _PNG,
    "OEBPS/p.xhtml": "<html><body><img src='front.png'/></body></html>",
}

_TRACK_DEFAULTS = full_box("trex", struct.pack(">IIIII", 1, 1, 1024, 0, 0))
_FRAGMENT = box(
    "moof",
    box(
        "traf",
        full_box("tfhd", struct.pack(">II", 1, 512), flags=8),
        full_box("tfdt", struct.pack(">I", 1000)),
        full_box("trun", struct.pack(">IIIII", 2, 700, 50, 800, 50), flags=0x300),
        full_box("trun", struct.pack(">I", 3)),
    ),
)


def _transparent() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (2, 2)).save(buffer, "PNG")
    return buffer.getvalue()


_PDF_OF_NAMES = {
    "trailer": "<< /Size 14 /Root 1 0 R /Info << /Title (T) /ModDate (D:2001) >> >>",
    "objects": [
        {"text": text, "stream": ""}
        for text in (
            "<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R /Names << /Dests 8 0 R >> /Dests 12 0 R >>",
            "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 /Resources << /XObject << /F 10 0 R >> >> >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 20 30] >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources << /XObject << /I 13 0 R >> >> >>",
            "<< /First 6 0 R >>",
            "<< /Title (One) /Dest (new) /Next 7 0 R >>",
            "<< /Title (Two) /A << /S /GoTo /D /old >> /First 6 0 R >>",
            "<< /Kids [9 0 R] >>",
            "<< /Names [(new) << /D [3 0 R /Fit] >>] >>",
        )
    ]
    + [
        {
            "text": "<< /Subtype /Form /Length 5 /Resources << /XObject << /I 11 0 R >> >> >>",
            "stream": "/I Do",
        },
        {
            "text": "<< /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"
            " /Length 1 >>",
            "stream": "x",
        },
        {"text": "<< /old [4 0 R] >>", "stream": ""},
        {
            "text": "<< /Subtype /Image /Width 2 /Height 2 /Filter /JPXDecode /Length 1 >>",
            "stream": _transparent().decode("latin-1"),
        },
    ],
}

FILES = {
    "epub": (
        build_epub(
            metadata_xml=_METADATA,
            manifest_xml=_ITEMS,
            spine_xml='<spine toc="x"/>',
            files={"OEBPS/n.xhtml": nav_document(_TOC), "OEBPS/x.ncx": ncx_document(_POINTS)},
            cover=_PNG,
        ),
        build_epub(manifest_xml=_DRAWN, files={"OEBPS/d.svg": _DRAWING, "OEBPS/images/front": _PNG}),
        build_epub(
            manifest_xml=_PAGES.replace('"p"', '"cover"'),
            guide_xml="<guide><reference type='cover' href='p.xhtml'/></guide>",
            files=_FRONT,
        ),
        build_epub(manifest_xml=_PAGES, spine_xml="<spine><itemref idref='p'/></spine>", files=_FRONT),
    ),
    "cbz": (
        build_cbz(comic_info=comic_info_xml(_COMIC)),
        build_cbz(pages={"v01/ch 1/1.jpg": jpeg(2, 2), "v01/ch 2/2.png": png(2, 2), "__MACOSX/x.jpg": b""}),
    ),
    "m4b": (
        build_m4b(
            title="T", artist="A", narrator="N", genre="G", description="D", cover=_PNG,
            quicktime_chapters=[(0, "One"), (1000, "Two")], nero_chapters=[(0, "N")], moov_first=False,
            extra_ilst=item("gnre", b"\0\5", kind=0) + freeform_item("com.apple.iTunes", "SERIES", "S"),
        ),
        build_m4b(title="T", duration_ms=0, extra_moov=box("mvex", _TRACK_DEFAULTS)) + _FRAGMENT,
    ),
    "pdf": (
        build_pdf(
            title="T", author="A, B", keywords="x", outline=[("One", 0, 0), ("Two", 1, 1)], lang="en",
            image=jpeg(4, 4), xmp=xmp_packet(f"<dc:title>X</dc:title>{_MODIFIED}"),
        ),
        build_pdf(image=png(4, 4), encrypted=True, password=""),
    ),
    "image": tuple(image(kind, 3, 5) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")),
    "xml": (nav_document(_TOC).encode(),),
    "sidecar": (json.dumps(_SIDECAR).encode(),),
    "filename": (b"/b/[Ann Author] A Title v01/CD1/A Title v01 {Nan Narrator}.cbz",),
}  # fmt: skip


def first_cases(kind: str) -> Iterator[Case]:
    """Yield the cases of a kind that nobody had to find."""
    sources = ("epub", "cbz") if kind == "archive" else (kind,)
    for source in sources:
        for data in FILES[source]:
            yield Case(kind, _tree(kind, data))
    if kind == "pdf":
        yield Case(kind, _PDF_OF_NAMES)


def _tree(kind: str, data: bytes) -> Any:
    if kind == "image":
        return data.decode("latin-1")
    if kind == "xml":
        return {"encoding": "utf-8", "mark": "", "text": data.decode()}
    if kind == "sidecar":
        return json.loads(data)
    return data.decode() if kind == "filename" else take_apart(kind, data)


assert {*FILES, "archive"} == {*KINDS}
