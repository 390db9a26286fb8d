"""What an import has made of a book, and the covers and sidecars that follow from it. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..model import CoverImage, Identities, Value
from ..model.portable import portable
from ..parsers.sidecar import (
    book_sidecar_path,
    file_sidecar_path,
    render_book_sidecar,
    render_file_sidecar,
)
from ..resync.companions import Companion
from ..resync.sidecar_drafts import SidecarDraft
from ..sidecar_content import book_sidecar, file_sidecar
from ..store.history import Entry
from ..store.pending import COVER
from .new_book import NewBook, NewFile


@portable
@dataclass(frozen=True, slots=True)
class MadeBook:
    """A book's row after the import: its fields, and the history of what changed if it was there before."""

    id: int
    is_new: bool
    values: Mapping[str, Value]
    entries: tuple[Entry, ...] = ()


@portable
@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file's row after the import: its fields, and the base name of its cover image."""

    id: int
    file: NewFile
    cover_name: str | None
    values: Mapping[str, Value]

    @property
    def cover_page(self) -> int | None:
        cover = self.values.get("cover")
        return cover.page if isinstance(cover, CoverImage) else None


def covers_of(files: Sequence[MadeFile]) -> tuple[Companion, ...]:
    """Return the images from inside the files, but for those beside which one lay and was taken."""
    return tuple(cover for f in files if (cover := _cover_of(f)) is not None)


def _cover_of(file: MadeFile) -> Companion | None:
    cover = file.values.get("cover")
    if file.cover_name is None or not isinstance(cover, CoverImage) or not cover.data:
        return None
    path = os.path.join(os.path.dirname(file.file.path), file.cover_name)
    return Companion(path, COVER, cover.data, None, cover.sha256)


def drafts_of(
    book: NewBook, made: MadeBook, files: Sequence[MadeFile], first_main: str, known: Identities
) -> list[SidecarDraft]:
    """Return the sidecars of new files and of their book; `first_main` is the path of its first main file."""
    found = {
        s.path: s for f in book.files for s in (f.reading.book_sidecar, f.reading.sidecar) if s is not None
    }
    return [
        SidecarDraft(path, render, found.get(path))
        for path, render in _sidecars(book, made, files, first_main, known)
    ]


def _sidecars(
    book: NewBook, made: MadeBook, files: Sequence[MadeFile], first_main: str, known: Identities
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for file in files:
        yield file_sidecar_path(file.file.path), partial(_render_file, file, known)
    if files:
        place = book_sidecar_path(book.path, first_main, not book.root_level)
        yield place, lambda: render_book_sidecar(book_sidecar(made.values, known))


def _render_file(file: MadeFile, known: Identities) -> bytes:
    return render_file_sidecar(file_sidecar(file.values, file.cover_page, known))
