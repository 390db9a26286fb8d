from __future__ import annotations

import io
import tracemalloc
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders.epub import PACKAGE, build_epub, nav_document
from builders.images import png
from ebooklib import epub
from hypothesis import given, settings
from hypothesis import strategies as st

from datasette_shisho_resync.errors import LimitExceeded, MediaError
from datasette_shisho_resync.model import Author, Chapter, Identifier, Limits, ParsedFile
from datasette_shisho_resync.parsers.epub import parse_epub

LIMITS = Limits()


def parsed(data: bytes, limits: Limits = LIMITS) -> ParsedFile:
    return parse_epub(io.BytesIO(data), "/library/book.epub", limits)


FRONT = png(6, 9)


def with_metadata(xml: str, **more: Any) -> ParsedFile:
    """Parse a book that has nothing but this metadata."""
    return parsed(build_epub(title=None, creators=(), metadata_xml=xml, **more))


def test_a_book_that_ebooklib_wrote_is_read_in_full(tmp_path: Path) -> None:
    book = epub.EpubBook()
    book.set_identifier("urn:isbn:9780316769488")
    book.set_title("Written & Read")
    book.set_language("fr")
    book.add_author("Zoë Author", file_as="Author, Zoë", role="aut", uid="first")
    book.add_author("An Editor", role="edt", uid="second")
    book.add_metadata("DC", "description", "<p>One</p><p>Two</p>")
    book.add_metadata("DC", "publisher", "The Press")
    book.add_metadata("DC", "subject", "Fiction")
    book.add_metadata("DC", "date", "2020-05-06")
    book.set_cover("cover.png", FRONT, create_page=False)
    chapter = epub.EpubHtml(title="Chapter & One", file_name="one.xhtml", content="<p>text</p>")
    book.add_item(chapter)
    book.toc = [(epub.Section("Part"), [chapter])]
    book.spine = [chapter]
    book.add_item(epub.EpubNcx())
    book.add_item(epub.EpubNav())
    path = tmp_path / "book.epub"
    epub.write_epub(str(path), book)

    found = parsed(path.read_bytes())
    assert found.source == "epub_metadata"
    assert found.title == "Written & Read"
    assert found.authors == (Author("Zoë Author"),)
    assert found.authors[0].sort_name == "Author, Zoë"
    assert found.language == "fr"
    assert found.description == "One\n\nTwo"
    assert found.publisher == "The Press"
    assert found.genres == ("Fiction",)
    assert found.release_date == date(2020, 5, 6)
    assert found.identifiers == (Identifier("isbn_13", "9780316769488"),)
    assert found.chapters == (Chapter("Part", children=(Chapter("Chapter & One", href="one.xhtml"),)),)
    assert found.load_cover is not None
    assert found.load_cover() is not None
    assert found.warnings == ()


def test_entity_bombs_are_neutral() -> None:
    bomb = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    package = f'<!DOCTYPE package [<!ENTITY e0 "lol">{bomb}]>' + PACKAGE.format(
        "<dc:title>&e12;</dc:title>", "", "", ""
    )
    assert parsed(build_epub(package=package)).title == "&e12;"


def test_a_package_document_of_a_million_nodes_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="max_xml_nodes"):
        with_metadata("<a/>" * 1_000_000)


@pytest.mark.parametrize(
    "unit",
    [
        '<dc:creator id="a">A</dc:creator><meta refines="#a" property="role">x</meta>',
        '<dc:title id="a">A</dc:title><meta refines="#a" property="title-type">x</meta>',
        '<meta property="belongs-to-collection" id="a"/><meta refines="#a" property="collection-type"/>',
        '<meta name="cover" content="x"/>',
    ],
)
def test_repeated_metadata_costs_linear_time(unit: str) -> None:
    found = with_metadata(unit * 20_000, manifest_xml='<item id="y"/>' * 20_000)
    assert found.load_cover is not None
    with suppress(MediaError):  # it is named, and not there
        assert found.load_cover() is None


def test_a_package_document_that_unpacks_to_gigabytes_is_refused_in_little_memory() -> None:
    data = build_epub(package=b" " * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match="max_xml_bytes"):
            parsed(data)
        assert tracemalloc.get_traced_memory()[1] < 30 * 1024**2
    finally:
        tracemalloc.stop()


def test_the_content_of_a_book_is_not_read() -> None:
    class CountingFile(io.BytesIO):
        bytes_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            CountingFile.bytes_read += len(data)
            return data

    files = {f"OEBPS/{number}.jpg": bytes(100_000) for number in range(50)}
    data = build_epub(files=files, nav=nav_document("<ol><li><a>x</a></li></ol>"), compression=0)
    parse_epub(CountingFile(data), "book.epub", LIMITS)
    assert CountingFile.bytes_read < 100_000


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_epub_fails_only_with_our_errors(data: st.DataObject) -> None:
    nav = nav_document('<ol><li><a href="a">A</a></li></ol>')
    whole = build_epub(nav=nav, cover=FRONT, compression=0)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parsed(bytes(damaged))
        assert found.load_cover is not None
        found.load_cover()
    except MediaError:
        pass


@settings(max_examples=150)
@given(st.text(alphabet="<>/&;:='\"#!-[]?aix dc meta title \0é", max_size=80))
def test_any_text_for_metadata_fails_only_with_our_errors(text: str) -> None:
    with suppress(MediaError):
        with_metadata(f"<dc:title>T</dc:title>{text}")
