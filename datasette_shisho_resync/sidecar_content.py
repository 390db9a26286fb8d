"""What the sidecars of a book and of a file shall hold, from the values of their fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import Identities, SeriesEntry, Stored, Value
from .parsers.sidecar import BookSidecar, FileSidecar, SidecarPerson, SidecarSeries

Values = Mapping[str, Value]
Record = Mapping[str, Stored]


def sidecar_of_book(record: Record, identities: Identities) -> BookSidecar:
    return book_sidecar(values_of(record), identities)


def sidecar_of_file(record: Record, identities: Identities) -> FileSidecar:
    page = record["cover"].raw["page"] if "cover" in record else None
    return file_sidecar(values_of(record), page, identities)


def values_of(record: Record) -> Values:
    return {name: stored.value for name, stored in record.items()}


def book_sidecar(values: Values, identities: Identities) -> BookSidecar:
    def get(name: str) -> Any:
        return values.get(name)

    return BookSidecar(
        title=get("title"),
        sort_title=get("sort_title"),
        subtitle=get("subtitle"),
        description=get("description"),
        authors=tuple(
            SidecarPerson(author.name, identities.sort_name("persons", author.name), author.role)
            for author in get("authors") or ()
        ),
        series=tuple(_series(s, identities) for s in get("series") or ()),
        genres=get("genres") or (),
        tags=get("tags") or (),
    )


def _series(entry: SeriesEntry, identities: Identities) -> SidecarSeries:
    sort_name = identities.sort_name("series", entry.name)
    return SidecarSeries(entry.name, sort_name, entry.number, entry.number_end, entry.unit)


def file_sidecar(values: Values, cover_page: int | None, identities: Identities) -> FileSidecar:
    def get(name: str) -> Any:
        return values.get(name)

    return FileSidecar(
        name=get("name"),
        narrators=tuple(
            SidecarPerson(name, identities.sort_name("persons", name)) for name in get("narrators") or ()
        ),
        publisher=get("publisher"),
        url=get("url"),
        release_date=get("release_date"),
        identifiers=get("identifiers") or (),
        chapters=get("chapters") or (),
        cover_page=cover_page,
        language=get("language"),
        abridged=get("abridged"),
    )
