"""Databases that no Shisho would write: cells of a wrong type, odd schemas, nasty paths and names.

Each either works, the second run changing nothing, or is refused in words of ours.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from builders.images import png
from library import Library, epub
from reader import Reader

from datasette_shisho_resync.errors import FileRefused, ResyncError
from datasette_shisho_resync.model import Mode
from datasette_shisho_resync.resync.roots import with_default_roots

EVERYTHING = epub(
    "T", ["A"], genres=["G"], tags="x", series="S", number=1, cover=png(2, 2), publisher="P",
    identifier="urn:isbn:9780316769488",
)  # fmt: skip
BYTES = b"\xff\x00no text"
TABLES = (
    "libraries", "library_paths", "books", "files", "persons", "series", "genres", "tags", "publishers",
    "authors", "narrators", "book_series", "book_genres", "book_tags", "file_identifiers", "chapters",
    "person_aliases", "resync_runs", "resync_changes", "resync_sidecars", "resync_manual",
)  # fmt: skip


@pytest.fixture
def full(book: Library) -> Library:
    """A scanned library with a row in most tables, read without worker processes."""
    book.service.reader = Reader()
    book.rewrite(1, EVERYTHING)
    book.scan()
    person = book.rows("persons")[0]["id"]
    book.add("narrators", file_id=1, person_id=person, sort_order=0)
    book.add("chapters", file_id=1, title="C", sort_order=0, start_page=1)
    book.add("person_aliases", person_id=person, name="AA", library_id=1)
    book.add("resync_manual", table_name="books", row_pk=1, field="series")
    book.service.close()
    return book


def everything_tried(library: Library) -> Iterator[Callable[[], object]]:
    yield library.preview
    yield library.scan
    yield lambda: library.scan("files", 1)
    yield library.refresh
    yield library.reset
    yield lambda: library.undo(library.rows("resync_runs")[-1]["id"])
    yield library.scan_all


def assert_sound(library: Library) -> None:
    """Only errors of ours, whatever is asked; no transaction stays open; sidecars stay JSON."""
    with suppress(ResyncError):
        library.scan()
        assert library.scan().plan.changes == ()
    for attempt in everything_tried(library):
        with suppress(ResyncError):
            attempt()
        assert not library.conn.in_transaction
    for sidecar in library.root.rglob("*.metadata.json"):
        assert json.loads(sidecar.read_bytes())


@pytest.mark.parametrize("table", TABLES)
def test_a_cell_of_a_wrong_type_is_lived_with_or_refused(full: Library, tmp_path: Path, table: str) -> None:
    columns = [row[1] for row in full.conn.execute(f"pragma table_info({table})")]
    assert full.rows(table)
    with closing(sqlite3.connect(":memory:")) as before:
        full.conn.backup(before)
        for column in columns:
            full.service.written.clear()
            before.backup(full.conn)
            with suppress(sqlite3.IntegrityError):  # a column that refuses it by itself
                full.conn.execute(f"update {table} set {column} = ?", (BYTES,))
                assert_sound(full)


ODD_SCHEMAS = {
    "a trigger that refuses": "create trigger t before update on books begin select raise(abort, 'no'); end",
    "a trigger that keeps a log": """
        create table log (a);
        create trigger t after update on books begin insert into log values (new.id); end""",
    "a trigger that edits": """
        create trigger t after insert on authors
        begin update authors set role = 'x' where id = new.id; end""",
    "computed columns": """
        alter table books add column loud text generated always as (upper(title)) virtual;
        alter table authors add column twice integer generated always as (book_id * 2) virtual""",
    "a new column": "alter table authors add column extra text not null default 'x'",
    "foreign keys that are on": "pragma foreign_keys = on",
    "recursive triggers": "pragma recursive_triggers = on",
    "a view named like a table": "drop table series_aliases; create view series_aliases as select 1 as id",
    "a view named like search rows": "drop table persons_fts; create view persons_fts as select 1 as a",
    "a view named like the history": "drop table resync_runs; create view resync_runs as select 1 as id",
    "no search rows": "drop table books_fts; drop table persons_fts",
    "no changes": "drop table resync_changes",
    "a history of another version": "alter table resync_runs drop column via",
    "doubled relations": """
        insert into authors (book_id, person_id, sort_order) select book_id, person_id, 9 from authors""",
    "persons gone": "delete from persons",
    "series gone": "delete from series",
    "no library": "delete from libraries",
    "no paths": "delete from library_paths",
    "a chapter in itself": """
        insert into chapters (id, file_id, title, sort_order, parent_id) values (50, 1, 'a', 0, 50)""",
    "chapters in a circle": """
        insert into chapters (id, file_id, title, sort_order, parent_id)
        values (50, 1, 'a', 0, 51), (51, 1, 'b', 1, 50)""",
    "chapters without end": """
        with recursive n (i) as (select 100 union all select i + 1 from n where i < 1500)
        insert into chapters (id, file_id, title, sort_order, parent_id)
        select i, 1, 'c', i, case when i > 100 then i - 1 end from n""",
    "ids below zero": "update persons set id = -5; update authors set person_id = -5",
    "other spelling in a foreign key": """
        create table notes (id integer primary key, b integer references BOOKS (ID) on delete cascade);
        insert into notes (b) values (1)""",
    "a foreign key of two columns": """
        create unique index two on books (id, library_id);
        create table notes (b, l, foreign key (b, l) references books (id, library_id));
        insert into notes values (1, 1)""",
    "a foreign key to a title": """
        create unique index titles on books (title);
        create table notes (b text references books (title));
        insert into notes values ('T')""",
    "a row that points to itself": """
        create table notes (id integer primary key, b integer references books, n integer references notes);
        insert into notes values (1, 1, 1)""",
    "a table with a name like SQL": """
        create table "a""b; drop" (id integer primary key, book_id integer references books (id));
        insert into "a""b; drop" values (1, 1)""",
    "virtual tables": "create virtual table v_fts using fts5 (a)",
}


@pytest.mark.parametrize("name", ODD_SCHEMAS)
def test_an_odd_schema_is_lived_with_or_refused(full: Library, name: str) -> None:
    full.conn.executescript(ODD_SCHEMAS[name])
    assert_sound(full)


@pytest.mark.parametrize("name", sorted(ODD_SCHEMAS.keys() - {"a trigger that edits"}))
def test_a_book_in_an_odd_schema_goes_and_comes_back_or_stays(full: Library, name: str) -> None:
    full.conn.executescript(ODD_SCHEMAS[name])
    full.add_witness()
    full.remove(1)
    before = full.content(with_derived=False)
    try:
        run = full.scan()
    except ResyncError:
        assert full.content(with_derived=False) == before
        return
    with suppress(ResyncError):
        full.undo(run.run_id)
        after = full.content(with_derived=False)
        after.pop("log", None)
        before.pop("log", None)
        assert after == before


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_library_in_utf_16_is_a_library_like_any_other(full: Library, encoding: str) -> None:
    before = full.content()
    script = [s for s in full.conn.iterdump() if "_fts" not in s and "writable_schema" not in s]
    wide = sqlite3.connect(full.folder / "wide.db", isolation_level=None)
    wide.execute(f"pragma encoding = '{encoding}'")
    wide.executescript("\n".join(script))
    wide.close()
    full.path = str(full.folder / "wide.db")
    full.reopen()
    full.service.reader = Reader()
    assert full.conn.execute("pragma encoding").fetchone()[0] == encoding
    assert full.content()["authors"] == before["authors"]
    assert_sound(full)
    full.rewrite(1, epub("Émile \U0001f600"))
    full.refresh()
    assert full.book()["title"] == "Émile \U0001f600"


NASTY_PATHS = (
    "/etc/passwd", "/proc/self/environ", "/dev/zero", "a.epub", "", ".", "/", "{root}/../../../etc/passwd",
    "{root}/Shelf", "{root}/Shelf/../../../../../../etc/hostname", "file:///etc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("path", NASTY_PATHS)
def test_a_row_with_a_nasty_path_is_refused_and_stays(full: Library, path: str) -> None:
    full.edit("files", filepath=path.format(root=full.root))
    before = full.content()
    for mode in Mode:
        with pytest.raises(FileRefused):
            full.run(mode, confirm_missing=True)
    assert full.content() == before


@pytest.mark.parametrize("path", ["/", "/etc", ".", "", "relative"])
def test_a_library_with_a_nasty_folder_reads_nothing(full: Library, path: str) -> None:
    full.edit("library_paths", filepath=path)
    full.edit("files", filepath="/etc/hostname")
    full.service.settings = with_default_roots(full.settings, full.conn, ())
    before = full.content()
    with pytest.raises(FileRefused):
        full.scan(confirm_missing=True)
    assert full.content() == before


@pytest.mark.parametrize("name", ["../../x.png", "/etc/passwd", "a\0b", "..", "a.epub"])
def test_the_cover_of_a_nasty_name_is_neither_read_nor_written_there(full: Library, name: str) -> None:
    outside = {path: path.read_bytes() for path in full.folder.rglob("*.epub")}
    full.edit("files", cover_image_filename=name)
    full.rewrite(1, epub("T", cover=png(5, 5)))
    outside[full.file_path()] = full.file_path().read_bytes()
    assert_sound(full)
    assert {path: path.read_bytes() for path in full.folder.rglob("*.epub")} == outside
    assert not [p for p in full.folder.rglob("*.png") if p.parent != full.root / "Shelf"]


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline.epub", b"%2e%2e%2fa.epub", b"x" * 200 + b".epub", "\u202ecod.epub".encode(), b" .epub",
        b"a\x01\x1b[31m.epub", b"'\";--.epub", b"<script>.epub", b"\xff\xfe.epub", "e\u0301.epub".encode(),
        b"-rf.epub", b"*.epub", b"a.EPUB",
    ],
)  # fmt: skip
def test_an_odd_name_is_a_name_like_any_other(library: Library, name: bytes) -> None:
    library.service.reader = Reader()
    shelf = library.root / "Shelf"
    shelf.mkdir()
    path = os.fsencode(shelf) + b"/" + name
    library.write(path, EVERYTHING)
    assert library.scan_all().imported == 1
    library.service.close()
    stored = library.conn.execute("select cast(filepath as blob) from files").fetchone()[0]
    assert stored == path
    assert library.scan().plan.changes == ()
    assert library.scan_all().unchanged == 1
    assert library.undo(1).entries
    assert library.rows("files") == []
