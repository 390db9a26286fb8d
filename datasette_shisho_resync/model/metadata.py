"""What a source says of a book and a file, as values, and what bounds and judges it.

Collections are tuples, so every value can be compared, hashed and pickled. An absent value is
None or an empty tuple; `False` and `0` are values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Union

from .portable import portable


class Mode(str, Enum):
    """How stored values and candidates meet (design section 3)."""

    SCAN = "scan"
    REFRESH = "refresh"
    RESET = "reset"


class Reason(str, Enum):
    """Why a field changes, or stays. The words are part of the public contract."""

    NEW_VALUE = "new_value"
    BETTER_SOURCE = "better_source"
    FORCED = "forced"
    SOURCE_CORRECTED = "source_corrected"
    DERIVED = "derived"
    CLEARED = "cleared"
    REMOVED = "removed"

    LOWER_PRIORITY = "lower_priority"
    SAME = "same"
    EMPTY_CANDIDATE = "empty_candidate"
    NOT_SELECTED = "not_selected"
    SIDECAR_ECHO = "sidecar_echo"


@portable
@dataclass(frozen=True, slots=True)
class Author:
    """A person and what they did for a book; `role` is None for the author of a text.

    Role: writer, penciller, inker, colorist, letterer, cover_artist, editor, translator.
    `sort_name` is a hint from the file, used only when the person is created.
    """

    name: str
    role: str | None = None
    sort_name: str | None = field(default=None, compare=False)


@portable
@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """A book's place in a series. The three number columns are one group: all None, or `number`
    finite, `number_end` greater than it, `unit` None, `volume` or `chapter`."""

    name: str
    number: float | None = None
    number_end: float | None = None
    unit: str | None = None


@portable
@dataclass(frozen=True, slots=True)
class Identifier:
    """Type: isbn_10, isbn_13, asin, uuid, goodreads, google, other ...; value normalised."""

    type: str
    value: str


@portable
@dataclass(frozen=True, slots=True)
class Chapter:
    """`start_page` is 0-based; `href` as written in the EPUB; one of the three places is given at most."""

    title: str
    start_page: int | None = None
    start_timestamp_ms: int | None = None
    href: str | None = None
    children: tuple[Chapter, ...] = ()


@portable
@dataclass(frozen=True, slots=True)
class CoverImage:
    """An image as it is, with what its header says. `page` is the 0-based page it was taken from.

    Two covers are equal when their bytes are.
    """

    sha256: str
    mime: str = field(compare=False)
    width: int = field(compare=False)
    height: int = field(compare=False)
    page: int | None = field(default=None, compare=False)
    data: bytes = field(default=b"", compare=False, repr=False)


Value = Union[  # noqa: UP007 - a runtime alias that Python 3.10 can evaluate too
    None,
    str,
    bool,
    int,
    float,
    date,
    CoverImage,
    tuple[str, ...],
    tuple[Author, ...],
    tuple[SeriesEntry, ...],
    tuple[Identifier, ...],
    tuple[Chapter, ...],
]


@portable
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a file may cost. Every one is a setting of the same name."""

    max_file_bytes: int = 16 * 1024**3
    max_scalar_bytes: int = 64 * 1024
    max_description_bytes: int = 1024**2
    max_list_entries: int = 2_000
    max_chapters: int = 20_000
    max_archive_entries: int = 100_000
    max_xml_bytes: int = 8 * 1024**2
    max_xml_nodes: int = 200_000
    max_xml_depth: int = 100
    max_cover_bytes: int = 32 * 1024**2
    max_cover_pixels: int = 50_000_000
    max_sidecar_bytes: int = 8 * 1024**2
    pdf_seconds: float = 1.5
    cover_seconds: float = 1.5
    cover_memory_bytes: int = 120 * 1024**2
    parse_seconds: float = 10.0
    parse_memory_bytes: int = 136 * 1024**2
    worker_memory_bytes: int = 1024**3


@portable
@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What one source says. Values are normalised (see `normalize`); absent ones stay None or empty.

    A parser that finds a cover returns `load_cover`, called while the file is still open and only
    when the cover is wanted; the worker puts its result into `cover`. `load_page` does the same with any
    page of a format that has pages, for a sidecar that names one (`cover_page`, 0-based).
    `name` is a file's display name where a source has one of its own (sidecars), `album` the title of
    the whole where the file may be one of several parts, and `track` its disc and number there.
    `warnings` are whole sentences about optional metadata that was broken and dropped.
    """

    source: str
    title: str | None = None
    subtitle: str | None = None
    description: str | None = None
    name: str | None = None
    authors: tuple[Author, ...] = ()
    series: tuple[SeriesEntry, ...] = ()
    genres: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    url: str | None = None
    release_date: date | None = None
    language: str | None = None
    abridged: bool | None = None
    publisher: str | None = None
    narrators: tuple[str, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    page_count: int | None = None
    audiobook_duration_seconds: float | None = None
    audiobook_bitrate_bps: int | None = None
    audiobook_codec: str | None = None
    cover: CoverImage | None = None
    album: str | None = None
    track: tuple[int, int] | None = None
    cover_page: int | None = None
    load_cover: Callable[[], CoverImage | None] | None = None
    load_page: Callable[[int], CoverImage | None] | None = None
    warnings: tuple[str, ...] = ()


@portable
@dataclass(frozen=True, slots=True)
class Layer:
    """All candidates of one source: field name -> value, empty ones left out.

    `path` is the file that they came from, in shown form. A layer that is an `echo` holds no news:
    it is listed, and never wins.
    """

    source: str
    values: Mapping[str, Value]
    path: str | None = None
    echo: bool = False
