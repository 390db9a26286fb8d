from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasette_shisho_resync.model import (
    Author,
    Chapter,
    Identifier,
    Limits,
    ParsedFile,
    SeriesEntry,
    SidecarReading,
)
from datasette_shisho_resync.parsers.sidecar import (
    BookSidecar,
    FileSidecar,
    SidecarPerson,
    SidecarSeries,
    book_sidecar_path,
    file_sidecar_path,
    parse_sidecar,
    render_book_sidecar,
    render_file_sidecar,
)
from datasette_shisho_resync.values import ROLES

LIMITS = Limits()
LAW = settings(deadline=None, derandomize=True)


def read(content: object, limits: Limits = LIMITS) -> SidecarReading:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_sidecar(data, "/lib/a.epub.metadata.json", limits)


def parsed(content: object) -> ParsedFile:
    reading = read(content)
    assert reading.error is None
    assert reading.parsed is not None
    return reading.parsed


# Reading


def test_all_keys_of_a_book_are_read() -> None:
    book = parsed(
        {
            "version": 1,
            "title": "T",
            "sort_title": "never read",
            "subtitle": "S",
            "description": "D <b>",
            "authors": [{"name": "A", "sort_name": "Z, A", "sort_order": 1, "role": "writer"}, "B"],
            "series": [{"name": "Saga", "sort_name": "x", "number": 1.5, "unit": "volume", "sort_order": 1}],
            "genres": ["G"],
            "tags": ["X"],
        }
    )

    assert book == ParsedFile(
        "sidecar",
        title="T",
        subtitle="S",
        description="D <b>",
        authors=(Author("A", "writer"), Author("B")),
        series=(SeriesEntry("Saga", 1.5, None, "volume"),),
        genres=("G",),
        tags=("X",),
    )
    assert book.authors[0].sort_name == "Z, A"


def test_all_keys_of_a_file_are_read() -> None:
    assert parsed(
        {
            "name": "N",
            "narrators": [{"name": "R", "sort_name": "r", "sort_order": 1}],
            "publisher": "P",
            "url": "https://example.org",
            "release_date": "2015-08-04",
            "identifiers": [{"type": "isbn_13", "value": "978-0316229296"}],
            "chapters": [{"title": "1", "start_page": 0, "children": [{"title": "1.1"}]}],
            "cover_page": 2,
            "language": "eng",
            "abridged": False,
        }
    ) == ParsedFile(
        "sidecar",
        name="N",
        narrators=("R",),
        publisher="P",
        url="https://example.org",
        release_date=date(2015, 8, 4),
        identifiers=(Identifier("isbn_13", "9780316229296"),),
        chapters=(Chapter("1", start_page=0, children=(Chapter("1.1"),)),),
        language="en",
        abridged=False,
        cover_page=2,
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{", "is not valid JSON"),
        (b'{"title": "\xff"}', "is not valid JSON"),
        (b'{"title": NaN}', "is not valid JSON"),
        (b'{"unknown": -Infinity}', "is not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b"[" * 200_000, "is nested too deep"),
        (b'{"a":' * 200_000, "is nested too deep"),
        (b"[" + b"{}," * 400_000 + b"{}]", "holds more than 300,000 items"),
    ],
)
def test_a_sidecar_that_is_unusable_as_a_whole_says_why(data: bytes, error: str) -> None:
    reading = read(data)

    assert reading.parsed is None
    assert reading.error == error
    assert reading.data == data


@pytest.mark.parametrize("data", [b"", b"\n", b"\0" * 400])
def test_an_empty_sidecar_says_nothing(data: bytes) -> None:
    reading = read(data)

    assert (reading.parsed, reading.error) == (ParsedFile("sidecar"), None)


def test_a_sidecar_over_the_limit_is_not_parsed() -> None:
    assert (
        read(b'{"title": "T"}', Limits(max_sidecar_bytes=5)).error
        == "is larger than max_sidecar_bytes (5 bytes)"
    )


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ({"subtitle": 5}, "In the sidecar, subtitle must be text; it was left out."),
        ({"release_date": "2015-13-01"}, "In the sidecar, release_date is not a date; it was left out."),
        ({"release_date": 2015}, "In the sidecar, release_date must be text; it was left out."),
        ({"abridged": "no"}, "In the sidecar, abridged must be true or false; it was left out."),
        ({"genres": {}}, "In the sidecar, genres must be a list; it was left out."),
    ],
)
def test_one_bad_value_is_left_out_with_a_warning(content: dict[str, Any], warning: str) -> None:
    assert parsed({"title": "T", **content}) == ParsedFile("sidecar", title="T", warnings=(warning,))


NO_NAME = "has an entry that is neither a name nor an object with a name"
ISBN, ISBN_ENTRY = Identifier("isbn_13", "9780316229296"), {"type": "isbn_13", "value": "9780316229296"}


@pytest.mark.parametrize(
    ("key", "entries", "kept", "what"),
    [
        ("genres", ["SF", 5, "Fantasy"], ("SF", "Fantasy"), f"{NO_NAME}; entry 2 was left out."),
        ("tags", [None, "a", [], {"tag": "b"}], ("a",), f"{NO_NAME}; entries 1, 3, 4 were left out."),
        ("genres", ["a", *[0] * 9], ("a",), f"{NO_NAME}; entries 2, 3, 4, 5 … were left out."),
        ("genres", [0], (), f"{NO_NAME}; entry 1 was left out."),
        (
            "narrators",
            [{"name": 5}, "N"],
            ("N",),
            "has an entry whose name must be text; entry 1 was left out.",
        ),
        (
            "authors",
            [{"name": "A"}, {"name": "B", "role": "hero"}],
            (Author("A"),),
            "has an entry with an unknown role; entry 2 was left out.",
        ),
        (
            "identifiers",
            [ISBN_ENTRY, "978"],
            (ISBN,),
            "has an entry that is not an object; entry 2 was left out.",
        ),
    ],
)
def test_one_bad_entry_leaves_the_others_of_a_list(
    key: str, entries: list[Any], kept: tuple[Any, ...], what: str
) -> None:
    found = parsed({key: entries})

    assert getattr(found, key) == kept
    assert found.warnings == (f"In the sidecar, {key} {what}",)


def test_a_list_is_told_everything_that_is_wrong_in_it() -> None:
    found = parsed({"authors": ["A", 5, {"name": "B", "role": "hero"}]})

    assert found.authors == (Author("A"),)
    assert len(found.warnings) == 2


def test_a_list_of_too_many_entries_is_left_out_as_a_whole() -> None:
    found = parse_sidecar(b'{"genres": ["a", 5, "c"]}', "x", Limits(max_list_entries=2)).parsed

    assert found is not None
    assert found.genres == ()
    assert "max_list_entries (2)" in found.warnings[0]


@pytest.mark.parametrize(
    "numbers",
    [{"number_end": 2}, {"number": 2, "number_end": 2}, {"unit": "volume"}, {"number": 1, "unit": "x"}],
)
def test_one_malformed_number_group_rejects_the_whole_series_list(numbers: dict[str, Any]) -> None:
    found = parsed({"series": [{"name": "Good", "number": 1}, {"name": "Bad", **numbers}]})

    assert found.series == ()
    assert len(found.warnings) == 1


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b'\xef\xbb\xbf{"title": "marked"}', "marked"),
        ('{"title": "wide é"}'.encode("utf-16"), "wide é"),
        (b'{"title": "first", "title": "last"}', "last"),
        (b'{"title": "a\\ud800b"}', "ab"),
        (b'{"title": null}', None),
        (b'{"title": "  "}', None),
        (b'{"title": "T", "unknown": ' + b"9" * 100_000 + b"}", "T"),
        (b'{"title": "T", "version": 99}', "T"),
    ],
)
def test_odd_but_valid_json_is_understood(data: bytes, title: str | None) -> None:
    assert parsed(data) == ParsedFile("sidecar", title=title)


@pytest.mark.parametrize("number", ["9" * 5_000, "1e999", "9" * 18 + "e300"])
def test_a_number_beyond_all_bounds_is_left_out(number: str) -> None:
    found = parsed(b'{"series": [{"name": "S", "number": %s}]}' % number.encode())

    assert found.series == ()
    assert found.warnings == (
        "In the sidecar, series has an entry whose number is out of range; it was left out.",
    )


def test_the_hash_is_that_of_the_bytes() -> None:
    assert read(b"{}").sha256 == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@LAW
@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    reading = read(data)

    assert (reading.parsed is None) == (reading.error is not None)


# Chapters that Shisho wrote both nested and again at the top

A1, A2, B1 = (Chapter(name, href=f"{name}.xhtml") for name in ("a1", "a2", "b1"))
A = Chapter("a", href="a.xhtml", children=(A1, A2))
B = Chapter("b", href="b.xhtml", children=(B1,))
DEEP = Chapter("top", children=(Chapter("mid", start_page=1, children=(Chapter("low", start_page=2),)),))
PART = Chapter("Part", href="p", children=(Chapter("Part", href="p"), A1))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ((A, B), (A, B)),
        ((A, A1, B, A2, B1), (A, B)),
        ((A, B, A1, B1, A2, A1, A2, B1), (A, B)),
        ((A, replace(A1, href="elsewhere")), (A, replace(A1, href="elsewhere"))),
        ((A1, A1), (A1, A1)),
        ((PART, Chapter("Part", href="p"), A1), (PART,)),
        ((PART, B), (PART, B)),
        (
            (
                replace(DEEP, children=(replace(DEEP.children[0], children=()),)),
                DEEP.children[0],
                DEEP.children[0].children[0],
            ),
            (DEEP,),
        ),
    ],
    ids=["none", "once", "grown", "other place", "flat", "named as its part", "part alone", "three levels"],
)
def test_a_top_level_repeat_of_a_nested_chapter_is_dropped(
    written: tuple[Chapter, ...], expected: tuple[Chapter, ...]
) -> None:
    assert parsed(render_file_sidecar(FileSidecar(chapters=written))).chapters == expected


def test_a_chain_of_repeats_ends() -> None:
    links = tuple(Chapter(str(n), children=(Chapter(str(n + 1)),)) for n in range(2_000))

    assert parsed(render_file_sidecar(FileSidecar(chapters=links))).chapters[0].title == "0"


# Writing


def test_a_book_sidecar_has_shishos_keys_in_shishos_order() -> None:
    book = BookSidecar(
        title="Die Wand – “übersetzt”",
        sort_title="Wand, Die",
        authors=(SidecarPerson("A B", "B, A"), SidecarPerson("C", None, "editor")),
        series=(SidecarSeries("Saga", "Saga", 1.0, 2.5, "volume"),),
        genres=("b", "a"),
        tags=("é", "z"),
    )

    assert (
        render_book_sidecar(book).decode()
        == """{
  "version": 1,
  "title": "Die Wand – “übersetzt”",
  "sort_title": "Wand, Die",
  "authors": [
    {
      "name": "A B",
      "sort_name": "B, A",
      "sort_order": 1
    },
    {
      "name": "C",
      "sort_order": 2,
      "role": "editor"
    }
  ],
  "series": [
    {
      "name": "Saga",
      "sort_name": "Saga",
      "number": 1,
      "number_end": 2.5,
      "unit": "volume",
      "sort_order": 1
    }
  ],
  "genres": [
    "a",
    "b"
  ],
  "tags": [
    "z",
    "é"
  ]
}"""
    )


def test_a_file_sidecar_keeps_zero_and_false_and_leaves_out_what_is_empty() -> None:
    file = FileSidecar(
        name="",
        release_date=date(2015, 8, 4),
        identifiers=(Identifier("asin", "B00"),),
        chapters=(Chapter('"1"\n', start_timestamp_ms=0),),
        cover_page=0,
        abridged=False,
    )

    assert (
        render_file_sidecar(file).decode()
        == r"""{
  "version": 1,
  "release_date": "2015-08-04",
  "identifiers": [
    {
      "type": "asin",
      "value": "B00"
    }
  ],
  "chapters": [
    {
      "title": "\"1\"\n",
      "start_timestamp_ms": 0
    }
  ],
  "cover_page": 0,
  "abridged": false
}"""
    )


def test_text_that_cannot_be_encoded_is_written_all_the_same() -> None:
    assert parsed(render_book_sidecar(BookSidecar(title="a\ud800"))).title == "a?"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cn", "Zs", "Zl", "Zp")), min_size=1)
MAYBE = st.none() | TEXT
NUMBER = st.floats(0, 1e9, allow_nan=False)
GROUP = (
    st.just((None, None, None))
    | st.tuples(NUMBER, st.none(), st.sampled_from([None, "volume", "chapter"]))
    | st.tuples(NUMBER, NUMBER, st.none()).filter(lambda group: group[1] > group[0])
)
BOOKS = st.builds(
    BookSidecar,
    title=MAYBE,
    sort_title=MAYBE,
    subtitle=MAYBE,
    description=MAYBE,
    authors=st.lists(
        st.builds(SidecarPerson, TEXT, MAYBE, st.none() | st.sampled_from(sorted(ROLES))), max_size=3
    ).map(tuple),
    series=st.lists(
        st.tuples(TEXT, MAYBE, GROUP).map(lambda entry: SidecarSeries(entry[0], entry[1], *entry[2])),
        max_size=2,
    ).map(tuple),
    genres=st.lists(TEXT, max_size=3).map(lambda names: tuple(sorted(names))),
    tags=st.lists(TEXT, max_size=3).map(lambda names: tuple(sorted(names))),
)


@LAW
@given(BOOKS)
def test_reading_a_book_sidecar_gives_what_was_written(book: BookSidecar) -> None:
    found = parsed(render_book_sidecar(book))

    assert found == ParsedFile(
        "sidecar",
        title=book.title,
        subtitle=book.subtitle,
        description=book.description,
        authors=tuple(Author(person.name, person.role) for person in book.authors),
        series=tuple(SeriesEntry(s.name, s.number, s.number_end, s.unit) for s in book.series),
        genres=book.genres,
        tags=book.tags,
    )
    assert [author.sort_name for author in found.authors] == [person.sort_name for person in book.authors]


PLACES: st.SearchStrategy[dict[str, Any]] = (
    st.just({})
    | st.fixed_dictionaries({"start_page": st.integers(0, 2**40)})
    | st.fixed_dictionaries({"start_timestamp_ms": st.integers(0, 2**40)})
    | st.fixed_dictionaries({"href": TEXT})
)


def chapter_lists(depth: int) -> st.SearchStrategy[tuple[Chapter, ...]]:
    below = chapter_lists(depth - 1) if depth else st.just(())
    chapter = st.builds(
        lambda title, place, children: Chapter(title, **place, children=children), TEXT, PLACES, below
    )
    return st.lists(chapter, max_size=2).map(tuple)


def numbered(chapters: tuple[Chapter, ...], prefix: str = "") -> tuple[Chapter, ...]:
    """Give every chapter a title of its own, so that none repeats another."""
    return tuple(
        replace(c, title=f"{prefix}{n} {c.title}", children=numbered(c.children, f"{prefix}{n}."))
        for n, c in enumerate(chapters)
    )


FILES = st.builds(
    FileSidecar,
    name=MAYBE,
    narrators=st.lists(st.builds(SidecarPerson, TEXT, MAYBE), max_size=2).map(tuple),
    publisher=MAYBE,
    url=MAYBE,
    release_date=st.none() | st.dates(),
    identifiers=st.dictionaries(st.sampled_from(["goodreads", "google", "other"]), TEXT).map(
        lambda found: tuple(Identifier(*item) for item in found.items())
    ),
    chapters=chapter_lists(2).map(numbered),
    cover_page=st.none() | st.integers(0, 99),
    language=st.sampled_from([None, "en", "pt-BR"]),
    abridged=st.none() | st.booleans(),
)


@LAW
@given(FILES)
def test_reading_a_file_sidecar_gives_what_was_written(file: FileSidecar) -> None:
    assert parsed(render_file_sidecar(file)) == ParsedFile(
        "sidecar",
        name=file.name,
        narrators=tuple(person.name for person in file.narrators),
        publisher=file.publisher,
        url=file.url,
        release_date=file.release_date,
        identifiers=file.identifiers,
        chapters=file.chapters,
        language=file.language,
        abridged=file.abridged,
        cover_page=file.cover_page,
    )


@LAW
@given(FILES, BOOKS)
def test_a_sidecar_is_json_indented_by_two_spaces(file: FileSidecar, book: BookSidecar) -> None:
    for data in (render_file_sidecar(file), render_book_sidecar(book)):
        assert json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode() == data


# Where sidecars are


def test_a_files_sidecar_lies_beside_it() -> None:
    assert file_sidecar_path("/lib/B/b.epub") == "/lib/B/b.epub.metadata.json"


@pytest.mark.parametrize(
    ("book_path", "main_file", "is_folder", "expected"),
    [
        ("/lib/[A] B", "/lib/[A] B/b.epub", True, "/lib/[A] B/[A] B.metadata.json"),
        ("/lib/[A] B/", "/lib/[A] B/b.epub", True, "/lib/[A] B/[A] B.metadata.json"),
        ("/lib/v1.5", "/lib/v1.5/b.epub", True, "/lib/v1.5/v1.5.metadata.json"),
        ("/lib/[A] B", "/lib/b.x.epub", False, "/lib/b.x.metadata.json"),
        ("/lib/b.epub", "/lib/b.epub", False, "/lib/b.metadata.json"),
    ],
)
def test_a_books_sidecar_lies_in_its_folder_or_beside_its_first_file(
    book_path: str, main_file: str, is_folder: bool, expected: str
) -> None:
    assert book_sidecar_path(book_path, main_file, is_folder) == expected
