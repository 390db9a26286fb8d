from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest
from builders.epub import build_epub

from datasette_shisho_resync.model import Identifier, Limits, ParsedFile, SeriesEntry
from datasette_shisho_resync.parsers.epub import parse_epub

LIMITS = Limits()


def parsed(data: bytes, limits: Limits = LIMITS) -> ParsedFile:
    return parse_epub(io.BytesIO(data), "/library/book.epub", limits)


def with_metadata(xml: str, **more: Any) -> ParsedFile:
    """Parse a book that has nothing but this metadata."""
    return parsed(build_epub(title=None, creators=(), metadata_xml=xml, **more))


def names(found: ParsedFile) -> list[str]:
    return [author.name for author in found.authors]


@pytest.mark.parametrize(
    ("xml", "title", "subtitle"),
    [
        ("", None, None),
        ("<dc:title/><dc:title>  </dc:title>", None, None),
        ("<dc:title> A\n  B </dc:title>", "A B", None),
        ("<dc:title>A <i>nested</i> B<!-- no --></dc:title>", "A nested B", None),
        ("<dc:title><![CDATA[<A> & B]]></dc:title>", "<A> & B", None),
        ("<dc:title>A&nbsp;&amp;&nbsp;B&eacute;</dc:title>", "A & Bé", None),
        ("<dc:Title>Old style</dc:Title>", "Old style", None),
        ("<dcterms:title>Terms</dcterms:title>", "Terms", None),
        ('<meta property="dcterms:title">Property</meta>', "Property", None),
        ('<dc:title id="subtitle">Only</dc:title>', "Only", None),
        (
            '<dc:title id="a">Sub</dc:title><dc:title>Main</dc:title>'
            '<meta refines="#a" property="title-type">subtitle</meta>',
            "Main",
            "Sub",
        ),
        (
            '<dc:title id="a">Short</dc:title><dc:title id="b">Main</dc:title>'
            '<meta refines="#a" property="title-type">short</meta>'
            '<meta refines="b" property="title-type"> Main </meta>',
            "Main",
            None,
        ),
        (
            "<dc-metadata><dc:title>Wrapped</dc:title></dc-metadata><x-metadata/>",
            "Wrapped",
            None,
        ),
    ],
)
def test_title_and_subtitle(xml: str, title: str | None, subtitle: str | None) -> None:
    found = with_metadata(xml)
    assert (found.title, found.subtitle) == (title, subtitle)


@pytest.mark.parametrize(
    ("xml", "authors"),
    [
        ("<dc:creator>A</dc:creator><dc:creator>B</dc:creator>", ["A", "B"]),
        ('<dc:creator opf:role="aut">A</dc:creator><dc:creator opf:role="ill">B</dc:creator>', ["A"]),
        ('<dc:creator opf:role=" AUT ">A</dc:creator><dc:creator role="aut">B</dc:creator>', ["A", "B"]),
        ('<dc:creator opf:role="trl">A</dc:creator><dc:creator>B</dc:creator>', ["B"]),
        ('<dc:creator opf:role="Author">A</dc:creator><dc:creator opf:role="edt">B</dc:creator>', ["A"]),
        ('<dc:creator opf:role="trl">A</dc:creator>', ["A"]),
        ('<dc:creator opf:role="trl">A</dc:creator><dc:creator opf:role="ill">B</dc:creator>', []),
        ('<dc:creator opf:role="">A</dc:creator><dc:creator>B</dc:creator>', ["A", "B"]),
        ("<dc:creator> </dc:creator><dc:creator>A\n B</dc:creator><dc:creator>A B</dc:creator>", ["A B"]),
        ("<dcterms:creator>A</dcterms:creator>", ["A"]),
        ("<dc:contributor>A</dc:contributor>", []),
        (
            '<dc:creator id="a">A</dc:creator><dc:creator id="b">B</dc:creator>'
            '<meta refines="#a" property="role" scheme="marc:relators">ill</meta>'
            '<meta refines="#b" property="role" scheme="marc:relators">aut</meta>'
            '<meta refines="#b" property="role" scheme="marc:relators">ill</meta>',
            ["B"],
        ),
        (
            '<dc:creator id="a">A</dc:creator><dc:creator>B</dc:creator><dc:creator id="c">C</dc:creator>'
            '<meta refines="#a" property="display-seq">2</meta>'
            '<meta refines="#c" property="display-seq">1</meta>',
            ["C", "A", "B"],
        ),
    ],
)
def test_authors_are_creators_with_the_role_or_without_any(xml: str, authors: list[str]) -> None:
    assert names(with_metadata(xml)) == authors


@pytest.mark.parametrize(
    "xml",
    [
        '<dc:creator opf:file-as="Le Guin, Ursula">Ursula Le Guin</dc:creator>',
        '<dc:creator id="a">Ursula Le Guin</dc:creator>'
        '<meta refines="#a" property="file-as">Le Guin, Ursula</meta>',
    ],
)
def test_the_sort_name_of_an_author_is_a_hint(xml: str) -> None:
    assert [author.sort_name for author in with_metadata(xml).authors] == ["Le Guin, Ursula"]


@pytest.mark.parametrize(
    ("joined", "sort_names"),
    [
        ("Herbert, Frank &amp; Herbert, Brian", ["Herbert, Frank", "Herbert, Brian"]),
        ("Herbert, Frank &amp; Herbert, Brian &amp; Anderson, Kevin", [None, None]),
        ("Unknown", [None, None]),
    ],
)
def test_sort_names_that_calibre_writes_into_one_are_told_apart(
    joined: str, sort_names: list[str | None]
) -> None:
    xml = (
        f'<dc:creator opf:file-as="{joined}">Frank Herbert</dc:creator><dc:creator>Brian Herbert</dc:creator>'
    )
    assert [author.sort_name for author in with_metadata(xml).authors] == sort_names


def test_an_author_with_an_ampersand_keeps_the_one_of_the_sort_name() -> None:
    xml = '<dc:creator opf:file-as="Simon &amp; Schuster">Simon &amp; Schuster</dc:creator>'
    assert [author.sort_name for author in with_metadata(xml).authors] == ["Simon & Schuster"]


COLLECTION = '<meta property="belongs-to-collection" id="c">Saga</meta>'
CALIBRE = '<meta name="calibre:series" content="Cal"/><meta name="calibre:series_index" content="{}"/>'


@pytest.mark.parametrize(
    ("xml", "series"),
    [
        (COLLECTION, [SeriesEntry("Saga")]),
        (COLLECTION + '<meta refines="#c" property="collection-type">set</meta>', []),
        (
            COLLECTION
            + '<meta refines="#c" property="collection-type">series</meta>'
            + '<meta refines="#c" property="group-position">2.5</meta>',
            [SeriesEntry("Saga", 2.5)],
        ),
        (COLLECTION + '<meta refines="#c" property="group-position">1-3</meta>', [SeriesEntry("Saga", 1, 3)]),
        (COLLECTION + '<meta refines="#c" property="group-position">1.2.3</meta>', [SeriesEntry("Saga")]),
        (COLLECTION + CALIBRE.format("4"), [SeriesEntry("Saga")]),
        (
            COLLECTION + '<meta refines="#c" property="belongs-to-collection" id="d">Universe</meta>',
            [SeriesEntry("Saga")],
        ),
        (
            COLLECTION + '<meta refines="#c" property="collection-type">set</meta>' + CALIBRE.format("4"),
            [SeriesEntry("Cal", 4)],
        ),
        (CALIBRE.format("0"), [SeriesEntry("Cal", 0)]),
        (CALIBRE.format("1-3"), [SeriesEntry("Cal")]),
        (CALIBRE.format("1e999"), [SeriesEntry("Cal")]),
        (CALIBRE.format("nan"), [SeriesEntry("Cal")]),
        (CALIBRE.format(""), [SeriesEntry("Cal")]),
        ('<meta name="calibre:series" content=" "/>', []),
    ],
)
def test_series(xml: str, series: list[SeriesEntry]) -> None:
    assert with_metadata(xml).series == tuple(series)


@pytest.mark.parametrize(
    ("xml", "field", "value"),
    [
        ("<dc:date>2001</dc:date><dc:date>2002</dc:date>", "release_date", date(2002, 1, 1)),
        (
            '<dc:date opf:event="publication">1999-01-02</dc:date><dc:date>2005</dc:date>',
            "release_date",
            date(1999, 1, 2),
        ),
        (
            '<dc:date opf:event="creation">1999</dc:date><dc:date>unknown</dc:date>',
            "release_date",
            date(1999, 1, 1),
        ),
        ('<dc:date opf:event="modification">1999</dc:date>', "release_date", date(1999, 1, 1)),
        ('<meta property="dcterms:modified">2020-01-01T00:00:00Z</meta>', "release_date", None),
        ("<dc:language>xx-invalid!</dc:language><dc:language>und</dc:language>", "language", None),
        ("<dc:language>de</dc:language><dc:language>und</dc:language>", "language", "de"),
        ("<dc:publisher>A</dc:publisher><dc:publisher> </dc:publisher>", "publisher", "A"),
        ("<dc:publisher>A</dc:publisher><dc:publisher>B</dc:publisher>", "publisher", "B"),
        (
            "<dc:subject>A; B</dc:subject><dc:subject> </dc:subject><dc:subject>A; B</dc:subject>",
            "genres",
            ("A; B",),
        ),
        ("<dc:relation>HTTPS://x.org/a b</dc:relation>", "url", "HTTPS://x.org/a b"),
        ("<dc:source>javascript:alert(1)</dc:source>", "url", None),
        (
            "<dc:description>&lt;p&gt;A&lt;/p&gt;&lt;p&gt;5 &amp;lt; 6&lt;/p&gt;</dc:description>",
            "description",
            "A\n\n5 < 6",
        ),
        (
            '<dc:description>a &lt; b <b xmlns="http://www.w3.org/1999/xhtml">bold</b></dc:description>',
            "description",
            "a < b bold",
        ),
        ("<dc:description>kept</dc:description><dc:description/>", "description", "kept"),
    ],
)
def test_single_values(xml: str, field: str, value: object) -> None:
    assert getattr(with_metadata(xml), field) == value


@pytest.mark.parametrize(
    ("xml", "identifier"),
    [
        (
            '<dc:identifier opf:scheme="ISBN">0-306-40615-2</dc:identifier>',
            Identifier("isbn_10", "0306406152"),
        ),
        ("<dc:identifier>urn:isbn:9780316769488</dc:identifier>", Identifier("isbn_13", "9780316769488")),
        (
            '<dc:identifier id="i">12</dc:identifier>'
            '<meta refines="#i" property="identifier-type">goodreads</meta>',
            Identifier("goodreads", "12"),
        ),
        (
            '<dc:identifier id="i">ISBN 978-0-316-76948-8 (pbk.)</dc:identifier>'
            '<meta refines="#i" property="identifier-type" scheme="onix:codelist5">15</meta>',
            Identifier("isbn_13", "9780316769488"),
        ),
    ],
)
def test_identifiers(xml: str, identifier: Identifier) -> None:
    assert with_metadata(xml).identifiers == (identifier,)


def test_long_values_are_cut_and_long_lists_too_with_a_warning() -> None:
    limits = Limits(max_scalar_bytes=10, max_description_bytes=20, max_list_entries=2)
    subjects = "".join(f"<dc:subject>{number}</dc:subject>" for number in range(5))
    description = f"<dc:description>{'d' * 50}</dc:description>"
    found = parsed(build_epub(title="t" * 50, metadata_xml=subjects + description), limits)
    assert found.title == "t" * 10
    assert found.description == "d" * 20
    assert found.genres == ("0", "1")
    assert found.warnings == ("Only the first 2 of 5 genres were read (max_list_entries).",)
