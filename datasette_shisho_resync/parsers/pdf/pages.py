"""The page tree of a PDF: how many pages there are, and which object is which page."""

from __future__ import annotations

from pypdf.generic import ArrayObject, DictionaryObject

from ...errors import LimitExceeded, UnreadableFile
from ...model import Limits
from .document import Visited, entry, raw_entry, resolved


def load_pages(catalog: DictionaryObject, name: str, limits: Limits) -> tuple[object, ...]:
    """Return the pages in order, as references not yet followed.

    Raises: UnreadableFile when there is no page tree, LimitExceeded.
    """
    if not isinstance(entry(catalog, "/Pages"), DictionaryObject):
        raise UnreadableFile(name, "damaged PDF: it has no pages")
    visited = Visited(name, "page tree nodes (max_archive_entries)", limits.max_archive_entries)
    found: list[object] = []
    pending: list[object] = [raw_entry(catalog, "/Pages")]
    while pending:
        raw = pending.pop()
        if not visited.is_new(raw):
            continue
        node = resolved(raw)
        kids = _kids(node)
        if _are_pages(kids, node):
            found += kids
        elif kids:
            pending += reversed(kids)
        elif isinstance(node, DictionaryObject) and "/Kids" not in node:
            found.append(raw)
        if len(found) > limits.max_archive_entries:
            raise LimitExceeded(name, f"more than {limits.max_archive_entries:,} pages (max_archive_entries)")
    return tuple(found)


def _kids(node: object) -> list[object]:
    kids = entry(node, "/Kids")
    return list(kids) if isinstance(kids, ArrayObject) else []


def _are_pages(kids: list[object], node: object) -> bool:
    """Tell whether all kids are pages, reading only the first: a long book costs no more than a short one."""
    return bool(kids) and entry(node, "/Count") == len(kids) and not _kids(resolved(kids[0]))
