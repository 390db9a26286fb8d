from __future__ import annotations

import io

import pytest
from builders.epub import NAV_ITEM, build_epub, nav_document, ncx_document

from datasette_shisho_resync.model import Chapter, Limits, ParsedFile
from datasette_shisho_resync.parsers.epub import parse_epub

LIMITS = Limits()


def parsed(data: bytes, limits: Limits = LIMITS) -> ParsedFile:
    return parse_epub(io.BytesIO(data), "/library/book.epub", limits)


POINT = '<navPoint><navLabel><text>{}</text></navLabel><content src="{}"/>{}</navPoint>'


@pytest.mark.parametrize(
    ("list_xml", "chapters"),
    [
        ('<ol><li><a href="%20a.xhtml#x">A</a></li></ol>', (Chapter("A", href="%20a.xhtml#x"),)),
        (
            '<h1>Contents</h1><div><ol><li><a href="a"> A\n <b>b</b></a></li></ol></div>',
            (Chapter("A b", href="a"),),
        ),
        ("<ol><li><span>Part</span></li></ol>", (Chapter("Part"),)),
        (
            '<ol><li><a href="a"><ruby>吾輩<rp>(</rp><rt>wagahai</rt><rp>)</rp></ruby>は</a></li></ol>',
            (Chapter("吾輩は", href="a"),),
        ),
        (
            '<ol><li><a href="a"><b>One<br/></b>The <i>Start</i><br class="x"/>x</a></li></ol>',
            (Chapter("One The Start x", href="a"),),
        ),
        ('<ol><li><a href="a"><img src="x.png" alt="Image"/></a></li></ol>', (Chapter("Image", href="a"),)),
        ('<ol><li><a href="a" title="Title"/></li></ol>', (Chapter("Title", href="a"),)),
        (
            '<ol><li><a href="a"> </a><ol><li><a href="b">B</a></li></ol></li><li/></ol>',
            (Chapter("B", href="b"),),
        ),
        ("", ()),
    ],
)
def test_chapters_of_the_navigation_document(list_xml: str, chapters: tuple[Chapter, ...]) -> None:
    assert parsed(build_epub(nav=nav_document(list_xml))).chapters == chapters


@pytest.mark.parametrize("spine", ["<spine/>", '<spine toc="ncx"/>', '<spine toc="wrong"/>', ""])
def test_chapters_of_the_ncx_are_found_whether_the_spine_names_it_or_not(spine: str) -> None:
    ncx = ncx_document(POINT.format("A", "a", POINT.format("B", "b#c", "")) + POINT.format("C", "c", ""))
    assert parsed(build_epub(ncx=ncx, spine_xml=spine)).chapters == (
        Chapter("A", href="a", children=(Chapter("B", href="b#c"),)),
        Chapter("C", href="c"),
    )


@pytest.mark.parametrize(
    ("nav", "title"),
    [
        (nav_document('<ol><li><a href="a">Nav</a></li></ol>'), "Nav"),
        (nav_document('<ol><li><a href="a">Nav</a></li></ol>').replace("epub:type", "role"), "Nav"),
        ('<html><body><nav epub:type="toc"><ol><li><a href="a">Nav<br></a></ol>', "Nav"),
        (nav_document("<ol/>"), "Ncx"),
        (nav_document('<ol><li><a href="a">P</a></li></ol>').replace("toc", "page-list"), "Ncx"),
        ("not XML", "Ncx"),
    ],
)
def test_a_navigation_document_with_chapters_beats_the_ncx(nav: str, title: str) -> None:
    ncx = ncx_document(POINT.format("Ncx", "a", ""))
    assert [chapter.title for chapter in parsed(build_epub(nav=nav, ncx=ncx)).chapters] == [title]


def test_a_missing_or_remote_table_of_contents_is_a_warning() -> None:
    for href in ("gone.xhtml", "https://example.com/nav.xhtml", "../../../etc/passwd", ""):
        found = parsed(build_epub(manifest_xml=NAV_ITEM.replace("nav.xhtml", href)))
        assert found.title == "A Book"
        assert any("table of contents" in warning for warning in found.warnings)


def test_chapters_beyond_the_limit_are_left_out_with_a_warning() -> None:
    entry = '<li><a href="a">A</a><ol><li><a href="b">B</a></li></ol></li>'
    found = parsed(build_epub(nav=nav_document(f"<ol>{entry * 3}</ol>")), Limits(max_chapters=3))
    inner = (Chapter("B", href="b"),)
    assert found.chapters == (Chapter("A", href="a", children=inner), Chapter("A", href="a"))
    assert any("max_chapters" in warning for warning in found.warnings)


def test_chapters_nested_beyond_the_limit_are_a_warning() -> None:
    nested = "<ol><li><a>x</a>" * 60 + "</li></ol>" * 60
    found = parsed(build_epub(nav=nav_document(nested)))
    assert found.chapters == ()
    assert any("max_xml_depth" in warning for warning in found.warnings)
