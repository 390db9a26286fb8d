"""Many people at once: scans, refreshes, undo and edits of the same books, over a real server.

`LOAD_SECONDS=60` makes it last longer than 20 seconds.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import media
import pytest
from library import Library
from serving import Caller, serving

_SECONDS = float(os.environ.get("LOAD_SECONDS", "20"))
_CLIENTS = 16
_BOOKS = 32  # two of each client to edit; everybody scans, refreshes and undoes in all of them
_HONEST = (200, 409, 503)
_KINDS = ("scan", "refresh", "undo", "edit")


@dataclass
class Person:
    """One client: what it asked, what it was told, and the last title that it gave each of its books."""

    number: int
    port: int
    answers: list[tuple[str, int, float]] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)
    titles: dict[int, str] = field(default_factory=dict)
    runs: list[int] = field(default_factory=list)

    def work(self, until: float) -> None:
        chance = random.Random(self.number)
        with Caller(self.port, {"id": "root"}) as caller:
            while time.monotonic() < until:
                self._ask(caller, chance.choice(_KINDS), chance)

    def _ask(self, caller: Caller, kind: str, chance: random.Random) -> None:
        path, body = self._request(kind, chance)
        began = time.perf_counter()
        answer = caller.ask("POST", path, body, Content_Type="application/json")
        self.answers.append((kind, answer.status, time.perf_counter() - began))
        if answer.status not in _HONEST:
            self.oddities.append(f"{kind} {path}: {answer.status} {answer.body[:200]!r}")
        elif answer.status == 200:
            self._note(kind, path, body, answer.json())

    def _request(self, kind: str, chance: random.Random) -> tuple[str, dict[str, Any]]:
        if kind == "edit":
            book = 1 + self.number + chance.randrange(2) * _CLIENTS
            title = f"Edit {len(self.answers)} by {self.number}"
            return f"/library/books/{book}/-/update", {"update": {"title": title}}
        if kind == "undo" and self.runs:
            return f"/library/resync_runs/{chance.choice(self.runs)}/-/undo", {}
        return f"/library/books/{1 + chance.randrange(_BOOKS)}/-/resync", {"refresh": kind == "refresh"}

    def _note(self, kind: str, path: str, body: dict[str, Any], told: dict[str, Any]) -> None:
        if kind == "edit":
            self.titles[int(path.split("/")[3])] = body["update"]["title"]
        elif told.get("run") is not None:
            self.runs.append(told["run"])


@pytest.fixture
def shared(library: Library) -> Library:
    for number in range(_BOOKS):
        library.add_file(library.add_book(f"Book {number}"), f"{number}.epub", media.epub(number))
    return library


def lost_edits(library: Library, people: list[Person]) -> list[str]:
    """Return the last title of each book that neither stands there nor in the history, as what a refresh
    overwrote, or what the undo of an undo did."""
    overwritten = {
        row[0]
        for row in library.conn.execute(
            """
            select c.old_value
            from resync_changes as c
            join resync_runs as r on r.id = c.run_id
            left join resync_runs as u on u.id = r.undo_of
            where c.field = 'title' and (r.mode = 'refresh' and r.undo_of is null or u.undo_of is not null)
            """
        )
    }
    last = {book: title for person in people for book, title in person.titles.items()}
    standing = {book: library.book(book)["title"] for book in last}
    return [title for book, title in last.items() if title not in (standing[book], *overwritten)]


def test_sixteen_people_at_once_lose_nothing(shared: Library) -> None:
    with serving(shared.path) as port, ThreadPoolExecutor(_CLIENTS) as threads:
        people = [Person(number, port) for number in range(_CLIENTS)]
        until = time.monotonic() + _SECONDS
        for done in [threads.submit(person.work, until) for person in people]:
            done.result()
    answers = [answer for person in people for answer in person.answers]
    for kind in _KINDS:
        taken = sorted(seconds for asked, _, seconds in answers if asked == kind)
        told = dict(Counter(status for asked, status, _ in answers if asked == kind))
        slow = taken[int(len(taken) * 0.99)]
        print(f"\n{kind}: {told}, median {median(taken) * 1000:.0f} ms, p99 {slow * 1000:.0f} ms")
    print(f"{len(answers) / _SECONDS:.0f} requests a second")
    assert [oddity for person in people for oddity in person.oddities] == []
    assert lost_edits(shared, people) == []
    assert {kind for kind, status, _ in answers if status == 200} == set(_KINDS)
    assert shared.conn.execute("pragma integrity_check").fetchone()[0] == "ok"
    assert shared.rows("resync_pending") == []
