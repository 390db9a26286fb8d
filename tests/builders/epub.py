"""EPUB files of any shape, whole or broken."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path={} media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
    '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf"'
    ' xmlns:dcterms="http://purl.org/dc/terms/">{}</metadata><manifest>{}</manifest>{}{}</package>'
)
NAV_ITEM = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
NCX_ITEM = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
COVER_ITEM = '<item id="front" href="images/front" media-type="image/png" properties="cover-image"/>'


def build_epub(
    path: Path | str | None = None,
    *,
    title: str | None = "A Book",
    creators: Sequence[str] = ("Ann Author",),
    metadata_xml: str = "",
    manifest_xml: str = "",
    spine_xml: str = "<spine/>",
    guide_xml: str = "",
    files: Mapping[str, str | bytes] | None = None,
    cover: bytes | None = None,
    opf_path: str = "OEBPS/content.opf",
    package: str | bytes | None = None,
    container: str | None = "",
    nav: str | None = None,
    ncx: str | None = None,
    encoding: str = "utf-8",
    declaration: str | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """Return the EPUB, and write it to `path` if given.

    `metadata_xml` comes after title and creators (authors without a role); `files` are named from the
    archive's root; `nav` and `ncx` are whole documents beside the package document, listed in the
    manifest. `package` replaces the package document; `container` "" is a right one, None is none.
    """
    folder = opf_path.rpartition("/")[0]
    inside = f"{folder}/" if folder else ""
    metadata = "" if title is None else f"<dc:title>{escape(title)}</dc:title>"
    metadata += "".join(f"<dc:creator>{escape(creator)}</dc:creator>" for creator in creators)
    manifest = manifest_xml
    entries: dict[str, str | bytes] = {"mimetype": "application/epub+zip"}
    if container is not None:
        entries["META-INF/container.xml"] = container or CONTAINER.format(quoteattr(opf_path))
    for content, item, name in (
        (nav, NAV_ITEM, "nav.xhtml"),
        (ncx, NCX_ITEM, "toc.ncx"),
        (cover, COVER_ITEM, "images/front"),
    ):
        if content is not None:
            manifest += item
            entries[inside + name] = content
    if declaration is None:
        declaration = f'<?xml version="1.0" encoding="{encoding}"?>'
    document = declaration + PACKAGE.format(metadata + metadata_xml, manifest, spine_xml, guide_xml)
    entries[opf_path] = document.encode(encoding) if package is None else package
    return zipped(entries | dict(files or {}), path, compression=compression)


def nav_document(list_xml: str) -> str:
    """Return a navigation document around an `ol` element."""
    return (
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>'
        f'<nav epub:type="toc">{list_xml}</nav></body></html>'
    )


def ncx_document(points_xml: str) -> str:
    """Return an NCX around `navPoint` elements."""
    return f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points_xml}</navMap></ncx>'


_FIXED_TIME = (2024, 1, 1, 0, 0, 0)  # tests are named after their data, in several processes at once


def zipped(
    entries: Mapping[str, str | bytes],
    path: Path | str | None = None,
    *,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """Return a ZIP archive of `entries` in their order, and write it to `path` if given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), content, compression)
    if path is not None:
        Path(path).write_bytes(buffer.getvalue())
    return buffer.getvalue()
