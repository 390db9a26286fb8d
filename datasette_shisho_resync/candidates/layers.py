"""The layers of a file and its book: what the file, its path, its sidecars and other plugins say."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from operator import attrgetter

from ..fields import BOOK_FIELDS, FIELDS, FILE_FIELDS
from ..model import (
    BookRow,
    FileReading,
    FileRow,
    FileStat,
    Layer,
    Limits,
    Mode,
    ParsedFile,
    SeriesEntry,
    SidecarReading,
    Stored,
    Value,
)
from ..normalize.titles import (
    comic_display_name,
    normalize_comic_title,
    series_from_title,
    title_of_whole,
    without_part_number,
)
from ..parsers.filename import parse_path
from ..parsers.sidecar import SIDECAR_FIELDS, parse_sidecar
from ..sources import FILEPATH, SIDECAR, embedded_source, is_embedded
from ..values import is_empty
from .circumstances import Circumstances
from .covers import cover_layers, is_cover, is_replaced_by_hand

_BOOK_NAMES = frozenset(f.name for f in BOOK_FIELDS)
_FILE_NAMES = frozenset(f.name for f in FILE_FIELDS)
_METADATA = tuple(f.name for f in FIELDS if f.name not in ("sort_title", "cover"))
_metadata_of = attrgetter(*_METADATA)


def but_for_later(
    layer: Layer, file_type: str, files: Iterable[FileRow], stored: Mapping[str, Stored]
) -> Layer:
    """Leave out of a new file's word on its book what `files` of the book say that come after it: of equally
    good ones the last counts.

    Nobody kept which file a value came from: it is taken to be from any whose values have its source.
    """
    later = {f.file_type for f in files if f.is_main and f.file_type > file_type}
    theirs = {embedded_source(t) if is_embedded(layer.source) else layer.source for t in later}
    kept = {n for n, s in stored.items() if s.source in theirs and not is_empty(s.value)}
    return replace(layer, values={n: v for n, v in layer.values.items() if n not in kept})


def file_layers(
    reading: FileReading,
    row: FileRow,
    book: BookRow,
    stored_cover: Stored,
    seen: frozenset[tuple[str, str]],
    circumstances: Circumstances,
    *,
    shown_path: str,
    root_level: bool,
) -> tuple[Layer, ...]:
    """Return every layer that one main file gives, for its own fields and for its book's.

    `seen`: the contents, (path, SHA-256), of its sidecars as last seen, and of its covers as written.
    """
    is_by_hand = circumstances.mode is Mode.SCAN and is_replaced_by_hand(stored_cover, row, seen)
    for_others = replace(circumstances, cover_mimes=frozenset()) if is_by_hand else circumstances
    parsed = _comic_numbered(reading.parsed, row) if reading.parsed else None
    layers: list[Layer] = []
    if circumstances.path_speaks:
        said = path_layer(row, book, parsed, shown_path=shown_path, root_level=root_level)
        layers.append(_of_whole(said) if circumstances.is_part and root_level else said)
    if parsed:
        values = embedded_values(parsed, row, is_part=circumstances.is_part)
        layers.append(Layer(parsed.source, values, shown_path))
    if circumstances.mode is not Mode.RESET:  # Shisho's reset asks no plugin either
        layers.extend(_enriched_layer(layer, for_others, shown_path) for layer in reading.enriched)
    layers.extend(
        cover_layers(reading, parsed, stored_cover, circumstances, shown_path, is_by_hand=is_by_hand)
    )
    if circumstances.sidecars_count:
        layers.extend(
            _with_page(layer, reading, stored_cover, for_others)
            for layer in sidecar_layer(reading.sidecar, seen, _FILE_NAMES)
        )
    return tuple(layers)


def _enriched_layer(layer: Layer, circumstances: Circumstances, shown_path: str) -> Layer:
    values = dict(layer.values)
    if not is_cover(values.get("cover"), circumstances):
        values.pop("cover", None)
    return replace(layer, values=values, path=shown_path)


def supplement_layers(row: FileRow, *, shown_path: str) -> tuple[Layer, ...]:
    """A supplement is named after its file, in every mode, and has no other metadata."""
    stem = os.path.splitext(os.path.basename(row.path))[0]
    return (Layer(FILEPATH, {"name": stem}, shown_path),)


def sidecar_layer(
    sidecar: SidecarReading | None, seen: frozenset[tuple[str, str]], names: Collection[str]
) -> tuple[Layer, ...]:
    """Return the sidecar's layer; one that nobody edited since we last saw it is an echo."""
    if sidecar is None or sidecar.error is not None:
        return ()
    is_echo = (sidecar.path, sidecar.sha256) in seen
    return (Layer(SIDECAR, _SidecarValues(sidecar, names), sidecar.path, is_echo),)


def _with_page(layer: Layer, reading: FileReading, stored: Stored, circumstances: Circumstances) -> Layer:
    """Let a sidecar's `cover_page` speak where it is another than that of the cover there is."""
    wanted = reading.sidecar.parsed.cover if reading.sidecar and reading.sidecar.parsed else None
    there = stored.raw.get("page") if isinstance(stored.raw, Mapping) else None
    if circumstances.importing and reading.parsed and reading.parsed.cover:
        there = reading.parsed.cover.page
    if layer.echo or wanted is None or wanted.page == there or not is_cover(wanted, circumstances):
        return layer
    return replace(layer, values={**layer.values, "cover": wanted})


class _SidecarValues(Mapping[str, Value]):
    """What a sidecar says about some fields. Of an echo little is asked, so only that is parsed."""

    def __init__(self, sidecar: SidecarReading, names: Collection[str]) -> None:
        self._sidecar = sidecar
        self._names = frozenset(names).intersection(SIDECAR_FIELDS)

    @cached_property
    def _values(self) -> dict[str, Value]:
        return self._parsed(self._names)

    def _parsed(self, names: Collection[str]) -> dict[str, Value]:
        parsed = sidecar_content(self._sidecar, names)
        return {n: v for n, v in _present(parsed).items() if n in names} if parsed else {}

    def __getitem__(self, name: str) -> Value:
        if name not in self._names:
            raise KeyError(name)
        return (self._parsed((name,)) if self._sidecar.is_known else self._values)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def sidecar_content(sidecar: SidecarReading, names: Collection[str] = SIDECAR_FIELDS) -> ParsedFile | None:
    """Return what a sidecar says of the named fields, also if it was not parsed when it was read."""
    if sidecar.is_known:
        return parse_sidecar(sidecar.data, sidecar.path, Limits(), names).parsed
    return sidecar.parsed


def book_sidecar_layer(sidecar: SidecarReading | None, seen: frozenset[tuple[str, str]]) -> tuple[Layer, ...]:
    return sidecar_layer(sidecar, seen, _BOOK_NAMES)


def is_part(row: FileRow, files: Iterable[FileRow]) -> bool:
    """Tell whether a file is one of several audiobook files of one book."""
    return row.file_type == "m4b" and sum(f.is_main and f.file_type == "m4b" for f in files) > 1


def embedded_values(parsed: ParsedFile, row: FileRow, *, is_part: bool) -> Mapping[str, Value]:
    values = _present(parsed)
    if is_part:
        # Differs from Shisho: the title of its last part is not the book's.
        values.pop("title", None)
        if title := title_of_parts(parsed, row):
            values["title"] = title
    name = _display_name(parsed, row)
    if name:
        values["name"] = name
    return values


def title_of_parts(parsed: ParsedFile, row: FileRow) -> str | None:
    """Return what one of several parts says about the title of all of them: its album, else its title."""
    name = os.path.basename(row.path)
    titles = (title_of_whole(title, name) for title in (parsed.album, parsed.title) if title)
    return next((title for title in titles if title), None)


def path_layer(
    row: FileRow, book: BookRow, parsed: ParsedFile | None, *, shown_path: str, root_level: bool
) -> Layer:
    """Return what the file's and folder's names say; a comic's series is read from its final title."""
    said = parse_path(row.path, root_level=root_level, file_type=row.file_type, book_folder=book.path)
    values = _present(said)
    title = parsed.title if parsed and parsed.title else said.title
    if row.file_type == "cbz":
        series = series_from_title(title) if title else None
        values.pop("series", None)
        if series:
            values["series"] = (series,)
        values["name"] = comic_display_name(None, None, os.path.basename(row.path)) or title
    else:
        values["name"] = said.title
    return Layer(FILEPATH, {n: v for n, v in values.items() if not is_empty(v)}, shown_path)


def _of_whole(said: Layer) -> Layer:
    """A file's name that numbers a part names the book without the number."""
    title = without_part_number(str(said.values["title"]))
    return replace(said, values={**said.values, "title": title}) if title else said


def _present(parsed: ParsedFile) -> dict[str, Value]:
    values = zip(_METADATA, _metadata_of(parsed), strict=True)
    return {name: value for name, value in values if not (value is None or value == "" or value == ())}


def _comic_numbered(parsed: ParsedFile, row: FileRow) -> ParsedFile:
    """A comic's trailing number becomes `v007`; its unit goes to a series number that has none."""
    if row.file_type != "cbz" or not parsed.title:
        return parsed
    title, unit = normalize_comic_title(parsed.title)
    series = parsed.series
    if unit:
        series = tuple(
            replace(s, unit=unit) if s.number is not None and s.unit is None else s for s in series
        )
    return replace(parsed, title=title, series=series)


def identity_of(
    reading: FileReading, row: FileRow, book: BookRow, *, root_level: bool
) -> tuple[str, str | None, SeriesEntry | None]:
    """Return the title, first author and series by which a new file finds its book."""
    parsed = _comic_numbered(reading.parsed, row) if reading.parsed else None
    said = path_layer(row, book, parsed, shown_path="", root_level=root_level).values
    title = parsed.title if parsed and parsed.title else str(said["title"])
    authors = (parsed.authors if parsed else ()) or said.get("authors", ())
    series = (parsed.series if parsed else ()) or said.get("series", ())
    return title, authors[0].name if authors else None, series[0] if series else None  # type: ignore


def _display_name(parsed: ParsedFile, row: FileRow) -> str | None:
    if row.file_type != "cbz":
        return parsed.title
    first: SeriesEntry | None = parsed.series[0] if parsed.series else None
    if not parsed.title and first is None:
        return None  # what is left is the file's own name, which is the path layer's to offer
    return comic_display_name(parsed.title, first, os.path.basename(row.path)) or None


def is_unchanged(stat: FileStat | None, size_bytes: int, modified_ns: int | None) -> bool:
    """Tell whether size and time are those of the last scan."""
    return stat is not None and modified_ns is not None and stat.is_same(FileStat(size_bytes, modified_ns))
