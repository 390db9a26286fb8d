"""What the books of a batch still need when their rows are there."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from ..fields import SERIES
from ..store.entities import index_created
from ..store.history import Entry, record_entries
from ..store.pending import add_seen
from ..store.review import recompute_review
from ..store.schema import LibrarySchema
from ..store.search import index_all_series, index_book, insert_books


@dataclass(slots=True)
class Unfinished:
    """What the books since the last commit still need: search rows of named rows (table, id), of books
    (with whether they are new) and of series; the review state of files; history; sidecars and covers
    as they are or will be."""

    entities: list[tuple[str, int]] = field(default_factory=list)
    books: dict[int, bool] = field(default_factory=dict)
    series: set[int] = field(default_factory=set)
    files: list[int] = field(default_factory=list)
    history: list[tuple[int, Entry]] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def finish(self, conn: sqlite3.Connection, schema: LibrarySchema) -> None:
        """Write it, the last thing before a commit."""
        index_created(conn, schema, self.entities)
        insert_books(conn, schema, [pk for pk, is_new in self.books.items() if is_new])
        for book_id in (pk for pk, is_new in self.books.items() if not is_new):
            index_book(conn, schema, book_id)
        made = {pk for table, pk in self.entities if table == SERIES.table}
        index_all_series(conn, schema, self.series, made)
        recompute_review(conn, schema, self.files)
        record_entries(conn, self.history)
        add_seen(conn, self.seen)
