"""Entries of a ZIP archive at bounded cost, however it lies. Knows nothing of what the entries mean.

The directory is read here and not by `zipfile`, which believes the sizes in the end record, refuses
the whole archive for one odd entry, and takes three times as long.
"""

from __future__ import annotations

import bz2
import posixpath
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

from ..errors import LimitExceeded, UnreadableFile
from ..model import Limits
from ..model.portable import portable

_END = struct.Struct("<4s6xHLL2x")
_END_MARK = b"PK\5\6"
_LOCATOR64 = struct.Struct("<4s4xQ4x")
_LOCATOR64_MARK = b"PK\6\7"
_END64 = struct.Struct("<4s28xQQQ")
_END64_MARK = b"PK\6\6"
_ENTRY = struct.Struct("<4s4xHH4xLLLHHH8xL")
_ENTRY_LENGTHS = struct.Struct("<4s24xHHH")
_ENTRY_MARK = b"PK\1\2"
_LOCAL = struct.Struct("<4s22xHH")
_LOCAL_MARK = b"PK\3\4"
_EXTRA64 = 0x0001

_MAX_COMMENT_BYTES = 0xFFFF
_DIRECTORY_BYTES_PER_ENTRY = 256  # an average that no honest archive reaches
_MAX_LOOSE_LENGTH = 255  # of a name whose Unicode form may differ: composing one takes quadratic time
_CHUNK_BYTES = 128 * 1024
_ENCRYPTED = 0x0041
_OTHER_FILES = {
    b"Rar!\x1a\x07": "a RAR archive (a CBR)",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive (a CB7)",
    b"%PDF-": "a PDF",
    b"\x1f\x8b": "a gzip file",
}
_ELSEWHERE = 0xFFFFFFFF  # the value stands in the entry's extra field


@dataclass(frozen=True, slots=True)
class _Directory:
    """The bytes of the central directory; `shift` is what stands before the archive in the file."""

    data: bytes
    shift: int
    comment: bytes = b""


@portable
@dataclass(frozen=True, slots=True)
class _Entry:
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    local_offset: int


_Unpack = Callable[[bytes, int], bytes]
"""Takes the next packed bytes and how many unpacked ones are wanted at most."""


class Archive:
    """A ZIP archive in an open file, which stays the caller's.

    `names` are the files (no folders) in the order of the directory, with `/` between parts. Where a
    name occurs twice, its last entry counts, as for other readers.

        archive = Archive(file, path, limits)
        if "mimetype" in archive:
            archive.read("mimetype", 1000)

    Raises: UnreadableFile, LimitExceeded; so do the methods.
    """

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        self._file = file
        self._name = name
        self._limits = limits
        try:
            self._directory = self._read_directory()
        except (OSError, ValueError, OverflowError, struct.error) as error:
            raise UnreadableFile(name, f"could not be read: {error}") from error
        self._positions = dict(self._listed())
        self.names: tuple[str, ...] = tuple(self._positions)

    def __contains__(self, entry: object) -> bool:
        return entry in self._positions

    def find(self, entry: str) -> str | None:
        """Return the name that the archive has for `entry`, if need be in another case or Unicode form."""
        if entry in self._positions:
            return entry
        return self._loose_names.get(_loose(entry))

    def size(self, entry: str) -> int:
        """Return the unpacked size in bytes that the directory claims."""
        return self._entry(entry).size_bytes

    def read(self, entry: str, max_bytes: int) -> bytes:
        """Return the unpacked entry, never more than `max_bytes`, which should be one of the limits."""
        found = self._entry(entry)
        # Packing makes nothing noticeably larger, so more packed bytes than this are padding.
        if found.size_bytes > max_bytes or found.packed_bytes > max_bytes + max_bytes // 64 + _CHUNK_BYTES:
            raise self._too_large(entry, max_bytes)
        if found.flags & _ENCRYPTED:
            raise self._unreadable(entry, "is encrypted")
        try:
            data = self._unpacked(entry, found, max_bytes)
        except (OSError, ValueError, EOFError, OverflowError, zlib.error, struct.error) as error:
            raise self._unreadable(entry, f"is damaged: {error}") from error
        if len(data) > max_bytes:
            raise self._too_large(entry, max_bytes)
        if zlib.crc32(data) != found.crc:
            raise self._unreadable(entry, "is damaged: its checksum is wrong")
        return data

    def _read_directory(self) -> _Directory:
        file_bytes = self._file.seek(0, 2)
        tail_start = max(0, file_bytes - _END.size - _MAX_COMMENT_BYTES)
        tail = self._read_at(tail_start, file_bytes - tail_start)
        position = len(tail)
        while (position := tail.rfind(_END_MARK, 0, position)) >= 0:
            if position + _END.size <= len(tail):
                directory = self._directory_before(tail_start + position, tail[position:])
                if directory is not None:
                    return replace(directory, comment=tail[position + _END.size :])
        raise UnreadableFile(self._name, self._disguise() or "not a ZIP archive, or a truncated one")

    def _disguise(self) -> str | None:
        """Say what the file is instead, where another kind of file got this extension."""
        start = self._read_at(0, 8)
        found = (what for mark, what in _OTHER_FILES.items() if start.startswith(mark))
        return next((f"not a ZIP archive but {what}" for what in found), None)

    def _directory_before(self, end: int, record: bytes) -> _Directory | None:
        """Read the directory that the end record at `end` speaks of, once its size is judged."""
        _, entries, directory_bytes, offset = _END.unpack_from(record)
        end64 = self._end64_before(end)
        if end64 is not None:
            end, entries, directory_bytes, offset = end64
        for start in dict.fromkeys((end - directory_bytes, offset)):
            mark = self._read_at(start, len(_ENTRY_MARK)) if 0 <= start <= end else b""
            if mark == _ENTRY_MARK or (entries == 0 and directory_bytes == 0):
                self._check_directory(entries, directory_bytes)
                return _Directory(self._read_at(start, directory_bytes), start - offset)
        return None

    def _end64_before(self, end: int) -> tuple[int, int, int, int] | None:
        """Return position, entries, directory size and directory offset of a ZIP64 end record."""
        locator = self._read_at(end - _LOCATOR64.size, _LOCATOR64.size) if end >= _LOCATOR64.size else b""
        if not locator.startswith(_LOCATOR64_MARK):
            return None
        _, named = _LOCATOR64.unpack(locator)
        for position in (end - _LOCATOR64.size - _END64.size, named):
            record = self._read_at(position, _END64.size) if 0 <= position < end else b""
            if record.startswith(_END64_MARK) and len(record) == _END64.size:
                _, entries, directory_bytes, offset = _END64.unpack(record)
                return position, entries, directory_bytes, offset
        return None

    def _check_directory(self, entries: int, directory_bytes: int) -> None:
        most = self._limits.max_archive_entries
        if entries > most or directory_bytes > _MAX_COMMENT_BYTES + most * _DIRECTORY_BYTES_PER_ENTRY:
            raise self._too_many()

    def _too_many(self) -> LimitExceeded:
        most = self._limits.max_archive_entries
        return LimitExceeded(self._name, f"an archive with more than max_archive_entries ({most:,}) entries")

    def _listed(self) -> Iterator[tuple[str, int]]:
        """Yield each file's name and the place of its record, which the end record's count can't hide."""
        data = self._directory.data
        position = entries = 0
        while position + _ENTRY.size <= len(data):
            mark, name_bytes, extra_bytes, comment_bytes = _ENTRY_LENGTHS.unpack_from(data, position)
            if mark != _ENTRY_MARK:
                break
            entries += 1
            if entries > self._limits.max_archive_entries:
                raise self._too_many()
            name_start = position + _ENTRY.size
            name = _decoded(data[name_start : name_start + name_bytes])
            if not name.endswith("/"):
                yield name, position
            position = name_start + name_bytes + extra_bytes + comment_bytes

    @property
    def comment(self) -> bytes:
        """The text that a tool put behind the directory; mostly empty."""
        return self._directory.comment

    @cached_property
    def _loose_names(self) -> dict[str, str]:
        return {_loose(name): name for name in reversed(self.names)}

    def _entry(self, entry: str) -> _Entry:
        position = self._positions.get(entry)
        if position is None:
            raise UnreadableFile(self._name, f"the archive has no entry {shown_entry(entry)}")
        data = self._directory.data
        _, flags, method, crc, packed, size, name_bytes, extra_bytes, _, offset = _ENTRY.unpack_from(
            data, position
        )
        extra_start = position + _ENTRY.size + name_bytes
        if _ELSEWHERE in (packed, size, offset):
            extra = data[extra_start : extra_start + extra_bytes]
            size, packed, offset = _with_extra64(extra, (size, packed, offset))
        return _Entry(flags, method, crc, packed, size, offset + self._directory.shift)

    def _unpacked(self, entry: str, found: _Entry, max_bytes: int) -> bytes:
        unpacker = _UNPACKERS.get(found.method)
        if unpacker is None:
            raise self._unreadable(entry, f"is packed with an unknown method ({found.method})")
        unpack = unpacker()
        position = self._data_start(found.local_offset)
        left = found.packed_bytes
        pieces: list[bytes] = []
        unpacked_bytes = 0
        while left > 0 and unpacked_bytes <= max_bytes:
            packed = self._read_at(position, min(left, _CHUNK_BYTES))
            if not packed:
                raise EOFError("the file ends in it")
            position += len(packed)
            left -= len(packed)
            pieces.append(unpack(packed, max_bytes + 1 - unpacked_bytes))
            unpacked_bytes += len(pieces[-1])
        return b"".join(pieces)

    def _data_start(self, local_offset: int) -> int:
        header = self._read_at(local_offset, _LOCAL.size)
        mark, name_bytes, extra_bytes = _LOCAL.unpack(header)
        if mark != _LOCAL_MARK:
            raise ValueError("the directory points elsewhere")
        return local_offset + _LOCAL.size + int(name_bytes) + int(extra_bytes)

    def _read_at(self, position: int, count: int) -> bytes:
        self._file.seek(position)
        return self._file.read(count)

    def _unreadable(self, entry: str, reason: str) -> UnreadableFile:
        return UnreadableFile(self._name, f"the entry {shown_entry(entry)} {reason}")

    def _too_large(self, entry: str, max_bytes: int) -> LimitExceeded:
        settings = ("max_cover_bytes", "max_xml_bytes")
        setting = next((s for s in settings if getattr(self._limits, s) == max_bytes), "the limit")
        return LimitExceeded(
            self._name, f"the entry {shown_entry(entry)} is larger than {setting} ({max_bytes:,} bytes)"
        )


def _decoded(name: bytes) -> str:
    """Decode a name. Many writers use UTF-8 without saying so, and Windows ones a backslash."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = name.decode("cp437")
    return text.replace("\\", "/")


def _loose(name: str) -> str:
    path = posixpath.normpath("/" + name.lstrip("/"))
    if len(path) <= _MAX_LOOSE_LENGTH:
        path = unicodedata.normalize("NFC", path)
    return path.casefold()


def shown_entry(entry: str) -> str:
    """Return the name of an entry for a message: no longer than one, and without controls."""
    return repr(entry if len(entry) <= 100 else f"{entry[:97]}...")


def _with_extra64(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Fill in the values that the ZIP64 extra field holds: size, packed size, offset, in this order."""
    position = 0
    while position + 4 <= len(extra):
        kind, count = struct.unpack_from("<HH", extra, position)
        if kind == _EXTRA64:
            field = extra[position + 4 : position + 4 + count]
            numbers = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            size, packed, offset = (next(numbers, v) if v == _ELSEWHERE else v for v in values)
            return size, packed, offset
        position += 4 + count
    return values


def _stored() -> _Unpack:
    return lambda packed, wanted_bytes: packed[:wanted_bytes]


def _inflating() -> _Unpack:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    return lambda packed, wanted_bytes: inflater.decompress(packed, wanted_bytes)


def _bunzipping() -> _Unpack:
    bunzipper = bz2.BZ2Decompressor()
    return lambda packed, wanted_bytes: bunzipper.decompress(packed, wanted_bytes)


_UNPACKERS: dict[int, Callable[[], _Unpack]] = {0: _stored, 8: _inflating, 12: _bunzipping}
