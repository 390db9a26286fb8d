"""Chapters of an audiobook, from a QuickTime text track or from Nero's list. Flat, in file order."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ...errors import LimitExceeded
from ...model import Chapter
from ...normalize.text import clean_line
from .audio import handler, track_id
from .boxes import Box, BoxReader, DamagedBoxError, unpack
from .tags import decode_text

_TEXT_HANDLERS = (b"text", b"sbtl")
_MAX_TITLE_BYTES = 0xFFFF
_NERO_UNITS_PER_MS = 10_000
_NERO_ENTRY = struct.Struct(">QB")  # start and length of the title that follows
# Where the count is and its format. Writers agree neither with each other nor on the version.
_NERO_LAYOUTS = {0: ((4, ">I"), (4, ">B"), (5, ">I")), 1: ((5, ">I"), (8, ">B"), (5, ">B"))}


def quicktime_chapters(reader: BoxReader, movie: Box) -> tuple[Chapter, ...]:
    """Read the first text track that another track names as its chapters; empty without one.

    Raises: DamagedBoxError, LimitExceeded. Source: spec 4.3.
    """
    for track in _chapter_tracks(reader, movie):
        if chapters := _track_chapters(reader, track):
            return chapters
    return ()


def _chapter_tracks(reader: BoxReader, movie: Box) -> Iterator[Box]:
    named: set[int] = set()
    for reference in movie.all(b"trak", b"tref", b"chap"):
        data = reader.head(reference, 256)
        named.update(unpack(f">{len(data) // 4}I", data))
    for track in movie.all(b"trak") if named else ():
        if handler(reader, track) in _TEXT_HANDLERS and track_id(reader, track) in named:
            yield track


def _track_chapters(reader: BoxReader, track: Box) -> tuple[Chapter, ...]:
    samples = track.first(b"mdia", b"minf", b"stbl")
    header = track.first(b"mdia", b"mdhd")
    if samples is None or header is None:
        raise DamagedBoxError
    data = reader.head(header, 24)
    (timescale,) = unpack(">I", data, 20 if data[:1] == b"\1" else 12)
    sizes = _sizes(reader, samples)
    starts = list(islice(_starts(reader, samples, len(sizes)), len(sizes)))
    offsets = list(_offsets(reader, samples, sizes))
    if not timescale or not len(sizes) == len(starts) == len(offsets):
        raise DamagedBoxError
    return tuple(
        Chapter(_sample_title(reader, offset, size), start_timestamp_ms=start * 1000 // timescale)
        for size, start, offset in zip(sizes, starts, offsets, strict=True)
    )


def _child(samples: Box, *names: bytes) -> Box:
    for name in names:
        if box := samples.first(name):
            return box
    raise DamagedBoxError


def _sizes(reader: BoxReader, samples: Box) -> Sequence[int]:
    box = _child(samples, b"stsz")
    common, count = unpack(">II", reader.head(box, 12), 4)
    if common:
        _check_count(reader, count)
        return [common] * count
    if count * 4 <= box.size - 12:
        _check_count(reader, count)
    return [size for (size,) in reader.table(box, ">I", header_size=12, most=count)]


def _starts(reader: BoxReader, samples: Box, count: int) -> Iterator[int]:
    """Give each sample's start in ticks: the running sum of the durations before it.

    The table may claim far more samples than `count`, so the caller stops there.
    """
    start = 0
    for repeats, ticks in reader.table(_child(samples, b"stts"), ">II", most=count):
        for _ in range(repeats):
            yield start
            start += ticks


def _offsets(reader: BoxReader, samples: Box, sizes: Sequence[int]) -> Iterator[int]:
    """Give each sample's place in the file: chunks hold runs of samples, one behind the other."""
    box = _child(samples, b"stco", b"co64")
    entry = ">I" if box.name == b"stco" else ">Q"
    runs = iter(reader.table(_child(samples, b"stsc"), ">III", most=len(sizes)))
    waiting = iter(sizes)
    run, following = next(runs, (1, 0, 0)), next(runs, None)
    for number, (offset,) in enumerate(reader.table(box, entry, most=len(sizes)), 1):
        while following and number >= following[0]:
            run, following = following, next(runs, None)
        for size in islice(waiting, run[1]):
            yield offset
            offset += size


def _sample_title(reader: BoxReader, offset: int, size: int) -> str:
    """Read one sample: a length of two bytes, that much text, then style boxes that we skip."""
    data = reader.read(offset, min(size, 2 + _MAX_TITLE_BYTES))
    if len(data) < 2:
        return ""
    return _title(reader, data[2 : 2 + unpack(">H", data)[0]])


def _title(reader: BoxReader, written: bytes) -> str:
    """Return a title, which may be empty."""
    # Differs from Shisho: controls and the blanks around a title go, as they would by way of a sidecar.
    return clean_line(decode_text(written), reader.limits.max_scalar_bytes) or ""


class _NeroList(NamedTuple):
    chapters: tuple[Chapter, ...]
    left_over_bytes: int


def nero_chapters(reader: BoxReader, movie: Box) -> tuple[Chapter, ...]:
    """Read Nero's chapter list (`chpl`); empty without one.

    Raises: DamagedBoxError, LimitExceeded. Source: spec 4.3.
    """
    box = movie.first(b"udta", b"chpl")
    if box is None:
        return ()
    data = reader.head(box, box.size)
    layouts = _NERO_LAYOUTS[0 if data[:1] == b"\0" else 1]
    readings = [reading for layout in layouts if (reading := _nero_list(reader, data, *layout))]
    if not readings:
        raise DamagedBoxError
    # Bytes left over betray a wrong guess, so the list that fills its box counts first.
    return min(readings, key=lambda reading: reading.left_over_bytes > 0).chapters


def _nero_list(reader: BoxReader, data: bytes, count_at: int, count_form: str) -> _NeroList | None:
    """Read the list as one layout has it; None when that does not fit into the box."""
    at = count_at + struct.calcsize(count_form)
    if len(data) < at:
        return None
    (count,) = unpack(count_form, data, count_at)
    room = (len(data) - at) // _NERO_ENTRY.size
    if count > room or (room and not count):
        return None
    _check_count(reader, count)
    chapters = []
    for _ in range(count):
        if len(data) < at + _NERO_ENTRY.size:
            return None
        start, length = _NERO_ENTRY.unpack_from(data, at)
        at += _NERO_ENTRY.size + length
        title = _title(reader, data[at - length : at])
        chapters.append(Chapter(title, start_timestamp_ms=start // _NERO_UNITS_PER_MS))
    return _NeroList(tuple(chapters), len(data) - at) if at <= len(data) else None


def _check_count(reader: BoxReader, count: int) -> None:
    limit = reader.limits.max_chapters
    if count > limit:
        raise LimitExceeded(reader.name, f"more than max_chapters ({limit:,}) chapters")
