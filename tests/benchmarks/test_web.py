"""Requests to a real `datasette serve` with the plugin, against one without it: same run, same database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

import media
import pytest
from comparing import Comparison
from library import Library
from serving import Answer, Caller, serving

MOST_OF_AN_UPDATE = 1.0
MOST_OF_AN_UPDATE_WITH_PLUGIN = 1.15
MOST_OF_A_ROW_PAGE = 1.25

_ROOT, _EDITOR = {"id": "root"}, {"id": "ed"}
_EVERY_ROW = {"id": ["root", "ed"]}
_CONFIG = {"permissions": {"update-row": _EVERY_ROW, "resync-row": _EVERY_ROW}}
_MEDIA: dict[str, Callable[..., bytes]] = {"epub": media.epub, "cbz": media.cbz, "m4b": media.m4b}
_ROUNDS = 200


@dataclass(frozen=True)
class Servers:
    """The two servers, each with a copy of one library: a book for each type of file."""

    library: Library
    database: Path
    ports: tuple[int, int]

    stack: ExitStack

    def callers(self, actor: dict[str, str]) -> tuple[Caller, Caller]:
        """Return a connection to the server with the plugin, and one to that without it."""
        plugged, bare = (self.stack.enter_context(Caller(port, actor)) for port in self.ports)
        return plugged, bare

    def book_id(self, file_type: str) -> int:
        with closing(sqlite3.connect(self.database)) as conn:
            found = conn.execute("select book_id from files where file_type = ?", (file_type,)).fetchone()
        book_id: int = found[0]
        return book_id


@pytest.fixture
def servers(library: Library) -> Iterator[Servers]:
    for file_type, make in _MEDIA.items():
        library.add_file(library.add_book(file_type), f"a.{file_type}", make(0))
    for book_id in range(1, len(_MEDIA) + 1):
        library.scan(pk=book_id)
    library.service.close()
    library.conn.execute("pragma wal_checkpoint(truncate)")
    places = [library.folder / name / "library.db" for name in ("plugged", "bare")]
    for place in places:
        place.parent.mkdir()
        shutil.copy(library.path, place)
    with ExitStack() as stack:
        with_plugin, without = (
            stack.enter_context(serving(str(place), with_plugin=place is places[0], config=_CONFIG))
            for place in places
        )
        yield Servers(library, places[0], (with_plugin, without), stack)


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer


by_actor = pytest.mark.parametrize("actor", [_ROOT, _EDITOR], ids=["root", "editor"])


@pytest.mark.parametrize("changes", ["nothing", "title"])
@pytest.mark.parametrize("file_type", list(_MEDIA))
def test_a_resync_against_an_update(
    servers: Servers, comparison: Comparison, file_type: str, changes: str
) -> None:
    plugged, bare = servers.callers(_ROOT)
    book_id = servers.book_id(file_type)
    path = servers.library.file_path(book_id)
    contents = cycle([_MEDIA[file_type](0, title) for title in ("One Title", "Another Title")])
    numbers = count()

    def prepare() -> tuple[()]:
        if changes == "title":
            servers.library.write(path, next(contents))
        return ()

    def resync() -> None:
        answer = ok(plugged.ask("POST", f"/library/books/{book_id}/-/resync", {})).json()
        assert answer["changed"] is (changes == "title")

    def update() -> None:
        body = {"update": {"title": f"Title {next(numbers)}"}, "return": True}
        ok(bare.ask("POST", f"/library/books/{book_id}/-/update", body))

    for _ in range(10):
        prepare()
        resync()
        update()
    assert comparison.ratio(resync, update, rounds=_ROUNDS, prepare=prepare) <= MOST_OF_AN_UPDATE


@by_actor
def test_an_ordinary_update(servers: Servers, comparison: Comparison, actor: dict[str, str]) -> None:
    plugged, bare = servers.callers(actor)
    numbers = count()

    def update(caller: Caller) -> None:
        body = {"update": {"title": f"Title {next(numbers)}"}, "return": True}
        ok(caller.ask("POST", "/library/books/1/-/update", body))

    update(plugged)
    ratio = comparison.ratio(lambda: update(plugged), lambda: update(bare), rounds=_ROUNDS * 2)
    assert ratio <= MOST_OF_AN_UPDATE_WITH_PLUGIN


@by_actor
@pytest.mark.parametrize("table", ["books", "files"])
def test_the_page_of_a_row(
    servers: Servers, comparison: Comparison, table: str, actor: dict[str, str]
) -> None:
    plugged, bare = servers.callers(actor)

    def page(caller: Caller) -> None:
        ok(caller.ask("GET", f"/library/{table}/1"))

    for caller in (plugged, bare) * 10:
        page(caller)
    ratio = comparison.ratio(lambda: page(plugged), lambda: page(bare), rounds=_ROUNDS)
    assert ratio <= MOST_OF_A_ROW_PAGE
