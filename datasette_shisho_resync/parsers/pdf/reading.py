"""A PDF -> `ParsedFile`: which of its parts means what, and which part may fail without the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import BinaryIO, TypeVar

from ...errors import LimitExceeded, UnreadableFile
from ...model import Author, Chapter, Limits, ParsedFile
from ...normalize.language import language_tag
from ...normalize.names import split_list, split_names
from ...normalize.text import clean, clean_line, html_to_text
from ...sources import PDF
from .cover import load_cover
from .document import open_pdf, pdf_faults, raw_entry, text
from .outline import read_outline
from .pages import load_pages
from .properties import merged, read_info, read_xmp

_Part = TypeVar("_Part")


def read_pdf(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    """Read a PDF's metadata, page count and outline.

    Raises: UnreadableFile, LimitExceeded.
    Source: spec 4.4.
    """
    with pdf_faults(name):
        reader = open_pdf(file, name)
        catalog = reader.root_object
        pages = load_pages(catalog, name, limits)
    warnings: list[str] = []
    info = _optional("document information", warnings, name, lambda: read_info(reader.trailer), None)
    xmp = _optional("XMP metadata", warnings, name, lambda: read_xmp(catalog, name, limits), None)
    none: tuple[Chapter, ...] = ()
    chapters = _optional("outline", warnings, name, lambda: read_outline(catalog, pages, name, limits), none)
    language = _optional("language", warnings, name, lambda: text(raw_entry(catalog, "/Lang")), "")
    properties = merged(info, xmp)
    # Differs from Shisho: the day on which a PDF file was made is not when the book came out.
    return ParsedFile(
        source=PDF,
        title=clean_line(properties.title, limits.max_scalar_bytes),
        description=clean(html_to_text(properties.description), limits.max_description_bytes),
        authors=tuple(
            Author(person)
            for person in _entries(split_names(properties.authors.replace("&", ";")), name, limits)
        ),
        tags=_entries(split_list(properties.keywords), name, limits),
        language=language_tag(language),
        chapters=chapters,
        page_count=len(pages) or None,
        load_cover=partial(load_cover, file, pages, 0, name, limits) if pages else None,
        load_page=lambda page: load_cover(file, pages, page, name, limits),
        warnings=tuple(warnings),
    )


def _optional(part: str, warnings: list[str], name: str, read: Callable[[], _Part], without: _Part) -> _Part:
    """Read what the file can do without."""
    try:
        with pdf_faults(name):
            return read()
    except UnreadableFile as error:
        warnings.append(f"The {part} was left out: {error.reason}.")
        return without


def _entries(written: tuple[str, ...], name: str, limits: Limits) -> tuple[str, ...]:
    parts = (clean_line(part, limits.max_scalar_bytes) for part in written)
    found = tuple(dict.fromkeys(part for part in parts if part))
    if len(found) > limits.max_list_entries:
        raise LimitExceeded(name, f"more than {limits.max_list_entries:,} names in a list (max_list_entries)")
    return found
