"""Files that are small and would cost much: each is named for what it attacks."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, EncodedStreamObject, NameObject, NumberObject

from datasette_shisho_resync.demo.mp4 import box

from .cbz import build_cbz, comic_info_xml
from .epub import build_epub, zipped
from .m4b import build_m4b
from .pdf import written

MANY = 10**8
ATTRIBUTE = "b{}=''".format
LONG_ATTRIBUTE = "attribute_number{:07}=''"
NAMESPACE = "xmlns:n{}='u'".format


def zeros(count: int) -> bytes:
    """Return zlib data of at least this many zeros, without its checksum: nobody should come to it."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + again * (count // 1024**2) + packer.flush()


def entity_bomb() -> str:
    declared = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
    return f'<!DOCTYPE p [<!ENTITY a0 "lol">{declared}]><package>&a19;</package>'


def entries_without_end() -> bytes:
    """An archive of as many empty files as there is room for, which `zipfile` would be long at."""
    count, one = 120_000, zipped({"000000": b""}, compression=zipfile.ZIP_STORED)
    at, end = one.find(b"PK\1\2"), one.find(b"PK\5\6")
    entry, record = one[: at - 6], one[at : end - 10]  # without their names, and the place of the entry
    names = [b"%06d" % number for number in range(count)]
    entries = b"".join(entry + name for name in names)
    records = b"".join(record + struct.pack("<L", at * n) + name for n, name in enumerate(names))
    return b"".join(
        (
            entries,
            records,
            struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(records), len(entries)),
            struct.pack("<4sLQL", b"PK\6\7", 0, len(entries) + len(records), 1),
            struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(records), len(entries), 0),
        )
    )


def overlapping_entries() -> bytes:
    """Every record of the directory leads to the same bytes."""
    data = bytearray(zipped(dict.fromkeys((f"{n:05}.jpg" for n in range(3000)), zeros(10**6))))
    position = data.find(b"PK\1\2")
    while position >= 0:
        struct.pack_into("<L", data, position + 42, 0)
        position = data.find(b"PK\1\2", position + 4)
    return bytes(data)


def endless_letters() -> bytes:
    """Names of one letter under twenty thousand accents; none is the one that is looked for."""
    accents = "\u0301\u0323" * 10_000
    return zipped({f"{number}{accents}": b"" for number in range(100)})


def damaged_covers() -> bytes:
    """Every page is marked as the cover, and none is sound: all of them are the same bytes of zeros."""
    marks = "".join(f'<Page Image="{number}" Type="FrontCover"/>' for number in range(1000))
    page = bytes(32 * 1024**2)
    data = bytearray(
        build_cbz(
            comic_info=comic_info_xml(f"<Pages>{marks}</Pages>"),
            pages={"0000.jpg": page, **dict.fromkeys((f"{n:04}.jpg" for n in range(1, 1000)), b"")},
        )
    )
    record = data.find(b"0000.jpg", data.find(b"PK\1\2")) - 46
    sizes, offset = data[record + 16 : record + 28], data[record + 42 : record + 46]
    while (record := data.find(b"PK\1\2", record + 4)) >= 0:
        data[record + 10 : record + 12] = b"\x08\0"
        data[record + 16 : record + 28], data[record + 42 : record + 46] = sizes, offset
    return bytes(data)


def atom(name: str, size: int) -> bytes:
    return struct.pack(">I4sQ", 1, name.encode(), size) + bytes(64)


def boxes_without_end() -> bytes:
    return box("ftyp", b"M4B ") + box("moov", box("free") * 500_000)


def huge_png() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def pdf_page(
    content: bytes, resources: Mapping[str, object] | None = None, *, is_packed: bool = False
) -> bytes:
    writer = PdfWriter()
    page = writer.add_blank_page(400, 600)
    page[NameObject("/Contents")] = writer._add_object(stream(content, is_packed=is_packed))
    objects = DictionaryObject()
    for name, value in (resources or {}).items():
        objects[NameObject(name)] = writer._add_object(value)  # type: ignore[arg-type]
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): objects})
    return written(writer)


def stream(data: bytes, *, is_packed: bool = False, **entries: object) -> DecodedStreamObject:
    made = EncodedStreamObject() if is_packed else DecodedStreamObject()
    made._data = data
    if is_packed:
        made[NameObject("/Filter")] = NameObject("/FlateDecode")
    for name, value in entries.items():
        made[NameObject(f"/{name}")] = value
    return made  # type: ignore[return-value]


def flat_image(side: int) -> bytes:
    """A picture of one colour: small, until somebody unpacks it."""
    picture = stream(
        zeros(3 * side * side),
        is_packed=True,
        Subtype=NameObject("/Image"),
        Width=NumberObject(side),
        Height=NumberObject(side),
        ColorSpace=NameObject("/DeviceRGB"),
        BitsPerComponent=NumberObject(8),
    )
    return pdf_page(b"q 400 0 0 600 0 0 cm /I Do Q", {"/I": picture})


def with_xmp(data: bytes, filter: str) -> bytes:
    """A PDF whose XMP metadata are packed in this way."""
    writer = PdfWriter()
    writer.add_blank_page(400, 600)
    packed = stream(data, is_packed=True, Filter=NameObject(filter))
    writer.root_object[NameObject("/Metadata")] = writer._add_object(packed)
    return written(writer)


def with_language(written: bytes) -> bytes:
    """A PDF that names its language in this way."""
    start = b"%PDF-1.7\n"
    objects = (b"<</Type/Catalog/Pages 2 0 R/Lang 3 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>", written)
    table = b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(start)
        start += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    trailer = b"xref\n0 4\n" + table + b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return start + trailer % len(start)


def forms_of_forms() -> bytes:
    """Ten forms, each of which draws the next one ten times."""
    writer = PdfWriter()
    page = writer.add_blank_page(400, 600)
    below = None
    for _ in range(10):
        form = stream(b"0 0 9 9 re f " if below is None else b"/F Do " * 10, Subtype=NameObject("/Form"))
        if below is not None:
            names = DictionaryObject({NameObject("/F"): below})
            form[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): names})
        below = writer._add_object(form)
    assert below is not None
    page[NameObject("/Contents")] = writer._add_object(stream(b"/F Do"))
    names = DictionaryObject({NameObject("/F"): below})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): names})
    return written(writer)


HARMLESS = frozenset(
    {
        "attributes of long names.epub",
        "entity bomb.epub",
        "namespaces.epub",
        "long title.m4b",
        "flat image.pdf",
        "larger image.pdf",
        "dashes.pdf",
    }
)
"""Those that are read all the same, for what they try has no effect."""

HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "package of zeros.epub": lambda: build_epub(package=bytes(64 * 1024**2)),
    "entity bomb.epub": lambda: build_epub(package=entity_bomb()),
    "deep.epub": lambda: build_epub(metadata_xml="<a>" * 10**6),
    "nodes.epub": lambda: build_epub(metadata_xml="<a/>" * 10**6),
    "attributes.epub": lambda: build_epub(metadata_xml=f"<a {' '.join(map(ATTRIBUTE, range(10**6)))}/>"),
    "namespaces.epub": lambda: build_epub(
        metadata_xml=f"<dc-metadata {' '.join(map(NAMESPACE, range(5000)))}><dc:description>{'<b/>' * 20_000}"
        "</dc:description></dc-metadata>"
    ),
    "more namespaces.epub": lambda: build_epub(
        metadata_xml=f"<dc-metadata {' '.join(map(NAMESPACE, range(100_000)))}><dc:description><b/>"
        "</dc:description></dc-metadata>"
    ),
    "attributes of long names.epub": lambda: build_epub(
        metadata_xml=f"<a {' '.join(LONG_ATTRIBUTE.format(n) for n in range(290_000))}/>"
    ),
    "cover of zeros.epub": lambda: build_epub(cover=b"\xff\xd8\xff" + bytes(MANY)),
    "huge cover.epub": lambda: build_epub(cover=huge_png()),
    "endless letters.epub": endless_letters,
    "entries.cbz": entries_without_end,
    "damaged covers.cbz": damaged_covers,
    "overlapping.cbz": overlapping_entries,
    "page of zeros.cbz": lambda: build_cbz(pages={"1.jpg": bytes(MANY)}),
    "huge page.cbz": lambda: build_cbz(pages={"1.png": huge_png()}),
    "comic info of zeros.cbz": lambda: build_cbz(comic_info=bytes(MANY)),
    "four gigabytes.m4b": lambda: box("ftyp", b"M4B ") + atom("moov", 2**32),
    "endless.m4b": lambda: box("ftyp", b"M4B ") + atom("free", 2**63),
    "boxes.m4b": boxes_without_end,
    "long title.m4b": partial(build_m4b, title="x" * (64 * 1024**2)),
    "forms of forms.pdf": forms_of_forms,
    "content of zeros.pdf": lambda: pdf_page(zeros(10**9), is_packed=True),
    "drawing of drawings.pdf": lambda: pdf_page(b"0 0 400 600 re f " * 2_000_000),
    "flat image.pdf": lambda: flat_image(7000),
    "larger image.pdf": lambda: flat_image(20_000),
    "dashes.pdf": lambda: pdf_page(b"[0.0001 0.0001] 0 d 1 w 0 0 m 400 600 l S " * 1000),
    "text of zeros.pdf": lambda: with_xmp(b"z" * 8_000_000, "/ASCII85Decode"),
    "blanks.pdf": lambda: with_language(b" " * 30_000_000 + b"(en)"),
    "escapes.pdf": lambda: with_language(b"(" + rb"\051" * 3_000_000 + b")"),
    "path.pdf": lambda: pdf_page(b"0 0 m " + b"400 600 l 0 600 l 400 0 l " * 500_000 + b"f*"),
}  # fmt: skip
