"""Sidecars: JSON beside a book or a file that a person may edit. Reads and writes bytes, opens nothing.

Source: spec 7.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from json.encoder import encode_basestring
from typing import Any, NoReturn

from ..model import Chapter, Identifier, Limits, ParsedFile, SidecarReading
from ..model.portable import portable
from ..sources import SIDECAR
from ..values import MAX_DEPTH, from_json, plain_number, to_json

VERSION = 1

SIDECAR_SUFFIX = ".metadata.json"
SIDECAR_FIELDS = (
    "title", "subtitle", "description", "authors", "series", "genres", "tags",
    "name", "narrators", "publisher", "url", "release_date", "identifiers", "chapters", "language",
    "abridged",
)  # fmt: skip
_BLANK = b"\0 \t\r\n"
_MAX_ITEMS = 300_000  # an ordinary sidecar has hundreds, one with 20,000 chapters 80,000
_LOOSE = ("authors", "genres", "tags", "narrators", "identifiers")  # series: spec 2.3; chapters are a tree
_MOST_PLACES = 4
_LAST_PAGE = 2**31 - 1
_MAX_DIGITS = 20  # of a whole number; more than any column holds

_Identity = tuple[object, ...]
_Below = dict[_Identity, tuple[Chapter, ...]]


@portable
@dataclass(frozen=True, slots=True)
class SidecarPerson:
    name: str
    sort_name: str | None = None
    role: str | None = None


@portable
@dataclass(frozen=True, slots=True)
class SidecarSeries:
    name: str
    sort_name: str | None = None
    number: float | None = None
    number_end: float | None = None
    unit: str | None = None


@portable
@dataclass(frozen=True, slots=True)
class BookSidecar:
    """What a book's sidecar holds."""

    title: str | None = None
    sort_title: str | None = None
    subtitle: str | None = None
    description: str | None = None
    authors: tuple[SidecarPerson, ...] = ()
    series: tuple[SidecarSeries, ...] = ()
    genres: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@portable
@dataclass(frozen=True, slots=True)
class FileSidecar:
    """What a file's sidecar holds; narrators have no role."""

    name: str | None = None
    narrators: tuple[SidecarPerson, ...] = ()
    publisher: str | None = None
    url: str | None = None
    release_date: date | None = None
    identifiers: tuple[Identifier, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    cover_page: int | None = None
    language: str | None = None
    abridged: bool | None = None


def file_sidecar_path(file_path: str) -> str:
    """Return where the sidecar of a file is."""
    return file_path + SIDECAR_SUFFIX


def book_sidecar_path(book_path: str, main_file_path: str, book_dir_exists: bool) -> str:
    """Return where the sidecar of a book is: in its folder, or beside its first main file."""
    if book_dir_exists:
        folder = book_path.rstrip("/")
        return os.path.join(folder, os.path.basename(folder) + SIDECAR_SUFFIX)
    return os.path.splitext(main_file_path)[0] + SIDECAR_SUFFIX


def parse_sidecar(
    data: bytes, path: str, limits: Limits, names: Collection[str] = SIDECAR_FIELDS
) -> SidecarReading:
    """Read the named fields of a book's or a file's sidecar. Raises nothing.

    `parsed` is None, and `error` a clause without a full stop, when the whole is not usable; a single
    bad value is left out with a warning.
    """
    reading = SidecarReading(path, hashlib.sha256(data).hexdigest(), data)
    try:
        content = _decoded(data, limits)
    except RecursionError:
        return replace(reading, error="is nested too deep")
    except ValueError as error:
        return replace(reading, error=str(error))
    return replace(reading, parsed=_parsed(content, limits, names))


def _decoded(data: bytes, limits: Limits) -> dict[str, Any]:
    if len(data) > limits.max_sidecar_bytes:
        raise ValueError(f"is larger than max_sidecar_bytes ({limits.max_sidecar_bytes:,} bytes)")
    if not data.strip(_BLANK):  # what a power failure can leave of one that was written just before
        return {}
    # Counted first, because a few bytes of JSON become hundreds in memory.
    if sum(map(data.count, (b"[", b"{", b","))) > _MAX_ITEMS:
        raise ValueError(f"holds more than {_MAX_ITEMS:,} items")
    try:
        content = json.loads(data, parse_int=_integer, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ValueError("is not valid JSON") from error
    if not isinstance(content, dict):
        raise ValueError("is not a JSON object")
    return content


def _integer(text: str) -> float:
    return int(text) if len(text) <= _MAX_DIGITS else math.inf


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _parsed(content: Mapping[str, Any], limits: Limits, names: Collection[str]) -> ParsedFile:
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for key in SIDECAR_FIELDS:
        if key not in names or content.get(key) is None:
            continue
        try:
            values[key] = from_json(key, content[key], limits)
        except ValueError as error:
            usable, wrong = _sorted_out(key, content[key], limits)
            if usable:
                values[key] = from_json(key, usable, limits)
            told = wrong or {str(error): "it was"}
            warnings.extend(f"In the sidecar, {what}; {which} left out." for what, which in told.items())
    if "chapters" in values:
        values["chapters"] = _without_repeats(values["chapters"])
    page = content.get("cover_page")
    is_page = type(page) is int and 0 <= page <= _LAST_PAGE
    if page is not None and not is_page:
        warnings.append("In the sidecar, cover_page is no number of a page; it was left out.")
    return ParsedFile(SIDECAR, **values, cover_page=page if is_page else None, warnings=tuple(warnings))


def _sorted_out(key: str, data: object, limits: Limits) -> tuple[list[object], Mapping[str, str]]:
    """Return the entries of a list that can be used, and by what is wrong which others that is wrong with.

    Nothing of a list that is too long, or whose entries belong together.
    """
    usable: list[object] = []
    wrong: dict[str, list[int]] = {}
    if key not in _LOOSE or not isinstance(data, list) or len(data) > limits.max_list_entries:
        return usable, {}
    for place, entry in enumerate(data, 1):
        try:
            from_json(key, [entry], limits)
            usable.append(entry)
        except ValueError as error:
            wrong.setdefault(str(error), []).append(place)
    return usable, {what: _which(places) for what, places in wrong.items()}


def _which(places: Sequence[int]) -> str:
    if len(places) == 1:
        return f"entry {places[0]} was"
    more = " …" if len(places) > _MOST_PLACES else ""
    return f"entries {', '.join(map(str, places[:_MOST_PLACES]))}{more} were"


def _without_repeats(chapters: tuple[Chapter, ...]) -> tuple[Chapter, ...]:
    """Drop from the top level what also stands below another chapter.

    Shisho writes nested chapters in both places, and takes its own list back longer every time.
    """
    nested = {_identity(child) for chapter in chapters for child in _descendants(chapter)}
    repeats = {entry for entry in chapters if _identity(entry) in nested and not _repeats_itself(entry)}
    kept = [entry for entry in chapters if entry not in repeats]
    if not repeats or not kept:
        return chapters
    # A repeat may be the only one of the two that has what is below it.
    below = {_identity(entry): entry.children for entry in repeats if entry.children}
    return tuple(_completed(entry, below, MAX_DEPTH) for entry in kept)


def _completed(chapter: Chapter, below: _Below, depth: int) -> Chapter:
    children = chapter.children or below.pop(_identity(chapter), ())
    if not children or not depth:
        return chapter
    return replace(chapter, children=tuple(_completed(child, below, depth - 1) for child in children))


def _identity(chapter: Chapter) -> _Identity:
    return chapter.title, chapter.start_page, chapter.start_timestamp_ms, chapter.href


def _descendants(chapter: Chapter) -> Iterator[Chapter]:
    for child in chapter.children:
        yield child
        yield from _descendants(child)


def _repeats_itself(chapter: Chapter) -> bool:
    """Tell whether a chapter has one of its own title and place below it, as parts of a book may."""
    return any(_identity(child) == _identity(chapter) for child in _descendants(chapter))


def render_book_sidecar(book: BookSidecar) -> bytes:
    """Return a book's sidecar as Shisho writes it, empty values left out."""
    return _rendered(
        title=book.title,
        sort_title=book.sort_title,
        subtitle=book.subtitle,
        description=book.description,
        authors=_people(book.authors),
        series=[_series(entry, place) for place, entry in enumerate(book.series, 1)],
        genres=sorted(book.genres),
        tags=sorted(book.tags),
    )


def render_file_sidecar(file: FileSidecar) -> bytes:
    """Return a file's sidecar as Shisho writes it, empty values left out."""
    # Differs from Shisho: nested chapters are written once.
    return _rendered(
        name=file.name,
        narrators=_people(file.narrators),
        publisher=file.publisher,
        url=file.url,
        release_date=to_json(file.release_date),
        identifiers=to_json(file.identifiers),
        chapters=file.chapters,
        cover_page=file.cover_page,
        language=file.language,
        abridged=file.abridged,
    )


def _people(people: tuple[SidecarPerson, ...]) -> list[dict[str, object]]:
    return [
        _present(name=person.name, sort_name=person.sort_name, sort_order=place, role=person.role)
        for place, person in enumerate(people, 1)
    ]


def _series(entry: SidecarSeries, place: int) -> dict[str, object]:
    return _present(
        name=entry.name,
        sort_name=entry.sort_name,
        number=plain_number(entry.number),
        number_end=plain_number(entry.number_end),
        unit=entry.unit,
        sort_order=place,
    )


def _present(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value not in (None, "", [], ())}


def _rendered(**values: object) -> bytes:
    # Lone surrogates can't be encoded; a question mark is better than no sidecar.
    return _json(_present(version=VERSION, **values), "\n").encode(errors="replace")


def _json(value: object, line: str) -> str:
    """Write what `json.dumps(indent=2)` does, in half its time; `line` is the break before the next line."""
    write = _WRITERS.get(type(value))
    return write(value, line) if write else json.dumps(value)


def _object(value: dict[str, object], line: str) -> str:
    deeper = line + "  "
    items = [f'"{key}": {_json(item, deeper)}' for key, item in value.items()]
    return f"{{{deeper}{(',' + deeper).join(items)}{line}}}"


def _array(value: list[object], line: str) -> str:
    deeper = line + "  "
    return f"[{deeper}{(',' + deeper).join([_json(item, deeper) for item in value])}{line}]"


def _chapters(chapters: tuple[Chapter, ...], line: str) -> str:
    """Write chapters as `chapter_to_json` has them: there may be thousands."""
    deeper = line + "  "
    start = f'{{{deeper}  "title": '
    page, time, href, children = (
        f',{deeper}  "{name}": ' for name in ("start_page", "start_timestamp_ms", "href", "children")
    )
    written = []
    for chapter in chapters:
        text = start + encode_basestring(chapter.title)
        if chapter.start_page is not None:
            text += f"{page}{chapter.start_page}"
        if chapter.start_timestamp_ms is not None:
            text += f"{time}{chapter.start_timestamp_ms}"
        if chapter.href is not None:
            text += href + encode_basestring(chapter.href)
        if chapter.children:
            text += children + _chapters(chapter.children, deeper + "  ")
        written.append(f"{text}{deeper}}}")
    return f"[{deeper}{(',' + deeper).join(written)}{line}]"


_WRITERS: dict[type, Callable[[Any, str], str]] = {
    str: lambda value, line: encode_basestring(value),
    int: lambda value, line: str(value),
    dict: _object,
    list: _array,
    tuple: _chapters,
}
