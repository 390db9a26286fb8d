"""After a crash between commit and file, the next service writes what is missing."""

from __future__ import annotations

import pytest
from builders.images import png
from library import BY, Library, epub

from datasette_shisho_resync.model import Target
from datasette_shisho_resync.resync import Ask, By, Service

RED, BLUE = png(3, 4, "red"), png(3, 4, "blue")


class CrashingService(Service):
    """Ends after the commit, before it has written a file."""

    def _finish(self, done: object) -> list[str]:
        raise KeyboardInterrupt


@pytest.fixture
def crashed(book: Library) -> Library:
    """A scan with a new cover and title was committed; its files are not there."""
    book.rewrite(1, epub("Old", cover=RED))
    book.scan()
    book.service.close()
    book.rewrite(1, epub("New", cover=BLUE))
    service = CrashingService(book.conn, "library.db", book.settings, book.pool)
    with pytest.raises(KeyboardInterrupt):
        service.run(Ask(Target("books", 1)), BY)
    return book


def cover(library: Library) -> bytes:
    return (library.root / "Shelf" / "a.epub.cover.png").read_bytes()


def test_recovery_writes_covers_and_sidecars(crashed: Library) -> None:
    assert (cover(crashed), crashed.sidecar()["title"]) == (RED, "Old")
    crashed.service.recover(BY)
    assert (cover(crashed), crashed.sidecar()["title"]) == (BLUE, "New")
    assert crashed.sidecar(crashed.file_sidecar())["name"] == "New"
    assert crashed.rows("resync_pending") == []


def test_recovery_keeps_the_keys_of_a_sidecar_that_are_not_ours(book: Library) -> None:
    book.rewrite(1, epub("Old"))
    book.scan()
    book.edit_sidecar(book.book_sidecar(), shelf="B 7")
    book.scan()
    book.rewrite(1, epub("New"))
    service = CrashingService(book.conn, "library.db", book.settings, book.pool)
    with pytest.raises(KeyboardInterrupt):
        service.run(Ask(Target("books", 1)), BY)
    book.service.recover(BY)
    assert (book.sidecar()["title"], book.sidecar()["shelf"]) == ("New", "B 7")


def test_recovery_leaves_files_that_were_edited_since(crashed: Library) -> None:
    crashed.edit_sidecar(crashed.book_sidecar(), title="Edited")
    crashed.service.recover(BY)
    assert crashed.sidecar()["title"] == "Edited"
    assert crashed.rows("resync_pending") == []


def test_recovery_of_an_undo_takes_the_bytes_that_were_kept(book: Library) -> None:
    book.rewrite(1, epub("Old", cover=RED))
    book.scan()
    book.rewrite(1, epub("New", cover=BLUE))
    run = book.scan()
    service = CrashingService(book.conn, "library.db", book.settings, book.pool)
    with pytest.raises(KeyboardInterrupt):
        service.undo(run.run_id or 0, BY)
    assert cover(book) == BLUE
    book.service.recover(BY)
    assert (cover(book), book.sidecar()["title"]) == (RED, "Old")


def test_recovery_of_what_changed_or_vanished_meanwhile_gives_up(crashed: Library) -> None:
    crashed.rewrite(1, epub("Third", cover=png(3, 4, "green")))
    crashed.service.recover(BY)
    assert cover(crashed) == RED
    assert crashed.rows("resync_pending") == []


@pytest.mark.parametrize("table", ["books", "files", "resync_runs"])
def test_recovery_without_the_rows_gives_up(crashed: Library, table: str) -> None:
    crashed.conn.execute(f"delete from {table}")
    crashed.service.recover(BY)
    assert (cover(crashed), crashed.rows("resync_pending")) == (RED, [])


def test_nothing_is_recovered_where_nothing_ever_ran(library: Library) -> None:
    written = library.conn.total_changes
    library.service.recover(BY)
    assert library.conn.total_changes == written


def test_a_cover_that_could_not_be_written_is_written_later(book: Library) -> None:
    in_the_way = book.root / "Shelf" / "a.epub.cover.png"
    book.rewrite(1, epub("Old", cover=RED))
    book.conn.set_trace_callback(lambda sql: in_the_way.mkdir(exist_ok=True) if sql == "commit" else None)
    assert any("cover.png" in warning for warning in book.scan().warnings)
    book.conn.set_trace_callback(None)
    book.service.close()
    assert [p["kind"] for p in book.rows("resync_pending")] == ["cover"]
    book.service.recover(BY)
    assert len(book.rows("resync_pending")) == 1
    in_the_way.rmdir()
    book.service.recover(BY)
    assert cover(book) == RED
    assert book.rows("resync_pending") == []


def test_the_book_of_a_moved_file_is_read_again_by_whoever_comes_first(crashed: Library) -> None:
    crashed.service.recover(BY)
    run = crashed.rows("resync_runs")[-1]
    path = str(crashed.file_path())
    crashed.add("resync_pending", run_id=run["id"], path=path, kind="sidecar", sha256="", old_sha256=None)
    crashed.rewrite(1, epub("Newest"))
    crashed.service.recover(By("web", "ann"))
    run = crashed.rows("resync_runs")[-1]
    assert (crashed.book()["title"], run["via"], run["actor"]) == ("Newest", "web", "ann")
