from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from typing import Any

import pytest
from library import Library

from datasette_shisho_resync.errors import UnknownRow
from datasette_shisho_resync.model import (
    Author,
    Chapter,
    Identifier,
    Identities,
    Identity,
    SeriesEntry,
    Snapshot,
    Stored,
    Target,
)
from datasette_shisho_resync.resync import find_brief
from datasette_shisho_resync.store.schema import library_schema
from datasette_shisho_resync.store.snapshot import (
    find_entity,
    library_paths,
    load_snapshot,
    resolve_names,
    series_of_book,
)

BOOK, FILE = Target("books", 1), Target("files", 1)


def snapshot(library: Library, sidecars: tuple[str, ...] = ()) -> Snapshot:
    schema = library_schema(library.conn)
    return load_snapshot(library.conn, schema, find_brief(library.conn, BOOK), [1], sidecars)


@pytest.fixture
def bare(library: Library) -> Library:
    """A library with a book and a file whose media is not there."""
    library.add_file(library.add_book(), "a.epub")
    return library


def test_a_brief_has_the_files_in_type_then_id_order(bare: Library) -> None:
    for name in ("b.pdf", "c.cbz", "d.epub"):
        bare.add_file(1, name)
    brief = find_brief(bare.conn, Target("files", 2))
    assert [f.file_type for f in brief.files] == ["cbz", "epub", "epub", "pdf"]
    assert (brief.roots, brief.library_name) == ((str(bare.root),), "Books")
    assert brief.file(2).is_main


def test_a_file_without_a_book_stands_alone(bare: Library) -> None:
    bare.conn.execute("delete from books")
    brief = find_brief(bare.conn, FILE)
    assert (brief.book, len(brief.files)) == (None, 1)
    assert snapshot_of_orphan(bare).book == {}


def snapshot_of_orphan(library: Library) -> Snapshot:
    return load_snapshot(library.conn, library_schema(library.conn), find_brief(library.conn, FILE), [1], ())


def test_a_file_that_goes_while_its_book_is_looked_up_is_unknown(bare: Library) -> None:
    with closing(sqlite3.connect(bare.path, isolation_level=None)) as other:

        def remove(statement: str) -> None:
            if "from books" in statement:
                other.execute("delete from files")

        bare.conn.set_trace_callback(remove)
        brief = find_brief(bare.conn, FILE)
        bare.conn.set_trace_callback(None)
    with pytest.raises(UnknownRow):
        brief.file(1)


def test_an_unknown_row_is_reported(library: Library) -> None:
    for target in (BOOK, FILE):
        with pytest.raises(UnknownRow):
            find_brief(library.conn, target)


def test_paths_keep_their_bytes(bare: Library) -> None:
    bare.add_file(1, b"\xff.epub")
    assert find_brief(bare.conn, BOOK).files[1].path.endswith("/\udcff.epub")


def test_all_paths_or_those_of_one_library(bare: Library) -> None:
    bare.add("library_paths", library_id="2", filepath="/other")
    assert library_paths(bare.conn) == (str(bare.root), "/other")
    assert library_paths(bare.conn, 2) == ("/other",)


@pytest.mark.parametrize(
    ("field", "columns", "expected"),
    [
        ("release_date", {"release_date": "2020-02-03 00:00:00+00:00"}, date(2020, 2, 3)),
        ("release_date", {"release_date": "2020-02-03 23:30:00-02:00"}, date(2020, 2, 4)),
        ("release_date", {"release_date": "soon"}, None),
        ("abridged", {"abridged": 0}, False),
        ("abridged", {"abridged": None}, None),
        ("page_count", {"page_count": 0}, 0),
        ("page_count", {"page_count": "many"}, "many"),
        ("audiobook_duration_seconds", {"audiobook_duration_seconds": 3}, 3.0),
        ("audiobook_duration_seconds", {"audiobook_duration_seconds": "long"}, "long"),
        ("url", {"url": ""}, None),
        ("url", {"url": memoryview(b"caf\xe9")}, "caf\udce9"),
        ("publisher", {"publisher_id": 99}, None),
    ],
)
def test_scalars_are_read_as_values(
    bare: Library, field: str, columns: dict[str, Any], expected: object
) -> None:
    bare.edit("files", **columns)
    assert snapshot(bare).files[1][field].value == expected


def test_a_publisher_is_its_name(bare: Library) -> None:
    publisher = bare.add("publishers", library_id=1, name="Press")
    bare.edit("files", publisher_id=publisher, publisher_source="manual")
    stored = snapshot(bare).files[1]["publisher"]
    assert (stored, stored.raw) == (Stored("Press", "manual"), {"id": publisher, "name": "Press"})


def person(library: Library, name: str) -> int:
    return library.add("persons", library_id=1, name=name, sort_name=name, sort_name_source="filepath")


def test_authors_come_in_order_with_their_roles(bare: Library) -> None:
    bare.add("authors", book_id=1, person_id=person(bare, "Second"), sort_order=2, role="editor")
    bare.add("authors", book_id=1, person_id=person(bare, "First"), sort_order=1, role="")
    found = snapshot(bare)
    assert found.book["authors"].value == (Author("First"), Author("Second", "editor"))
    assert (found.identities.key("persons", "SECOND"), found.identities.key("persons", "New ")) == (1, "new")


def test_the_source_of_series_is_that_of_the_first_row(bare: Library) -> None:
    for order, name in enumerate(("S", "T"), 1):
        series = bare.add(
            "series", library_id=1, name=name, name_source=name, sort_name="", sort_name_source=""
        )
        bare.add("book_series", book_id=1, series_id=series, sort_order=order, series_number=order)
    stored = snapshot(bare).book["series"]
    assert (stored.value, stored.source) == ((SeriesEntry("S", 1.0), SeriesEntry("T", 2.0)), "S")
    assert series_of_book(bare.conn, library_schema(bare.conn), 1) == {1, 2}


def test_chapters_become_a_tree_whatever_the_order_of_their_rows(bare: Library) -> None:
    bare.add("chapters", id=9, file_id=1, sort_order=1, title="Two", href="two")
    bare.add("chapters", id=5, file_id=1, sort_order=0, title="In two", parent_id=9, start_page=0)
    bare.add("chapters", id=7, file_id=1, sort_order=0, title="One", parent_id=999, start_timestamp_ms=0)
    assert snapshot(bare).files[1]["chapters"].value == (
        Chapter("One", start_timestamp_ms=0),
        Chapter("Two", href="two", children=(Chapter("In two", start_page=0),)),
    )


@pytest.mark.parametrize("parents", [{1: 2, 2: 1}, {1: 1}, {n: n - 1 for n in range(2, 300)}])
def test_chapters_that_never_end_do_end(bare: Library, parents: dict[int, int]) -> None:
    for pk in range(1, 300):
        bare.add("chapters", id=pk, file_id=1, sort_order=0, title="C", parent_id=parents.get(pk))
    assert isinstance(snapshot(bare).files[1]["chapters"].value, tuple)


def test_identifiers_are_read(bare: Library) -> None:
    bare.add("file_identifiers", file_id=1, type="asin", value="B0", source="manual")
    assert snapshot(bare).files[1]["identifiers"].value == (Identifier("asin", "B0"),)


def test_marks_and_seen_sidecars_are_read(bare: Library) -> None:
    assert snapshot(bare, ("/s",)).seen_sidecars == frozenset()
    bare.with_history()
    bare.add("resync_manual", table_name="files", row_pk=1, field="page_count")
    bare.add("resync_manual", table_name="files", row_pk=2, field="url")
    bare.add("resync_sidecars", path="/s", sha256="aa", seen_at="now")
    found = snapshot(bare, ("/s", "/t"))
    assert [name for name, stored in found.files[1].items() if stored.marked] == ["page_count"]
    assert found.seen_sidecars == {("/s", "aa")}


def resolved(library: Library, *names: str) -> dict[str, Identity | None]:
    schema = library_schema(library.conn)
    found = resolve_names(library.conn, schema, 1, Identities(), [("genres", name) for name in names])
    return {name: found.find("genres", name) for name in names}


def test_names_are_resolved_by_name_then_alias_in_their_library(library: Library) -> None:
    genre = library.add("genres", library_id=1, name="Fiction")
    library.add("genres", library_id=2, name="Elsewhere")
    library.add("genre_aliases", genre_id=genre, name="Novel", library_id=1)
    found = resolved(library, " FICTION ", "novel", "Elsewhere", "Ficção", " ")
    assert [identity and identity.id for identity in found.values()] == [genre, genre, None, None, None]


def test_a_library_without_aliases_resolves_names(library: Library) -> None:
    library.conn.execute("drop table genre_aliases")
    library.add("genres", library_id=1, name="Fiction")
    schema = library_schema(library.conn)
    assert find_entity(library.conn, schema, 1, "genres", "fiction") is not None
    assert find_entity(library.conn, schema, 1, "genres", "novel") is None
