"""The outline (bookmarks) of a PDF -> chapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject

from ...model import Chapter, Limits
from ...normalize.text import clean_line
from .document import Reference, Visited, entry, raw_entry, reference, resolved, text


def read_outline(
    catalog: DictionaryObject, pages: Sequence[object], name: str, limits: Limits
) -> tuple[Chapter, ...]:
    """Flatten the outline depth-first; entries without a title or without a page are left out.

    Raises: LimitExceeded.
    Source: spec 4.4.
    """
    targets = [(title, target) for title, target in _entries(catalog, name, limits) if target is not None]
    is_named = any(_destination_name(target) for _, target in targets)
    named = _named_destinations(catalog, name, limits) if is_named else {}
    numbers = {found: index for index, page in enumerate(pages) if (found := reference(page))}
    chapters = (
        Chapter(title, start_page=page)
        for raw_title, target in targets
        if (title := clean_line(raw_title, limits.max_scalar_bytes))
        and (page := _page_index(target, named, numbers, len(pages))) is not None
    )
    return tuple(chapters)


def _entries(catalog: DictionaryObject, name: str, limits: Limits) -> Iterator[tuple[str, object]]:
    """Yield each entry's title and destination, children after their parent."""
    visited = Visited(name, "outline entries (max_chapters)", limits.max_chapters)
    pending = [raw_entry(entry(catalog, "/Outlines"), "/First")]
    while pending:
        raw = pending.pop()
        item = resolved(raw)
        if isinstance(item, DictionaryObject) and visited.is_new(raw):
            yield text(raw_entry(item, "/Title")), _target(item)
            pending += (raw_entry(item, "/Next"), raw_entry(item, "/First"))


def _target(item: DictionaryObject) -> object:
    action = entry(item, "/A")
    if entry(action, "/S") == "/GoTo":
        return entry(action, "/D")
    return entry(item, "/Dest")


def _destination_name(target: object) -> str:
    return str(target) if isinstance(target, NameObject) else text(target)


def _page_index(
    target: object, named: Mapping[str, object], numbers: Mapping[Reference, int], page_count: int
) -> int | None:
    """Return the 0-based page of a destination: an array, a name, or a dictionary around an array."""
    if found := _destination_name(target):
        target = resolved(named.get(found))
    if isinstance(target, DictionaryObject):
        target = entry(target, "/D")
    page = next(iter(target), None) if isinstance(target, ArrayObject) else None
    if isinstance(page, NumberObject):
        return int(page) if 0 <= page < page_count else None
    place = reference(page)
    return numbers.get(place) if place else None


def _named_destinations(catalog: DictionaryObject, name: str, limits: Limits) -> Mapping[str, object]:
    """Collect the destinations of both tables, the old one of names and the tree of strings."""
    old = entry(catalog, "/Dests")
    found: dict[str, object] = dict(old) if isinstance(old, DictionaryObject) else {}
    visited = Visited(name, "named destinations (max_archive_entries)", limits.max_archive_entries)
    pending = [raw_entry(entry(catalog, "/Names"), "/Dests")]
    while pending:
        raw = pending.pop()
        if not visited.is_new(raw):
            continue
        node = resolved(raw)
        names, kids = entry(node, "/Names"), entry(node, "/Kids")
        if isinstance(names, ArrayObject):
            found.update(zip(map(text, names[::2]), names[1::2], strict=False))
        if isinstance(kids, ArrayObject):
            pending += kids
    return found
