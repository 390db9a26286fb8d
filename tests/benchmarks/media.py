"""Media as they are in ordinary libraries: covers, chapters, series, a few hundred kilobytes of text."""

from __future__ import annotations

from pathlib import Path

from builders.cbz import build_cbz, comic_info_xml
from builders.epub import build_epub, nav_document
from builders.images import jpeg
from builders.m4b import build_m4b

_CHAPTERS = range(20)
_TEXT = (
    '<html xmlns="http://www.w3.org/1999/xhtml"><body>'
    + "<p>Some words of a chapter that go on.</p>" * 300
    + "</body></html>"
)


def write_mixed(folder: Path, count: int) -> None:
    for number in range(count):
        place = folder / f"Author {number % 200}" / f"Book {number}"
        place.mkdir(parents=True)
        make, file_type = [(epub, "epub"), (epub, "epub"), (cbz, "cbz"), (m4b, "m4b")][number % 4]
        (place / f"book {number}.{file_type}").write_bytes(make(number))


def epub(number: int, title: str | None = None) -> bytes:
    """Return an EPUB 3 with twenty chapters and a cover."""
    entries = "".join(f'<li><a href="c{i}.xhtml">Chapter {i}</a></li>' for i in _CHAPTERS)
    return build_epub(
        title=title or f"The Book {number}",
        creators=(f"Ann Author {number % 200}",),
        nav=nav_document(f"<ol>{entries}</ol>"),
        files={f"OEBPS/c{i}.xhtml": _TEXT for i in _CHAPTERS},
        manifest_xml="".join(
            f'<item id="c{i}" href="c{i}.xhtml" media-type="application/xhtml+xml"/>' for i in _CHAPTERS
        ),
        spine_xml="<spine>" + "".join(f'<itemref idref="c{i}"/>' for i in _CHAPTERS) + "</spine>",
        cover=_cover(number),
        metadata_xml=f"<dc:language>en</dc:language><dc:publisher>Press {number % 20}</dc:publisher>"
        f"<dc:subject>Fiction</dc:subject><dc:subject>Genre {number % 30}</dc:subject>"
        f"<dc:description>About {number}.</dc:description><dc:date>2020-01-02</dc:date>"
        f'<meta name="calibre:series" content="Series {number % 100}"/>'
        f'<meta name="calibre:series_index" content="{number // 100 + 1}"/>'
        f"<dc:identifier>urn:uuid:a1b2c3d4-e5f6-7890-abcd-{number:012d}</dc:identifier>",
    )


def cbz(number: int, title: str | None = None) -> bytes:
    """Return a comic of 24 pages with a ComicInfo.xml."""
    about = (
        f"<Title>{title or f'Comic {number}'}</Title>"
        f"<Series>Comics {number % 50}</Series><Number>{number}</Number>"
        f"<Writer>Writer {number % 99}, Second {number % 77}</Writer><Genre>Action</Genre><Year>2019</Year>"
    )
    pages = {f"p{page:03}.jpg": _cover(number) for page in range(24)}
    return build_cbz(comic_info=comic_info_xml(about), pages=pages)


def m4b(number: int, title: str | None = None) -> bytes:
    """Return an audiobook with thirty QuickTime chapters and a cover."""
    return build_m4b(
        title=title or f"Audio {number}",
        artist=f"Ann Author {number % 200}",
        narrator=f"Narrator {number % 40}",
        cover=_cover(number),
        quicktime_chapters=[(i * 1000, f"Chapter {i}") for i in range(30)],
        genre="Drama",
        description="words " * 30,
    )


def _cover(number: int) -> bytes:
    return jpeg(200 + number % 50, 300, (number % 255, number * 7 % 255, number * 13 % 255))
