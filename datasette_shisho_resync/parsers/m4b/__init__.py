"""An audiobook (M4B) -> `ParsedFile`: what its tags mean, and which part may fail without the rest.

Knows nothing of box sizes (`boxes`), sample tables (`chapters`), descriptors (`audio`) and the
encodings of tags (`tags`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from itertools import zip_longest
from typing import BinaryIO, TypeVar

from ...errors import LimitExceeded, UnreadableFile
from ...model import Author, CoverImage, Identifier, Limits, ParsedFile, SeriesEntry
from ...normalize.dates import parse_date
from ...normalize.identifiers import identifier, merged_identifiers
from ...normalize.language import language_tag
from ...normalize.names import Split, split_list, split_names
from ...normalize.numbers import parse_number_range
from ...normalize.text import clean, clean_line, html_to_text
from ...normalize.titles import m4b_groupings
from ...sources import M4B
from ..image import read_cover
from .audio import Encoding, duration_seconds, encoding, sound_track
from .boxes import Box, BoxReader, DamagedBoxError
from .chapters import nero_chapters, quicktime_chapters
from .tags import Tags, cover_data, read_tags

_APPLE, _TONE, _SHISHO = "com.apple.itunes:", "com.pilabor.tone:", "com.shisho:"
_IDENTIFIERS = (
    ("ASIN", (_APPLE + "asin", _TONE + "audible_asin", _APPLE + "audible_asin", _TONE + "asin", "CDEK")),
    ("ISBN", (_APPLE + "isbn", _TONE + "isbn")),
)
_YES, _NO = ("true", "1"), ("false", "0")
_Part = TypeVar("_Part")


def parse_m4b(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    """Read an audiobook's metadata, its length and chapters; of the media only the chapter titles.

    Raises: UnreadableFile, LimitExceeded.
    Source: spec 4.3.
    """
    try:
        reader = BoxReader(file, name, limits)
        return _parse_movie(reader, reader.movie())
    except DamagedBoxError as error:
        raise UnreadableFile(name, "its movie box (moov) is damaged") from error
    except OSError as error:
        raise UnreadableFile(name, error.strerror or str(error)) from error


def _parse_movie(reader: BoxReader, movie: Box) -> ParsedFile:
    if not (movie.first(b"mvhd") or movie.first(b"trak")):
        raise DamagedBoxError
    limits, warnings = reader.limits, list[str]()
    optional = partial(_optional, warnings)
    track = sound_track(reader, movie)
    duration = optional("length", lambda: duration_seconds(reader, movie, track))
    sound = optional("codec", lambda: encoding(reader, track)) or Encoding()
    chapters = optional("chapter track", lambda: quicktime_chapters(reader, movie))
    chapters = chapters or optional("chapter list", lambda: nero_chapters(reader, movie))
    tags = read_tags(reader, movie)
    cover = cover_data(movie)
    return ParsedFile(
        source=M4B,
        title=clean_line(tags.text("©nam"), limits.max_scalar_bytes),
        subtitle=clean_line(tags.text(_APPLE + "subtitle", _TONE + "subtitle"), limits.max_scalar_bytes),
        description=clean(_description(tags), limits.max_description_bytes),
        authors=_authors(reader, tags),
        series=_series(reader, tags),
        genres=_names(reader, tags, "©gen", split=split_list),
        tags=_names(reader, tags, _SHISHO + "tags", split=split_list),
        url=clean(tags.text(_SHISHO + "url"), limits.max_scalar_bytes),
        release_date=_release_date(tags),
        language=_language(tags),
        abridged=_abridged(tags),
        publisher=clean_line(
            tags.text("©pub", _APPLE + "publisher", _TONE + "publisher"), limits.max_scalar_bytes
        ),
        narrators=_names(reader, tags, "©nrt", _APPLE + "narrator", _TONE + "narrator", "©cmp", "©wrt"),
        identifiers=_identifiers(tags, limits),
        chapters=chapters or (),
        audiobook_duration_seconds=duration,
        audiobook_bitrate_bps=sound.bitrate_bps,
        audiobook_codec=sound.codec,
        album=clean_line(tags.text("©alb"), limits.max_scalar_bytes),
        track=_track(tags),
        load_cover=partial(_load_cover, reader, cover) if cover else None,
        warnings=(*warnings, *tags.warnings),
    )


def _optional(warnings: list[str], part: str, read: Callable[[], _Part]) -> _Part | None:
    """Read what the file can do without."""
    try:
        return read()
    except DamagedBoxError:
        warnings.append(f"The {part} is damaged and was left out.")
        return None


def _load_cover(reader: BoxReader, cover: Box) -> CoverImage:
    """Raises: UnreadableFile, LimitExceeded."""
    limit = reader.limits.max_cover_bytes
    if cover.size - 8 > limit:
        raise LimitExceeded(reader.name, f"a cover larger than max_cover_bytes ({limit:,} bytes)")
    try:
        data = reader.read_uncounted(cover.start + 8, cover.size - 8)
    except (OSError, DamagedBoxError) as error:
        raise UnreadableFile(reader.name, "its cover could not be read") from error
    return read_cover(data, reader.name, reader.limits)


def _authors(reader: BoxReader, tags: Tags) -> tuple[Author, ...]:
    """Return the artists, else the album's; a single one may have its own sort name."""
    for key, sort_key in (("©ART", "soar"), ("aART", "soaa")):
        if names := _names(reader, tags, key):
            sort_name = (
                clean_line(tags.text(sort_key), reader.limits.max_scalar_bytes) if len(names) == 1 else None
            )
            return tuple(Author(name, sort_name=sort_name) for name in names)
    return ()


def _names(reader: BoxReader, tags: Tags, *keys: str, split: Split = split_names) -> tuple[str, ...]:
    """Split all values of the first key that has any."""
    # Differs from Shisho: several values of one tag all count, and aART is read where ©ART is empty.
    names = (
        clean_line(name, reader.limits.max_scalar_bytes) for text in tags.texts(*keys) for name in split(text)
    )
    return _limited(reader, tuple(dict.fromkeys(name for name in names if name)))


def _limited(reader: BoxReader, entries: tuple[_Part, ...]) -> tuple[_Part, ...]:
    limit = reader.limits.max_list_entries
    if len(entries) > limit:
        raise LimitExceeded(reader.name, f"a tag with more than max_list_entries ({limit:,}) entries")
    return entries


def _series(reader: BoxReader, tags: Tags) -> tuple[SeriesEntry, ...]:
    # Differs from Shisho: tone's own items and Apple's movement are read before the grouping.
    for namespace in (_APPLE, _TONE):
        names = tags.texts(namespace + "series")
        parts = tags.texts(namespace + "series-part", namespace + "part")
        if entries := _entries(_limited(reader, names), parts, reader.limits):
            return entries
    if entries := _entries(tags.texts("©mvn")[:1], tags.texts("©mvi"), reader.limits):
        return entries
    # Differs from Shisho: a grouping may name several series.
    return m4b_groupings(tags.text("©grp") or "")


def _entries(names: tuple[str, ...], parts: tuple[str, ...], limits: Limits) -> tuple[SeriesEntry, ...]:
    pairs = zip_longest(names, parts[: len(names)], fillvalue="")
    return tuple(
        SeriesEntry(cleaned, *(parse_number_range(part) or (None, None)))
        for name, part in pairs
        if (cleaned := clean_line(name, limits.max_scalar_bytes))
    )


def _description(tags: Tags) -> str | None:
    """Return `desc`, or `ldes` where `desc` is missing or just its beginning; Audible's own as the last."""
    # Differs from Shisho: it never reads ldes, which holds the whole text where desc is cut short.
    short, long = (html_to_text(tags.text(key) or "") for key in ("desc", "ldes"))
    whole = long if len(long) > len(short) and long.startswith(short.rstrip(" .…")) else short
    return whole or html_to_text(tags.text("©des") or "")


def _release_date(tags: Tags) -> date | None:
    return _first(parse_date(text.strip()) for key in ("rldt", "©day") for text in tags.texts(key))


def _language(tags: Tags) -> str | None:
    return _first(language_tag(tags.text(space + "language") or "") for space in (_TONE, _APPLE))


def _abridged(tags: Tags) -> bool | None:
    word = (tags.text(_TONE + "abridged", _APPLE + "abridged") or "").strip().lower()
    return True if word in _YES else False if word in _NO else None


def _track(tags: Tags) -> tuple[int, int] | None:
    disc, number = (int(tags.text(key) or 0) for key in ("disk", "trkn"))
    return (disc, number) if number > 0 else None


def _first(found: Iterable[_Part | None]) -> _Part | None:
    return next((value for value in found if value is not None), None)


def _identifiers(tags: Tags, limits: Limits) -> tuple[Identifier, ...]:
    # Differs from Shisho: it reads no ISBN.
    found = (
        identifier(clean(tags.text(*keys), limits.max_scalar_bytes) or "", scheme)
        for scheme, keys in _IDENTIFIERS
    )
    return merged_identifiers([entry for entry in found if entry])
