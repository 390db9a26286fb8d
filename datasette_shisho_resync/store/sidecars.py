"""Loads what the sidecars of a book and of a file shall hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from ..fields import BOOK_FIELDS, FILE_FIELDS, Field, Level
from ..model import Identities, Identity, Stored
from ..parsers.sidecar import BookSidecar, FileSidecar
from ..sidecar_content import sidecar_of_book, sidecar_of_file
from .schema import LibrarySchema
from .snapshot import load_record

_NOTHING = Identities()


def load_book_sidecar(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    book_id: int,
    lists: Mapping[str, Stored] | None = None,
    identities: Identities = _NOTHING,
) -> BookSidecar:
    """`lists` are those that need not be loaded again, `identities` what their names mean."""
    return sidecar_of_book(*_load(conn, schema, Level.BOOK, book_id, BOOK_FIELDS, lists or {}, identities))


def load_file_sidecar(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    file_id: int,
    lists: Mapping[str, Stored] | None = None,
    identities: Identities = _NOTHING,
) -> FileSidecar:
    """The same for a file."""
    return sidecar_of_file(*_load(conn, schema, Level.FILE, file_id, FILE_FIELDS, lists or {}, identities))


def _load(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    level: Level,
    pk: int,
    fields: Sequence[Field],
    lists: Mapping[str, Stored],
    identities: Identities,
) -> tuple[dict[str, Stored], Identities]:
    known: dict[tuple[str, str], Identity] = dict(identities.rows)
    wanted = [f for f in fields if f in schema.fields and f.name not in lists]
    return {**lists, **load_record(conn, level, pk, wanted, known)}, Identities(known)
