"""THE table: one row for each field that a resync decides. Every other module reads it.

A field is one piece of metadata of a book or of a file. What differs between fields - level,
kind, column, source column - is data here, so that no rule is written out twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    BOOK = "books"
    FILE = "files"


class Kind(Enum):
    """How a field is compared and stored."""

    TEXT = "text"
    DATE = "date"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    REAL = "real"
    PUBLISHER = "publisher"
    AUTHORS = "authors"  # ordered, compared with roles
    PEOPLE = "people"  # ordered
    TERMS = "terms"  # order has no meaning
    SERIES = "series"
    IDENTIFIERS = "identifiers"  # one of each type
    CHAPTERS = "chapters"
    COVER = "cover"


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each, looked for in tuples all the time
class Entity:
    """A kind of named row that books or files point to, one library each."""

    table: str
    id_column: str  # in the link, alias and full-text tables

    @property
    def alias_table(self) -> str:
        return {"series": "series_aliases"}.get(self.table, self.table[:-1] + "_aliases")

    @property
    def search_table(self) -> str:
        return f"{self.table}_fts"


PERSON = Entity("persons", "person_id")
SERIES = Entity("series", "series_id")
GENRE = Entity("genres", "genre_id")
TAG = Entity("tags", "tag_id")
PUBLISHER = Entity("publishers", "publisher_id")
ENTITIES = (PERSON, SERIES, GENRE, TAG, PUBLISHER)
ENTITY_BY_TABLE: dict[str, Entity] = {e.table: e for e in ENTITIES}


@dataclass(frozen=True, slots=True, eq=False)  # as above
class Field:
    """`column` holds the value of a scalar; a list lives in `link_table`, whose rows point to `entity`.

    `source_column` None: the source is kept in `resync_manual`; so it is where a library lacks the column of
    a field with `shares_source`, and in the row that the field points to.
    `reset` False: not metadata a reset clears, but a measurement that is only ever replaced.
    """

    name: str
    level: Level
    kind: Kind
    label: str
    column: str | None = None
    source_column: str | None = None
    link_table: str | None = None
    entity: Entity | None = None
    reset: bool = True
    shares_source: bool = False

    @property
    def is_list(self) -> bool:
        return self.link_table is not None

    @property
    def owner_column(self) -> str:
        """The column of the link table that points back to the book or file."""
        return "book_id" if self.level is Level.BOOK else "file_id"


def _text(name: str, level: Level, label: str) -> Field:
    return Field(name, level, Kind.TEXT, label, column=name, source_column=f"{name}_source")


BOOK, FILE = Level.BOOK, Level.FILE

FIELDS: tuple[Field, ...] = (
    _text("title", BOOK, "Title"),
    _text("sort_title", BOOK, "Sort title"),
    _text("subtitle", BOOK, "Subtitle"),
    _text("description", BOOK, "Description"),
    Field("authors", BOOK, Kind.AUTHORS, "Authors", None, "author_source", "authors", PERSON),
    Field(
        "series",
        BOOK,
        Kind.SERIES,
        "Series",
        None,
        "series_source",  # since September 2026
        "book_series",
        SERIES,
        shares_source=True,
    ),
    Field("genres", BOOK, Kind.TERMS, "Genres", None, "genre_source", "book_genres", GENRE),
    Field("tags", BOOK, Kind.TERMS, "Tags", None, "tag_source", "book_tags", TAG),
    _text("name", FILE, "Name"),
    _text("url", FILE, "URL"),
    Field("release_date", FILE, Kind.DATE, "Release date", "release_date", "release_date_source"),
    _text("language", FILE, "Language"),
    Field("abridged", FILE, Kind.BOOLEAN, "Abridged", "abridged", "abridged_source"),
    Field(
        "publisher",
        FILE,
        Kind.PUBLISHER,
        "Publisher",
        "publisher_id",
        "publisher_source",
        entity=PUBLISHER,
    ),
    Field("narrators", FILE, Kind.PEOPLE, "Narrators", None, "narrator_source", "narrators", PERSON),
    Field(
        "identifiers", FILE, Kind.IDENTIFIERS, "Identifiers", None, "identifier_source", "file_identifiers"
    ),
    Field("chapters", FILE, Kind.CHAPTERS, "Chapters", None, "chapter_source", "chapters"),
    Field("cover", FILE, Kind.COVER, "Cover", "cover_image_filename", "cover_source"),
    Field("page_count", FILE, Kind.INTEGER, "Pages", "page_count", reset=False),
    Field(
        "audiobook_duration_seconds", FILE, Kind.REAL, "Duration", "audiobook_duration_seconds", reset=False
    ),
    Field("audiobook_bitrate_bps", FILE, Kind.INTEGER, "Bitrate", "audiobook_bitrate_bps", reset=False),
    Field("audiobook_codec", FILE, Kind.TEXT, "Codec", "audiobook_codec", reset=False),
)

BY_NAME: dict[str, Field] = {f.name: f for f in FIELDS}
BOOK_FIELDS = tuple(f for f in FIELDS if f.level is BOOK)
FILE_FIELDS = tuple(f for f in FIELDS if f.level is FILE)
