from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from builders.cbz import build_cbz, build_page, comic_info_xml
from rule_vectors import load
from vector_differences import ours

from datasette_shisho_resync.errors import LimitExceeded, MediaError, UnreadableFile
from datasette_shisho_resync.model import Author, Chapter, Identifier, Limits, ParsedFile, SeriesEntry
from datasette_shisho_resync.parsers.cbz import parse_cbz
from datasette_shisho_resync.parsers.cbz.pages import find_chapters

PAGE = build_page()
DEFAULT_LIMITS = Limits()


def parsed(data: bytes, name: str = "/library/comic.cbz", limits: Limits = DEFAULT_LIMITS) -> ParsedFile:
    return parse_cbz(io.BytesIO(data), name, limits)


def with_info(elements: str, name: str = "/library/comic.cbz", pages: Any = 3) -> ParsedFile:
    return parsed(build_cbz(comic_info=comic_info_xml(elements), pages=pages), name)


def test_titles_and_names_of_an_indented_document_are_one_line() -> None:
    found = with_info(
        "<Title>\n  The\n  Title\n</Title><Series>A\n Series</Series><Number>1</Number>"
        "<Writer>Ann\n  Lee,\n  Bo Fox</Writer><Genre>Sea\n stories</Genre><Publisher>P\n Q</Publisher>"
        "<Summary>Two\nlines</Summary>"
    )
    assert (found.title, found.series[0].name, found.publisher) == ("The Title", "A Series", "P Q")
    assert ([author.name for author in found.authors], found.genres) == (
        ["Ann Lee", "Bo Fox"],
        ("Sea stories",),
    )
    assert found.description == "Two\nlines"


def test_a_suffix_belongs_to_a_person_and_to_nothing_else() -> None:
    found = with_info("<Writer>Ann Lee, Jr., Bo Fox</Writer><Tags>World War I, II</Tags>")
    assert [author.name for author in found.authors] == ["Ann Lee, Jr.", "Bo Fox"]
    assert found.tags == ("World War I", "II")


def chapters(found: ParsedFile) -> list[tuple[str, int | None]]:
    return [(chapter.title, chapter.start_page) for chapter in found.chapters]


def wanted(file_name: str, shisho: dict[str, Any]) -> dict[str, object]:
    number = (shisho["series_number"], shisho["series_number_end"], shisho["series_number_unit"])
    year = shisho["release_date"] or "-"
    lists = {
        key: tuple(shisho[key] or ()) for key in ("authors", "genres", "tags", "identifiers", "chapters")
    }
    texts = {key: shisho[key] or None for key in ("title", "description", "publisher", "url", "language")}
    values: dict[str, object] = {
        **lists,
        **texts,
        "series": (SeriesEntry(shisho["series"], *number),) if shisho["series"] else (),
        "release_date": None if year.startswith("-") else date.fromisoformat(year[:10]),
        "page_count": shisho["page_count"],
        "cover_page": shisho["cover_page"],
        "cover_mime_type": shisho["cover_mime_type"] or None,
    }
    return {**values, **ours("comicinfo", file_name, {})}


@pytest.mark.parametrize(
    ("case", "shisho"), load("comicinfo"), ids=[case["filename"] for case, _ in load("comicinfo")]
)
def test_reads_what_shisho_reads_but_for_named_differences(
    case: dict[str, Any], shisho: dict[str, Any]
) -> None:
    inner = case["comicinfo_inner_xml"]
    data = build_cbz(
        comic_info=None if inner is None else comic_info_xml(inner),
        comic_info_name=case["comicinfo_entry"],
        pages={
            page: build_page(format="PNG" if page.endswith("png") else "JPEG")
            for page in case["images_in_zip_order"]
        },
    )
    found = parsed(data, "/library/" + case["filename"])
    cover = found.load_cover() if found.load_cover else None
    expected = wanted(case["filename"], shisho)
    values = {key: getattr(found, key, None) for key in expected}
    assert values | {"cover_page": cover and cover.page, "cover_mime_type": cover and cover.mime} == expected


# The recorded names are pages in their order, which for an archive they need not be.
@pytest.mark.parametrize(("pages", "expected"), load("cbz_chapters"))
def test_finds_the_chapters_that_shisho_finds(pages: list[str], expected: list[dict[str, Any]]) -> None:
    found = find_chapters(pages, ())
    assert [{"title": chapter.title, "start_page": chapter.start_page} for chapter in found] == expected


COMPLETE = """
    <Title> The Long Way </Title><Series>Saga</Series><Number>1-3</Number><Volume>2012</Volume>
    <Summary>One &lt;b&gt;bold&lt;/b&gt; story &amp;amp; more</Summary>
    <Writer>Ann Lee, Bo Fox; Ann Lee</Writer><Penciller>Ann Lee</Penciller><Inker>I</Inker>
    <Colorist>C</Colorist><Letterer>L</Letterer><CoverArtist>V</CoverArtist><Editor>E</Editor>
    <Translator>T</Translator><Genre>Drama, Fantasy,, Drama</Genre><Tags>a; b</Tags>
    <Publisher>House</Publisher><Imprint>Small Press</Imprint>
    <Web>https://example.com/1 https://example.com/2</Web>
    <Year>2021</Year><Month>2</Month><Day>30</Day><LanguageISO>eng</LanguageISO><GTIN>978-0-316-76948-8</GTIN>
"""


def test_reads_every_element_of_comicinfo() -> None:
    found = with_info(COMPLETE, pages=2)
    assert replace(found, load_cover=None, load_page=None) == ParsedFile(
        source="cbz_metadata",
        title="The Long Way",
        description="One bold story & more",
        authors=(
            Author("Ann Lee", "writer"),
            Author("Bo Fox", "writer"),
            Author("Ann Lee", "penciller"),
            Author("I", "inker"),
            Author("C", "colorist"),
            Author("L", "letterer"),
            Author("V", "cover_artist"),
            Author("E", "editor"),
            Author("T", "translator"),
        ),
        series=(SeriesEntry("Saga", 1.0, 3.0),),
        genres=("Drama", "Fantasy"),
        tags=("a", "b"),
        url="https://example.com/1",
        release_date=date(2021, 3, 2),
        language="en",
        publisher="Small Press",
        identifiers=(Identifier("isbn_13", "9780316769488"),),
        page_count=2,
    )


@pytest.mark.parametrize(
    ("file_name", "elements", "series"),
    [
        ("x.cbz", "<Series>S</Series><Number>1.5</Number>", SeriesEntry("S", 1.5)),
        ("x.cbz", "<Series>S</Series><Number>-1</Number>", SeriesEntry("S", -1)),
        ("Foo c12.cbz", "<Series>S</Series><Number>7</Number>", SeriesEntry("S", 7)),
        ("Foo c12.cbz", "<Series>S</Series><Number>1a</Number>", SeriesEntry("S", 12, None, "chapter")),
        ("Foo v1-3 (2020) (Digital).CBZ", "<Series>S</Series>", SeriesEntry("S", 1, 3, "volume")),
        ("Mach 5.cbz", "<Series>S</Series>", SeriesEntry("S", 5, None, "volume")),
        ("Foo.cbz", "<Series>S</Series><Volume>4</Volume>", SeriesEntry("S", 4, None, "volume")),
        ("Foo v5.cbz", "<Series>S</Series><Volume>4</Volume>", SeriesEntry("S", 5, None, "volume")),
        ("Foo.cbz", "<Series>S</Series><Volume>2012</Volume><Count>6</Count>", SeriesEntry("S")),
        ("Foo.cbz", "<Series>S</Series><Volume>-1</Volume>", SeriesEntry("S")),
        ("Foo.cbz", "<Series>S</Series><Volume>4</Volume><Number>21</Number>", SeriesEntry("S", 21)),
        (
            "x 9.cbz",
            "<Series> </Series><AlternateSeries>B</AlternateSeries><AlternateNumber>2</AlternateNumber>",
            SeriesEntry("B", 2),
        ),
        (
            "x 9.cbz",
            "<Number>3</Number><AlternateSeries>B</AlternateSeries>",
            SeriesEntry("B"),
        ),
        (
            "x.cbz",
            "<Series>S</Series><Number>1</Number><AlternateSeries>B</AlternateSeries>",
            SeriesEntry("S", 1),
        ),
        ("x 9.cbz", "<Number>3</Number>", None),
    ],
)
def test_finds_series_and_number(file_name: str, elements: str, series: SeriesEntry | None) -> None:
    assert with_info(elements, "/library/" + file_name).series == ((series,) if series else ())


@pytest.mark.parametrize(
    ("elements", "field", "value"),
    [
        ("<GTIN>76194130593</GTIN>", "identifiers", (Identifier("other", "76194130593"),)),
        ("<Web>see http://a.example/x and http://b.example</Web>", "url", "http://a.example/x"),
        ("<Web> www.example.com </Web>", "url", "www.example.com"),
        ("<Web>https://a.example/1, https://b.example</Web>", "url", "https://a.example/1"),
        ("<Web>https://a.example/1,https://b.example;</Web>", "url", "https://a.example/1"),
        ("<Web>https://a.example/1,2?q=a,b</Web>", "url", "https://a.example/1,2?q=a,b"),
        ("<Publisher>House</Publisher><Imprint> </Imprint>", "publisher", "House"),
        ("<LanguageISO>und</LanguageISO>", "language", None),
        ("<Title></Title><Title>Second</Title><Title/>", "title", "Second"),
        ("<TITLE>Upper</TITLE>", "title", "Upper"),
        ("<c:Title xmlns:c='urn:comic'>Spaced</c:Title>", "title", "Spaced"),
        ("<Title><![CDATA[A <b> & c]]><!-- no --></Title>", "title", "A <b> & c"),
        ("<Deep><Title>Not this</Title></Deep>", "title", None),
        ("<Month>5</Month>", "release_date", None),
        ("<Manga>YesAndRightToLeft</Manga>", "genres", ("Manga",)),
        ("<Manga>Yes</Manga><Genre>Drama</Genre>", "genres", ("Drama", "Manga")),
        ("<Manga>Yes</Manga><Genre>manga, Drama</Genre>", "genres", ("manga", "Drama")),
        ("<Manga>No</Manga>", "genres", ()),
        ("<Manga>Unknown</Manga>", "genres", ()),
    ],
)
def test_reads_unusual_elements(elements: str, field: str, value: object) -> None:
    assert getattr(with_info(elements), field) == value


@pytest.mark.parametrize("entry", ["ComicInfo.xml", "comicinfo.XML", "COMICINFO.XML"])
def test_finds_comicinfo_in_any_letter_case(entry: str) -> None:
    data = build_cbz(comic_info=comic_info_xml("<Title>T</Title>"), comic_info_name=entry)
    assert parsed(data).title == "T"


def test_reads_comicinfo_in_utf_16() -> None:
    text = "<?xml version='1.0' encoding='utf-16'?><ComicInfo><Title>スパイ</Title></ComicInfo>"
    assert parsed(build_cbz(comic_info=text.encode("utf-16"))).title == "スパイ"


def test_damaged_comicinfo_gives_what_is_readable_and_a_warning() -> None:
    found = parsed(build_cbz(comic_info="<ComicInfo><Title>Whole</Title><Genre>Cut", pages=4))
    assert (found.title, found.page_count, len(found.warnings)) == ("Whole", 4, 1)


@pytest.mark.parametrize("text", ["", "no xml at all", b"\xff\xfe\x00", "<"])
def test_hopeless_comicinfo_leaves_the_pages_and_a_warning(text: str | bytes) -> None:
    found = parsed(build_cbz(comic_info=text, pages=4))
    assert (found.title, found.page_count, len(found.warnings)) == (None, 4, 1)


def test_comicinfo_with_a_wrong_checksum_leaves_the_pages_and_a_warning() -> None:
    data = bytearray(build_cbz(comic_info=comic_info_xml("<Title>T</Title>"), pages=4))
    directory_entry = data.index(b"PK\1\2")
    data[directory_entry + 16] ^= 0xFF
    found = parsed(bytes(data))
    assert (found.title, found.page_count, len(found.warnings)) == (None, 4, 1)


def test_pages_are_images_in_byte_order_without_junk() -> None:
    names = ["p10.jpg", "p2.jpg", "P1.JPEG", "b/1.webp", "b/2.gif", "é.png"]
    junk = ["__MACOSX/._p2.jpg", ".hidden.png", "b/.thumbs/1.jpg", "Thumbs.db", "notes.txt", "c.jpg/"]
    shades = {name: build_page(shade=10 * place) for place, name in enumerate(names)}
    for index, name in enumerate(["P1.JPEG", "b/1.webp", "b/2.gif", "p10.jpg", "p2.jpg", "é.png"]):
        marks = f'<Pages><Page Image="{index}" Type="FrontCover"/></Pages>'
        found = parsed(
            build_cbz(comic_info=comic_info_xml(marks), pages=shades, extra=dict.fromkeys(junk, b""))
        )
        assert found.page_count == 6
        assert found.load_cover is not None
        cover = found.load_cover()
        assert cover is not None
        assert (cover.page, cover.data) == (index, shades[name])


def test_junk_makes_no_chapters() -> None:
    names = ["a/1.jpg", "__MACOSX/a/._1.jpg", ".cache/1.jpg"]
    assert chapters(parsed(build_cbz(pages=dict.fromkeys(names, PAGE)))) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["batch 1.jpg", "batch 2.jpg"], []),
        (["branch01.jpg", "branch02.jpg", "ch 7.jpg"], []),
        (["第ch1.jpg", "第ch2.jpg"], [("Chapter 1", 0), ("Chapter 2", 1)]),
        (["01ch1.jpg", "02ch2.jpg"], [("Chapter 1", 0), ("Chapter 2", 1)]),
        (["ch1.jpg", "ch1b.jpg"], []),
        (["ch" + "9" * 5000 + ".jpg", "ch1.jpg"], []),
        (["a/1.jpg", "a/2.jpg"], []),
        (["cover.jpg", "a/1.jpg"], []),
        (["A/Ch 1/1.jpg", "B/Ch 1/1.jpg"], [("Ch 1", 0), ("Ch 1", 1)]),
        (["a/x.jpg", "a/b/1.jpg"], [("b", 0), ("a", 1)]),
    ],
)
def test_finds_chapters_in_names(names: list[str], expected: list[tuple[str, int]]) -> None:
    assert chapters(parsed(build_cbz(pages=dict.fromkeys(names, PAGE)))) == expected


def test_bookmarks_beat_folders() -> None:
    marks = """<Pages><Page Image="2" Bookmark=" Two "/><Page Image="0" Bookmark="One"/><Page Image="1"/>
        <Page Image="2" Bookmark="Two"/><Page Image="9" Bookmark="Outside"/>
        <Page Image="x" Bookmark="No"/></Pages>"""
    found = with_info(marks, pages=dict.fromkeys(["a/1.jpg", "a/2.jpg", "b/1.jpg"], PAGE))
    assert found.chapters == (Chapter("One", start_page=0), Chapter("Two", start_page=2))


def test_empty_bookmarks_leave_the_folders() -> None:
    marks = '<Pages><Page Image="0" Bookmark=""/></Pages>'
    found = with_info(marks, pages=dict.fromkeys(["a/1.jpg", "b/1.jpg"], PAGE))
    assert chapters(found) == [("a", 0), ("b", 1)]


@pytest.mark.parametrize(
    ("marks", "page"),
    [
        ("", 0),
        ('<Page Image="1" Type="FrontCover"/>', 1),
        ('<Page Image="1" Type="innercover"/><Page Image="2" Type="FRONTCOVER"/>', 2),
        ('<Page Image="2" Type="Story FrontCover"/>', 2),
        ('<Page Image="7" Type="FrontCover"/><Page Image="1" Type="InnerCover"/>', 1),
        ('<Page Image="-1" Type="FrontCover"/>', 0),
        ('<page image="2" type="FrontCover"/>', 2),
    ],
)
def test_finds_the_cover_page(marks: str, page: int) -> None:
    found = with_info(f"<Pages>{marks}</Pages>")
    assert found.load_cover is not None
    cover = found.load_cover()
    assert cover is not None
    assert cover.page == page


def test_a_broken_cover_page_falls_on_to_the_next_candidate() -> None:
    marks = '<Pages><Page Image="1" Type="FrontCover"/><Page Image="2" Type="InnerCover"/></Pages>'
    found = with_info(marks, pages={"1.jpg": PAGE, "2.jpg": b"broken", "3.jpg": PAGE})
    assert found.load_cover is not None
    cover = found.load_cover()
    assert cover is not None
    assert cover.page == 2


def test_a_comic_without_a_sound_cover_says_why() -> None:
    found = parsed(build_cbz(pages={"1.jpg": b"broken"}))
    assert found.load_cover is not None
    with pytest.raises(UnreadableFile, match=r"comic\.cbz"):
        found.load_cover()


def test_a_comic_without_pages_has_no_cover() -> None:
    found = parsed(build_cbz(pages=0))
    assert (found.page_count, found.load_cover) == (None, None)


@pytest.mark.parametrize("data", [b"", b"PK", b"Rar!" * 100, build_cbz()[:-60]])
def test_what_is_no_archive_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"/library/comic\.cbz"):
        parsed(data)


LOL = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    ("elements", "limits"),
    [
        ("<Genre>" + ",".join(map(str, range(2001))) + "</Genre>", Limits()),
        ("<Writer>" + ",".join(map(str, range(2001))) + "</Writer>", Limits()),
        ("<Pages>" + '<Page Image="0"/>' * 200_001 + "</Pages>", Limits()),
        ("".join(["<a>"] * 101 + ["</a>"] * 101), Limits()),
        ("<Summary>" + "x" * 9_000_000 + "</Summary>", Limits()),
        (
            '<Pages><Page Image="0" Bookmark="a"/><Page Image="1" Bookmark="b"/></Pages>',
            Limits(max_chapters=1),
        ),
    ],
    ids=["genres", "people", "nodes", "depth", "bytes", "chapters"],
)
def test_what_breaches_a_limit_is_refused_by_name(elements: str, limits: Limits) -> None:
    with pytest.raises(LimitExceeded, match=r"/library/comic\.cbz"):
        parsed(build_cbz(comic_info=comic_info_xml(elements)), limits=limits)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        parsed(build_cbz(pages=6), limits=Limits(max_archive_entries=5))


def test_an_entity_bomb_ends_as_a_short_title() -> None:
    text = f'<!DOCTYPE c [<!ENTITY l0 "lol">{LOL}]><ComicInfo><Title>&l9;</Title></ComicInfo>'
    found = parsed(build_cbz(comic_info=text))
    assert len(found.title or "") < 100


def test_a_page_bomb_costs_the_cover_only() -> None:
    found = parsed(build_cbz(pages={"1.jpg": PAGE + bytes(40 * 1024**2)}))
    assert found.page_count == 1
    assert found.load_cover is not None
    with pytest.raises(LimitExceeded):
        found.load_cover()


def test_long_texts_are_cut() -> None:
    found = with_info(f"<Title>{'é' * 70_000}</Title><Series>{'s' * 70_000}</Series>")
    assert len((found.title or "").encode()) == Limits().max_scalar_bytes
    assert len(found.series[0].name) == Limits().max_scalar_bytes


@pytest.mark.parametrize("position", range(0, 900, 7))
def test_damage_anywhere_ends_in_values_or_in_an_error_of_ours(position: int) -> None:
    data = bytearray(build_cbz(comic_info=comic_info_xml(COMPLETE), pages=2))
    data[position % len(data)] ^= 0x55
    try:
        found = parsed(bytes(data))
        if found.load_cover:
            found.load_cover()
    except MediaError:
        pass


def test_leaves_the_file_open() -> None:
    file = io.BytesIO(build_cbz())
    parse_cbz(file, "x.cbz", Limits())
    assert zipfile.is_zipfile(file)


@pytest.mark.parametrize(
    ("names", "cover"),
    [
        (["page 10.jpg", "page 9.jpg", "page 11.jpg"], "page 9.jpg"),
        (["Ch 10/001.jpg", "Ch 9/001.jpg", "Ch 9/002.jpg"], "Ch 9/001.jpg"),
        (["2.jpg", "10.jpg", "1.png"], "1.png"),
        (["b.jpg", "page 1.jpg", "a 10.jpg"], "a 10.jpg"),
        (["cover.jpg", "cover1.jpg"], "cover.jpg"),
        (["P2.jpg", "p1.jpg"], "P2.jpg"),
    ],
)
def test_the_first_page_goes_by_number_where_only_numbers_differ(names: list[str], cover: str) -> None:
    pages = {name: build_page(shade=10 * place) for place, name in enumerate(names)}
    found = parsed(build_cbz(pages=pages))
    assert found.load_cover is not None
    image = found.load_cover()
    assert image is not None
    assert (image.data, image.page) == (pages[cover], sorted(names).index(cover))


COMIC_BOOK_INFO = {
    "appID": "X",
    "ComicBookInfo/1.0": {
        "series": "Watchmen",
        "title": "At Midnight",
        "publisher": "DC",
        "publicationMonth": 9,
        "publicationYear": 1986,
        "issue": 1,
        "volume": 1,
        "language": "English",
        "genre": "Superhero",
        "tags": ["Rorschach", 7],
        "comments": "Tales...",
        "credits": [
            {"person": "Moore, Alan", "role": "Writer", "primary": True},
            {"person": "Dave Gibbons", "role": "Artist"},
            {"person": "Len Wein", "role": "Editor"},
            {"person": "Somebody", "role": "Printer"},
        ],
    },
}


def commented(comment: bytes, **more: Any) -> bytes:
    buffer = io.BytesIO(build_cbz(**more))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = comment
    return buffer.getvalue()


def test_comicbookinfo_in_the_archives_comment_is_read() -> None:
    found = parsed(commented(json.dumps(COMIC_BOOK_INFO).encode()))
    assert (found.title, found.publisher, found.description) == ("At Midnight", "DC", "Tales...")
    assert found.series == (SeriesEntry("Watchmen", 1),)
    assert found.authors == (
        Author("Alan Moore", "writer"),
        Author("Dave Gibbons", "penciller"),
        Author("Len Wein", "editor"),
    )
    assert (found.genres, found.tags, found.release_date) == (
        ("Superhero",),
        ("Rorschach",),
        date(1986, 9, 1),
    )


def test_comicinfo_counts_before_comicbookinfo() -> None:
    info = comic_info_xml("<Genre>Drama</Genre>")
    found = parsed(commented(json.dumps(COMIC_BOOK_INFO).encode(), comic_info=info))
    assert (found.title, found.genres) == (None, ("Drama",))


@pytest.mark.parametrize(
    ("comment", "warnings"),
    [
        (b"Scanned by somebody", 0),
        (b'"ComicBookInfo/1.0": {', 1),
        (b'{"ComicBookInfo/1.0": 7}', 1),
        (b'{"ComicBookInfo/1.0": {"credits": [7], "tags": 7}}', 1),
        (b"[" * 60_000 + b"ComicBookInfo/1.0", 1),
    ],
)
def test_a_comment_that_is_no_comicbookinfo_leaves_the_pages(comment: bytes, warnings: int) -> None:
    found = parsed(commented(comment))
    assert (found.title, found.page_count, len(found.warnings)) == (None, 3, warnings)


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"Rar!\x1a\x07\x01\x00", "RAR"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"%PDF-1.7", "PDF")],
)
def test_an_archive_of_another_kind_is_refused_by_its_name(data: bytes, what: str) -> None:
    with pytest.raises(UnreadableFile, match=f"not a ZIP archive but a {what}"):
        parsed(data + bytes(2_000))
