"""Writes an EPUB 3 as readers want it: cover, contents, chapters, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from .archive import build_archive

_CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
_PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
{metadata}
</metadata>
<manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="style" href="style.css" media-type="text/css"/>
{items}
</manifest>
<spine>
{spine}
</spine>
</package>
"""
_PAGE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en">
<head><title>{title}</title><link rel="stylesheet" href="style.css"/></head>
<body>
{body}
</body>
</html>
"""
_STYLE = (
    "body { margin: 8%; font-family: serif; line-height: 1.5; } h1 { text-align: center; margin: 3em 0; }\n"
)


def build_ebook(
    metadata: Sequence[str], chapters: Mapping[str, Sequence[str]], cover: bytes | None = None
) -> bytes:
    """Return an EPUB; `metadata` are the elements that `element` and `series` make."""
    pages = {f"chapter{number}.xhtml": _chapter(*chapter) for number, chapter in _numbered(chapters)}
    links = "\n".join(
        f'<li><a href="chapter{number}.xhtml">{escape(title)}</a></li>'
        for number, (title, _) in _numbered(chapters)
    )
    nav = f'<nav epub:type="toc"><h1>Contents</h1><ol>\n{links}\n</ol></nav>'
    items = [
        f'<item id="c{number}" href="chapter{number}.xhtml" media-type="application/xhtml+xml"/>'
        for number, _ in _numbered(chapters)
    ]
    if cover is not None:
        items.append('<item id="cover" href="cover.jpg" media-type="image/jpeg" properties="cover-image"/>')
    spine = "\n".join(f'<itemref idref="c{number}"/>' for number, _ in _numbered(chapters))
    package = _PACKAGE.format(metadata="\n".join(metadata), items="\n".join(items), spine=spine)
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": _CONTAINER,
        "book/package.opf": package,
        "book/nav.xhtml": _PAGE.format(title="Contents", body=nav),
        "book/style.css": _STYLE,
        **{f"book/{name}": page for name, page in pages.items()},
    }
    if cover is not None:
        files["book/cover.jpg"] = cover
    return build_archive(files)


def element(name: str, text: str, **attributes: str) -> str:
    """Return one Dublin Core element."""
    given = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<dc:{name}{given}>{escape(text)}</dc:{name}>"


def series(name: str, number: float) -> str:
    return (
        f'<meta property="belongs-to-collection" id="series">{escape(name)}</meta>'
        '<meta refines="#series" property="collection-type">series</meta>'
        f'<meta refines="#series" property="group-position">{number:g}</meta>'
    )


def _numbered(chapters: Mapping[str, Sequence[str]]) -> list[tuple[int, tuple[str, Sequence[str]]]]:
    return list(enumerate(chapters.items(), 1))


def _chapter(title: str, paragraphs: Sequence[str]) -> str:
    body = f"<h1>{escape(title)}</h1>\n" + "\n".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    return _PAGE.format(title=escape(title), body=body)
