"""The length of a sound track whose samples lie in movie fragments (`moof`). Knows no codecs and no tags.

Only the last fragment of the track is read: it says when it begins and how long its samples are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .boxes import Box, BoxReader, unpack

_MOST_LOOKED_AT = 16  # from the end; the tracks of a file take turns
_BASE_OFFSET, _DESCRIPTION, _DEFAULT_TICKS = 1, 2, 8
_DATA_OFFSET, _FIRST_FLAGS, _SAMPLE_TICKS = 1, 4, 0x100
_OTHER_SAMPLE_PARTS = (0x200, 0x400, 0x800)


def fragments_end(reader: BoxReader, movie: Box, track_id: int) -> int:
    """Return where the last fragment of a track ends, in the track's own ticks; 0 when none says so.

    Raises: DamagedBoxError, LimitExceeded.
    """
    for fragment in islice(reader.fragments_from_end(), _MOST_LOOKED_AT):
        for part in fragment.all(b"traf"):
            start = part.first(b"tfdt")
            header = part.first(b"tfhd")
            if start and header and unpack(">I", reader.head(header, 8), 4)[0] == track_id:
                data = reader.head(start, 12)
                (ticks,) = unpack(">Q" if data[:1] == b"\1" else ">I", data, 4)
                return int(ticks) + sum(_run_ticks(reader, movie, part, header, track_id))
    return 0


def _run_ticks(reader: BoxReader, movie: Box, part: Box, header: Box, track_id: int) -> Iterator[int]:
    """Give the length of each run of samples."""
    default = _default_ticks(reader, movie, header, track_id)
    for run in part.all(b"trun"):
        flags, count = unpack(">II", reader.head(run, 8))
        if not flags & _SAMPLE_TICKS:
            yield count * default
            continue
        at = 8 + 4 * sum(bool(flags & optional) for optional in (_DATA_OFFSET, _FIRST_FLAGS))
        values = 1 + sum(bool(flags & other) for other in _OTHER_SAMPLE_PARTS)
        size = count * values * 4
        yield sum(unpack(f">{count * values}I", reader.head(run, at + size), at)[::values])


def _default_ticks(reader: BoxReader, movie: Box, header: Box, track_id: int) -> int:
    """Return how long a sample is that does not say so itself."""
    data = reader.head(header, 28)
    (flags,) = unpack(">I", data)
    if flags & _DEFAULT_TICKS:
        at = 8 + (8 if flags & _BASE_OFFSET else 0) + (4 if flags & _DESCRIPTION else 0)
        return int(unpack(">I", data, at)[0])
    for defaults in movie.all(b"mvex", b"trex"):
        named, ticks = unpack(">I4xI", reader.head(defaults, 16), 4)
        if named == track_id:
            return int(ticks)
    return 0
