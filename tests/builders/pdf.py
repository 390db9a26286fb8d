"""Builds PDFs with pypdf's writer."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image
from pypdf import PageObject, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

_FILTERS = {"JPEG": "/DCTDecode", "JPEG2000": "/JPXDecode"}
_PAGE_WIDTH, _PAGE_HEIGHT = 200, 300


def build_pdf(
    *,
    title: str | None = None,
    author: str | None = None,
    subject: str | None = None,
    keywords: str | None = None,
    modified: str | None = None,
    pages: int = 3,
    outline: Sequence[tuple[str, int, int]] = (),
    xmp: str | bytes | None = None,
    lang: str | None = None,
    image: bytes | None = None,
    encrypted: bool = False,
    password: str = "secret",
) -> bytes:
    """Return a PDF. `outline` holds (title, 0-based page, depth), `image` lies on the first page."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(_PAGE_WIDTH, _PAGE_HEIGHT)
    info = {
        "/Title": title,
        "/Author": author,
        "/Subject": subject,
        "/Keywords": keywords,
        "/ModDate": modified,
    }
    writer.add_metadata({key: value for key, value in info.items() if value is not None})
    _add_outline(writer, outline)
    if xmp is not None:
        writer.root_object[NameObject("/Metadata")] = writer._add_object(_xmp_stream(xmp))
    if lang is not None:
        writer.root_object[NameObject("/Lang")] = TextStringObject(lang)
    if image is not None:
        add_image(writer, writer.pages[0], image)
    if encrypted:
        writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def xmp_packet(properties: str) -> str:
    """Wrap properties into an XMP packet as writers do it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/">{properties}</rdf:Description></rdf:RDF></x:xmpmeta>\n'
        '<?xpacket end="w"?>'
    )


def add_image(writer: PdfWriter, page: PageObject, image: bytes, name: str = "/Im0") -> IndirectObject:
    """Put a JPEG or JPEG 2000 as it is, or another image's raw pixels, on a page."""
    opened = Image.open(io.BytesIO(image))
    stream: StreamObject = DecodedStreamObject()
    if opened.format in _FILTERS:
        stream.set_data(image)
        stream[NameObject("/Filter")] = NameObject(_FILTERS[opened.format])
    else:
        stream.set_data(opened.convert("RGB").tobytes())
        stream = stream.flate_encode()
    stream[NameObject("/Type")] = NameObject("/XObject")
    stream[NameObject("/Subtype")] = NameObject("/Image")
    stream[NameObject("/Width")] = NumberObject(opened.width)
    stream[NameObject("/Height")] = NumberObject(opened.height)
    stream[NameObject("/ColorSpace")] = NameObject("/DeviceRGB")
    stream[NameObject("/BitsPerComponent")] = NumberObject(8)
    placed = writer._add_object(stream)
    resources = page.setdefault(NameObject("/Resources"), DictionaryObject())
    resources.setdefault(NameObject("/XObject"), DictionaryObject())[NameObject(name)] = placed
    return placed


def _add_outline(writer: PdfWriter, outline: Sequence[tuple[str, int, int]]) -> None:
    parents: list[IndirectObject] = []
    for title, page, depth in outline:
        parent = parents[depth - 1] if depth else None
        parents[depth:] = [writer.add_outline_item(title=title, page_number=page, parent=parent)]


def _xmp_stream(xmp: str | bytes) -> DecodedStreamObject:
    stream = DecodedStreamObject()
    stream.set_data(xmp.encode("utf-8") if isinstance(xmp, str) else xmp)
    stream[NameObject("/Type")] = NameObject("/Metadata")
    stream[NameObject("/Subtype")] = NameObject("/XML")
    return stream


def destination(page: IndirectObject | NumberObject) -> ArrayObject:
    """Return the array that points to a page."""
    return ArrayObject([page, NameObject("/Fit")])
