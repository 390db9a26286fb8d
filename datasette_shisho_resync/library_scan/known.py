"""What a library has already while books are imported into it: rows that are there, and rows that still wait.

Knows nothing of what was read; that a row is to be made was decided before.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import BookRow, Brief, Identity, Target
from ..store.library import (
    LibraryRow,
    Neighbour,
    data_version,
    find_at,
    has_file,
    neighbours,
    path_of,
)
from ..store.snapshot import brief_of_book
from ..store.waiting import WaitingRows

_MOST_NAMES = 50_000


@dataclass(slots=True)
class KnownLibrary:
    """One library during one scan.

    `surveyed`: the version of the data that the survey saw; `had_books`: whether any book was there then.
    `rows` wait to be inserted; `names` are the named rows that were looked up.
    """

    conn: sqlite3.Connection
    library: LibraryRow
    surveyed: int
    had_books: bool
    rows: WaitingRows = field(init=False)
    names: dict[tuple[str, str], Identity] = field(default_factory=dict)
    _books: dict[str, int] = field(default_factory=dict)  # those whose rows wait, by path
    _made: set[int] = field(default_factory=set)  # hashes of the paths of all books that were made
    _files: set[str] = field(default_factory=set)  # paths of those whose rows wait
    _version: int = -1  # of the data

    def __post_init__(self) -> None:
        self.rows = WaitingRows(self.conn)

    def begin(self) -> None:
        """Start a transaction's work: what is known of named rows is good as long as nobody else wrote."""
        version = data_version(self.conn)
        if version != self._version or len(self.names) > _MOST_NAMES:
            self.names.clear()
        self._version = version

    def insert_waiting(self) -> None:
        self.rows.flush()
        self._books.clear()
        self._files.clear()

    def flush(self) -> None:
        """Insert what waits, so that others see it; what was known of named rows is not trusted any more."""
        self.names.clear()
        self.insert_waiting()

    def forget(self) -> None:
        """Know nothing of what was rolled back."""
        self.rows.forget()
        self._books.clear()
        self._files.clear()
        self.names.clear()

    # --- rows that are made -------------------------------------------------------------------

    def add_book(self, columns: Mapping[str, Any]) -> int:
        path, book_id = columns["filepath"], self.rows.insert("books", columns)
        self._books[path] = book_id
        self._made.add(hash(path))
        return book_id

    def add_file(self, columns: Mapping[str, Any]) -> int:
        self._files.add(columns["filepath"])
        return self.rows.insert("files", columns)

    # --- what is there, by paths in stored form -----------------------------------------------

    def book_at(self, path: str) -> int | None:
        waiting = self._books.get(path)
        if waiting or not self._may_have_book(path):
            return waiting
        return find_at(self.conn, "books", self.library.id, path)

    def _may_have_book(self, path: str) -> bool:
        """Tell whether to look for a book: of a library that was empty it is known what it has by now."""
        return self.had_books or self._version != self.surveyed or hash(path) in self._made

    def has_file(self, path: str) -> bool:
        return path in self._files or has_file(self.conn, self.library.id, path)

    def is_news(self, path: str) -> bool:
        """Tell whether a file that the survey did not know has no row yet, in a transaction."""
        if self._version == self.surveyed:
            return True
        return not has_file(self.conn, self.library.id, path)

    def neighbours(self, folder: str) -> tuple[Neighbour, ...]:
        """Return the main files of a folder."""
        if any(os.path.dirname(path) == folder for path in self._files):
            self.insert_waiting()
        return neighbours(self.conn, self.library.id, folder)

    def brief(self, book_id: int) -> Brief:
        """Return a book with all its files, those that waited included."""
        self.insert_waiting()
        book = BookRow(book_id, self.library.id, path_of(self.conn, "books", book_id) or "")
        return brief_of_book(self.conn, Target("books", book_id), book)
