"""The guard against mass loss: how many records may go before somebody has to name the number."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from ..errors import MassRemoval, ResyncError
from ..model import Target
from ..resync import Ask, Gathered, Service
from ..store.library import bare_books, count_files, load_libraries
from ..value_text import counted

_FEW = 5  # so many may always go: a tenth of a very small library is less than one book
_SHARE = 10


def files_to_go(gathered: Gathered) -> frozenset[int]:
    """Return the files whose records the run would remove; a book without files counts as one, below zero."""
    files = gathered.brief.files
    mains = {f.id for f in files if f.is_main}
    if not files:
        return frozenset({-gathered.brief.target.pk})
    if gathered.gone and mains <= gathered.gone and gathered.promoted is None:
        return frozenset(f.id for f in files)
    return frozenset(gathered.gone)


def _with_whole_books(service: Service, files: Collection[int]) -> set[int]:
    """Return these files, which go one by one, and what goes with the last one of a book."""
    found = set(files)
    for book_id in bare_books(service.conn, files):
        with suppress(ResyncError):  # it stays, and is reported when its turn comes
            found |= files_to_go(service.gather(Ask(Target("books", book_id))))
    return found


def is_much(count: int, known: int) -> bool:
    """Tell whether `count` records of files are too many to go unasked from a library that has `known`."""
    return count > max(_FEW, known // _SHARE)


def require_confirmed(
    service: Service, going: Iterable[tuple[int, Collection[int]]], confirmed: int | None
) -> None:
    """Raise MassRemoval when much would go and nobody said that so many may.

    `going`: files whose records would go, each time with the id of their library.
    """
    files: dict[int, set[int]] = {}
    for library, some in going:
        files.setdefault(library, set()).update(some)
    counts = {library: len(_with_whole_books(service, pks)) for library, pks in files.items()}
    known = {library: count_files(service.conn, library) for library in counts}
    much = [library for library, count in counts.items() if is_much(count, known[library])]
    count = sum(counts[library] for library in much)
    if not much or (confirmed is not None and count <= confirmed):
        return
    names = ", ".join(repr(row.name) for row in load_libraries(service.conn) if row.id in much)
    total = sum(known[library] for library in much)
    raise MassRemoval(
        f"{counted(count, 'record')} of the {counted(total, 'file')} that {names} knows would be removed, "
        "because the files are gone.",
        count,
        total,
    )
