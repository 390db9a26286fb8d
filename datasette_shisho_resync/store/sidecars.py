"""Loads what the sidecars of a book and of a file shall hold."""

from __future__ import annotations

import sqlite3

from ..fields import BOOK_FIELDS, FILE_FIELDS, Level
from ..model import Identities, Identity
from ..parsers.sidecar import BookSidecar, FileSidecar
from ..sidecar_content import book_sidecar, file_sidecar
from .schema import LibrarySchema
from .snapshot import load_record


def load_book_sidecar(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> BookSidecar:
    known: dict[tuple[str, str], Identity] = {}
    fields = [f for f in BOOK_FIELDS if f in schema.fields]
    record = load_record(conn, Level.BOOK, book_id, fields, known)
    return book_sidecar({name: stored.value for name, stored in record.items()}, Identities(known))


def load_file_sidecar(conn: sqlite3.Connection, schema: LibrarySchema, file_id: int) -> FileSidecar:
    known: dict[tuple[str, str], Identity] = {}
    fields = [f for f in FILE_FIELDS if f in schema.fields]
    record = load_record(conn, Level.FILE, file_id, fields, known)
    page = record["cover"].raw["page"] if "cover" in record else None
    return file_sidecar({name: stored.value for name, stored in record.items()}, page, Identities(known))
