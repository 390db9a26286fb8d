"""The shelf of covers above the rows of books: who wrote each, its formats, where its metadata comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import ResyncError
from ..json_output import sendable
from ..sources import rank
from ..store.browsing import ShelfBook, load_shelf
from ..store.library import load_libraries
from .access import Actor, may_touch, visible_tables
from .addresses import cover_url
from .covers import cover_mime
from .library import WebLibrary, library_of

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_SHOWN_AUTHORS = 3
_READ = frozenset({"files", "authors", "persons", "book_series", "series"})
_ORIGINS = (
    ("manual", "by a person"),
    ("sidecar", "from a sidecar"),
    ("plugin", "from a plugin"),
    ("embedded", "from the files"),
    ("filepath", "from names"),
)
"""By rank of the source: the word in the style sheet, and for a person."""


def shelf_variables(
    datasette: Datasette, request: Request | None, database: str | None, table: str | None, view: str | None
) -> dict[str, Callable[[Iterable[Any]], Awaitable[list[dict[str, Any]]]]]:
    """Return what the template of a table asks for its shelf; nothing where there is nothing to show."""
    if request is None or database is None or table != "books" or view != "table":
        return {}
    library = library_of(datasette, database)
    if library is None or request.path.endswith("/-/fragment"):
        return {}

    async def shisho_shelf(rows: Iterable[Any]) -> list[dict[str, Any]]:
        return await shelf_of(library, request.actor, [int(row.pk_path) for row in rows])

    return {"shisho_shelf": shisho_shelf}


async def shelf_of(library: WebLibrary, actor: Actor, book_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what the shelf shows of these books; nothing in a database that is no library any more."""
    tables = await visible_tables(library.datasette, actor, library.name, _READ)

    def load_books(conn: Any, schema: Any) -> tuple[tuple[ShelfBook, ...], Mapping[int, str]]:
        names = {row.id: row.name for row in load_libraries(conn)} if library.settings.library_access else {}
        return load_shelf(conn, schema, book_ids, tables), names

    try:
        books, names = await library.read(load_books)
    except ResyncError:
        return []
    closed = {pk for pk, name in names.items() if not may_touch(library.settings, actor, pk, name)}
    return [_card(library, book, has_covers=book.library_id not in closed) for book in books]


def _card(library: WebLibrary, book: ShelfBook, *, has_covers: bool) -> dict[str, Any]:
    origins = _origins(book.sources)
    return {
        "url": library.datasette.urls.row(library.name, "books", str(book.id)),
        "title": sendable(book.title),
        "authors": ", ".join(str(sendable(name)) for name in book.authors[:_SHOWN_AUTHORS]),
        "more_authors": max(0, len(book.authors) - _SHOWN_AUTHORS),
        "series": [{"name": sendable(name), "number": _number(number)} for name, number in book.series[:2]],
        "formats": list(dict.fromkeys(str(sendable(file.type)).upper() for file in book.files)),
        "cover_url": _cover_url(library, book) if has_covers else None,
        "origins": origins,
        "total": sum(origin["count"] for origin in origins),
        "lacks": [] if book.has_description else ["no description"],
    }


def _cover_url(library: WebLibrary, book: ShelfBook) -> str | None:
    file = next((file for file in book.files if cover_mime(file.cover_name)), None)
    return None if file is None else cover_url(library, file.id, quote(file.version))


def _origins(sources: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return how many values come from where, best first, each with where its part of the bar begins."""
    counts = [0] * len(_ORIGINS)
    for source, count in sources.items():
        counts[rank(source)] += count
    return [
        {"kind": kind, "label": label, "count": count, "start": sum(counts[:place])}
        for place, ((kind, label), count) in enumerate(zip(_ORIGINS, counts, strict=True))
        if count
    ]


def _number(number: object) -> str:
    return f"{number:g}" if isinstance(number, (int, float)) else ""
