"""Laws that hold for whatever files, rows and modes there are."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from builders.images import png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library import Library, epub, fails

from datasette_shisho_resync.comparison import comparison_key
from datasette_shisho_resync.errors import ResyncError
from datasette_shisho_resync.fields import BY_NAME
from datasette_shisho_resync.model import Mode, Outcome, Reason
from datasette_shisho_resync.resync import find_brief
from datasette_shisho_resync.store.snapshot import load_snapshot
from datasette_shisho_resync.workers import WorkerPool

WORDS = st.sampled_from(["Ann", "ann", "Bob", "Dune", "The Dune", "Émile", "SF", "Σίγμα", "a'b", "x"])
SOURCES = st.sampled_from(["manual", "sidecar", "plugin:x", "epub_metadata", "filepath", "user", ""])
few = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@dataclass
class World:
    files: list[dict[str, Any]]
    columns: dict[str, Any]
    alias: bool
    mode: Mode


MEDIA = st.fixed_dictionaries(
    {
        "title": st.none() | WORDS,
        "authors": st.lists(WORDS, max_size=3),
        "genres": st.lists(WORDS, max_size=3),
        "series": st.none() | WORDS,
        "number": st.none() | st.sampled_from([1, 2.5]),
        "cover": st.sampled_from([None, png(2, 3)]),
    }
)
COLUMNS = st.fixed_dictionaries(
    {
        "title": WORDS, "title_source": SOURCES, "sort_title": WORDS, "sort_title_source": SOURCES,
        "subtitle": st.none() | WORDS, "subtitle_source": st.none() | SOURCES,
        "author_source": SOURCES, "genre_source": st.none() | SOURCES,
    }
)  # fmt: skip
WORLDS = st.builds(
    World, st.lists(MEDIA, min_size=1, max_size=2), COLUMNS, st.booleans(), st.sampled_from(list(Mode))
)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, worker_pool: WorkerPool) -> Iterator[Any]:
    made: list[Library] = []

    def forget() -> None:
        while made:
            old = made.pop()
            old.close()
            shutil.rmtree(old.folder)

    def make_library(world: World) -> Library:
        forget()
        library = Library(tmp_path_factory.mktemp("world"), worker_pool)
        made.append(library)
        library.add_book(**world.columns)
        for number, media in enumerate(world.files):
            library.add_file(1, f"{number}.epub", epub(**media))
        if world.alias:
            person = library.add(
                "persons", library_id=1, name="Canon", sort_name="Canon", sort_name_source="filepath"
            )
            library.add("person_aliases", person_id=person, name="ANN", library_id=1)
            library.add("authors", book_id=1, person_id=person, sort_order=1)
        return library

    yield make_library
    forget()


@few
@given(world=WORLDS)
def test_a_second_run_writes_nothing(make: Any, world: World) -> None:
    library: Library = make(world)
    library.run(world.mode)
    library.service.close()
    before, written = library.dump(), library.conn.total_changes
    version = library.conn.execute("pragma data_version").fetchone()[0]
    again = library.run(world.mode)
    assert again.plan.changes == ()
    assert (library.dump(), library.conn.total_changes) == (before, written)
    assert library.conn.execute("pragma data_version").fetchone()[0] == version


@few
@given(world=WORLDS)
def test_a_run_leaves_what_its_plan_says(make: Any, world: World) -> None:
    library: Library = make(world)
    plan = library.run(world.mode).plan
    schema = library.service.schema
    brief = find_brief(library.conn, plan.target)
    after = load_snapshot(library.conn, schema, brief, [f.id for f in brief.files], ())
    for change in plan.changes:
        field, stored = (
            BY_NAME[change.field],
            (after.book if change.table == "books" else after.files[change.pk]),
        )
        if change.field == "cover":
            continue
        keys = [comparison_key(field, v, after.identities) for v in (stored[field.name].value, change.new)]
        assert keys[0] == keys[1]
        if schema.source_column(field):
            assert stored[field.name].source == change.new_source


@few
@given(world=WORLDS)
def test_undo_restores_every_row(make: Any, world: World) -> None:
    library: Library = make(world)
    before = library.content(with_derived=False)
    run = library.run(world.mode)
    if run.run_id is None:
        return
    after = library.content()
    undone = library.undo(run.run_id)
    assert library.content(with_derived=False) == before
    library.undo(undone.run_id)
    assert library.content() == after


@few
@given(world=WORLDS)
def test_a_preview_is_the_run_and_writes_nothing(make: Any, world: World) -> None:
    library: Library = make(world)
    before = library.dump()
    preview = library.preview(world.mode)
    assert library.dump() == before
    assert library.run(world.mode, digest=preview.plan.digest).plan == preview.plan


@few
@given(world=WORLDS)
def test_scan_never_changes_what_a_person_set(make: Any, world: World) -> None:
    library: Library = make(world)
    manual = ("title_source", "author_source", "genre_source", "subtitle_source", "sort_title_source")
    library.edit("books", 1, **dict.fromkeys(manual, "manual"))
    before = library.book(), library.authors(), library.genres()
    library.scan()
    for column in ("title", "sort_title", "subtitle", *manual):
        assert library.book()[column] == before[0][column]
    assert (library.authors(), library.genres()) == before[1:]


@few
@given(world=WORLDS)
def test_no_run_leaves_a_book_without_title(make: Any, world: World) -> None:
    library: Library = make(world)
    outcome: Outcome = library.reset()
    assert library.book()["title"]
    assert all(
        c.reason is not Reason.CLEARED for c in outcome.plan.changes if c.field in ("title", "sort_title")
    )


@few
@given(world=WORLDS)
def test_search_rows_and_sources_agree_with_the_rows(make: Any, world: World) -> None:
    library: Library = make(world)
    library.run(world.mode)
    names = [row["title"] for row in library.rows("books")]
    assert [row["title"] for row in library.rows("books_fts")] == names
    for table in ("persons", "series", "genres"):
        named = sorted(row["name"] for row in library.rows(table) if row["name"] != "Canon")
        indexed = [row["name"] for row in library.rows(f"{table}_fts") if row["name"] != "Canon"]
        assert sorted(indexed) == named
    stored = library.rows("books_fts")[0]["authors"]
    assert all(name in stored for name in library.authors())
    assert bool(library.genres()) <= bool(library.book()["genre_source"])


WRITES = [
    ("books", "update"), ("files", "update"), ("persons", "insert"), ("authors", "insert"),
    ("series", "insert"), ("book_series", "insert"), ("genres", "insert"), ("book_genres", "insert"),
    ("publishers", "insert"), ("file_identifiers", "insert"), ("resync_runs", "insert"),
    ("resync_changes", "insert"), ("resync_pending", "insert"), ("resync_sidecars", "insert"),
]  # fmt: skip
EVERYTHING = epub(
    "New", ["A", "B"], genres=["G"], series="S", number=1, publisher="P", cover=png(2, 3),
    identifier="urn:isbn:9780316769488",
)  # fmt: skip


@pytest.mark.parametrize(("table", "event"), WRITES)
def test_a_failing_write_leaves_every_row_and_file_as_it_was(book: Library, table: str, event: str) -> None:
    book.with_history()
    book.rewrite(1, EVERYTHING)
    fails(book.conn, table, event)
    before, names = book.dump(), sorted((book.root / "Shelf").iterdir())
    with pytest.raises(ResyncError, match="no more room"):
        book.refresh()
    assert not book.conn.in_transaction
    assert (book.dump(), sorted((book.root / "Shelf").iterdir())) == (before, names)


@pytest.mark.parametrize("table", ["chapters", "authors", "files", "books"])
def test_a_failing_removal_leaves_every_row_as_it_was(book: Library, table: str) -> None:
    book.scan()
    book.add_witness()
    book.add("chapters", file_id=1, sort_order=0, title="C")
    book.remove(1)
    fails(book.conn, table, "delete")
    before = book.dump()
    with pytest.raises(ResyncError):
        book.scan()
    assert book.dump() == before


@pytest.mark.parametrize(
    ("table", "event"), [("persons", "delete"), ("resync_runs", "update"), ("books", "update")]
)
def test_a_failing_undo_leaves_every_row_as_it_was(book: Library, table: str, event: str) -> None:
    run = book.scan()
    fails(book.conn, table, event)
    before = book.dump()
    with pytest.raises(ResyncError):
        book.undo(run.run_id)
    assert book.dump() == before


def test_a_locked_database_is_reported_as_busy(book: Library) -> None:
    book.conn.execute("pragma busy_timeout = 0")
    other = sqlite3.connect(book.path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(ResyncError) as caught:
        book.scan()
    other.close()
    assert caught.value.status == 503
