"""How values look on a page: text, lists with what comes and goes, covers. Pure."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..files import COVER_MIMES, shown
from ..json_output import sendable
from ..model import Chapter, CoverImage, Value
from ..value_text import value_text
from ..values import is_empty

_MOST_ITEMS = 200
_MOST_TEXT = 2_000
_LARGEST_THUMBNAIL_BYTES = 1024**2
_MOST_IMAGE_LETTERS = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a list; `mark` is `same`, `added` or `removed`, `depth` that of a chapter."""

    text: str
    mark: str = "same"
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A value: `kind` is `empty`, `text`, `list` or `cover`; `more` entries are not shown."""

    kind: str
    text: str = ""
    items: tuple[Item, ...] = ()
    more: int = 0
    image: str | None = None


EMPTY_CELL = Cell("empty")


@dataclass(slots=True)
class Images:
    """The images that are part of one page: no more than it can carry."""

    left: int = _MOST_IMAGE_LETTERS

    def bounded(self, cell: Cell) -> Cell:
        """Return a cell, without its image if the page is full."""
        letters = len(cell.image or "")
        if letters > self.left:
            return replace(cell, image=None)
        self.left -= letters
        return cell


def shown_cell(value: Value) -> Cell:
    if is_empty(value):
        return EMPTY_CELL
    if isinstance(value, tuple):
        return _list_cell([Item(text, depth=depth) for text, depth in _entries(value)])
    if isinstance(value, CoverImage):
        return Cell("cover", f"{value.width} × {value.height} {value.mime}", image=_image(value))
    text = str(sendable(value_text(value)))
    return Cell("text", text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…")


def list_cells(old: Value, new: Value) -> tuple[Cell, Cell]:
    """Return two lists, each with what the other one lacks marked."""
    before, after = list(_entries(old)), list(_entries(new))
    lost = Counter(text for text, _ in before) - Counter(text for text, _ in after)
    won = Counter(text for text, _ in after) - Counter(text for text, _ in before)
    return (_list_cell(_marked(before, lost, "removed")), _list_cell(_marked(after, won, "added")))


def _marked(entries: list[tuple[str, int]], marked: Counter[str], mark: str) -> list[Item]:
    return [Item(text, mark if marked[text] else "same", depth) for text, depth in entries]


def _list_cell(items: list[Item]) -> Cell:
    if not items:
        return EMPTY_CELL
    return Cell("list", items=tuple(items[:_MOST_ITEMS]), more=max(0, len(items) - _MOST_ITEMS))


def _entries(value: Value, depth: int = 0) -> Iterator[tuple[str, int]]:
    for entry in value if isinstance(value, tuple) else ():
        if isinstance(entry, Chapter):
            yield _chapter_text(entry), depth
            yield from _entries(entry.children, depth + 1)
        else:
            yield shown(value_text((entry,))), depth  # type: ignore[arg-type]  # one entry of a list is a list


def _chapter_text(chapter: Chapter) -> str:
    if chapter.start_page is not None:
        return f"{shown(chapter.title)} (page {chapter.start_page + 1})"
    if chapter.start_timestamp_ms is not None:
        minutes, seconds = divmod(chapter.start_timestamp_ms // 1000, 60)
        return f"{shown(chapter.title)} ({minutes // 60}:{minutes % 60:02}:{seconds:02})"
    return shown(chapter.title)


def _image(cover: CoverImage) -> str | None:
    """Return the image itself as an address, if it is one that a browser may show and not too large."""
    if cover.mime not in COVER_MIMES.values() or not 0 < len(cover.data) <= _LARGEST_THUMBNAIL_BYTES:
        return None
    return f"data:{cover.mime};base64,{base64.b64encode(cover.data).decode('ascii')}"
