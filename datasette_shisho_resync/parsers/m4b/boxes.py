"""The boxes of an MP4 file: where each lies, and bounded reading of what it holds.

Owns sizes, nesting and the bounds on both; knows nothing of what a box means. Only the movie box
(`moov`) is indexed, so the cost does not depend on the media or on boxes that follow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...errors import LimitExceeded, UnreadableFile
from ...model import Limits

_CONTAINERS = frozenset(
    (b"moov", b"mvex", b"trak", b"tref", b"mdia", b"minf", b"stbl", b"udta", b"meta", b"ilst", b"traf")
)
_MAX_DEPTH = 8  # two more than moov/udta/meta/ilst/item/data


class DamagedBoxError(Exception):
    """A part of the movie box is broken; whoever reads that part leaves it out with a warning."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box whose content lies in `start` to `end`, both counted from the start of the file."""

    name: bytes
    start: int
    end: int
    children: tuple[Box, ...] = ()

    @property
    def size(self) -> int:
        return self.end - self.start

    def all(self, *path: bytes) -> Iterator[Box]:
        """Find every box at a path below this one, in file order."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.name == path[0]:
                yield from child.all(*path[1:])

    def first(self, *path: bytes) -> Box | None:
        return next(self.all(*path), None)


class BoxReader:
    """Reads one file, and counts: boxes up to `max_archive_entries`, bytes up to `max_sidecar_bytes`.

    Everything read through it but the cover ends up in a sidecar, hence the second limit.
    """

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self._file = file
        self._size = file.seek(0, 2)
        self._boxes_left = limits.max_archive_entries
        self._bytes_left = limits.max_sidecar_bytes

    def movie(self) -> Box:
        """Index the movie box.

        Raises: UnreadableFile when there is none or the file ends inside it; LimitExceeded.
        """
        for name, start, end in self._headers(0, self._size):
            if name != b"moov":
                continue
            if end > self._size:
                # What is there might lack tags that the whole file has, and a reset would drop them.
                raise UnreadableFile(self.name, "cut off inside its movie box (moov)")
            return Box(name, start, end, self._children(name, start, end, 1))
        raise UnreadableFile(self.name, "not an MP4 file, or cut off before its movie box (moov)")

    def fragments_from_end(self) -> Iterator[Box]:
        """Index the fragments that follow the movie box, the last one first; none of a file with too many."""
        places: list[tuple[int, int]] = []
        left = self._boxes_left
        try:
            places = [(start, end) for name, start, end in self._headers(0, self._size) if name == b"moof"]
        except LimitExceeded:
            return
        finally:
            self._boxes_left = left  # media boxes are no burden to the tags
        for start, end in reversed(places):
            if end <= self._size:
                yield Box(b"moof", start, end, self._children(b"moof", start, end, 1))

    def read(self, start: int, size: int) -> bytes:
        """Raises: DamagedBoxError when the file ends before; LimitExceeded."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            limit = self.limits.max_sidecar_bytes
            raise LimitExceeded(
                self.name, f"tags and chapters larger than max_sidecar_bytes ({limit:,} bytes)"
            )
        return self.read_uncounted(start, size)

    def read_uncounted(self, start: int, size: int) -> bytes:
        """Like `read`, for a caller that has a limit of its own."""
        if start + size > self._size:
            raise DamagedBoxError
        self._file.seek(start)
        data = self._file.read(size)
        if len(data) < size:
            raise DamagedBoxError
        return data

    def head(self, box: Box, size: int) -> bytes:
        """Return the first `size` bytes of a box, or all where it is smaller."""
        return self.read(box.start, min(size, box.size))

    def table(self, box: Box, entry: str, *, header_size: int = 8, most: int) -> list[tuple[Any, ...]]:
        """Return at most `most` entries of a counted table; the count ends the header.

        Raises: DamagedBoxError when the count claims more than the box holds; LimitExceeded.
        """
        (count,) = unpack(">I", self.head(box, header_size), header_size - 4)
        size = struct.calcsize(entry)
        if count * size > box.size - header_size:
            raise DamagedBoxError
        data = self.read(box.start + header_size, min(count, most) * size)
        return list(struct.iter_unpack(entry, data))

    def _children(self, name: bytes, start: int, end: int, depth: int) -> tuple[Box, ...]:
        if depth == _MAX_DEPTH:
            return ()
        if name == b"meta" and not self._is_quicktime(start, end):
            start += 4
        boxes = []
        for child, child_start, child_end in self._headers(start, end):
            child_end = min(child_end, end)  # a size too large costs the neighbours only
            is_container = child in _CONTAINERS or name == b"ilst"
            below = self._children(child, child_start, child_end, depth + 1) if is_container else ()
            boxes.append(Box(child, child_start, child_end, below))
        return tuple(boxes)

    def _is_quicktime(self, start: int, end: int) -> bool:
        """Tell whether a `meta` box lacks the version that ISO files put before its children."""
        return end - start >= 8 and self.read(start + 4, 4) == b"hdlr"

    def _headers(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Walk sibling boxes: name, start and end of the content; `end` may lie beyond the file.

        A size that no box can have ends the walk; zeros at the end of `udta` are usual.
        """
        while start + 8 <= end:
            self._boxes_left -= 1
            if self._boxes_left < 0:
                limit = self.limits.max_archive_entries
                raise LimitExceeded(self.name, f"more than max_archive_entries ({limit:,}) boxes")
            self._file.seek(start)
            header = self._file.read(16).ljust(16, b"\0")
            size, name, long_size = struct.unpack(">I4sQ", header)
            content = start + 8
            if size == 1:
                size, content = long_size, start + 16
            if size < content - start:
                return
            yield name, content, start + size
            start += size


def unpack(form: str, data: bytes, offset: int = 0) -> tuple[Any, ...]:
    """Unpack, where too little data is damage and not a programming error."""
    try:
        return struct.unpack_from(form, data, offset)
    except struct.error:
        raise DamagedBoxError from None
