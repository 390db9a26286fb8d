"""The tags of an audiobook: the items of `moov/udta/meta/ilst` as texts and numbers.

Owns which items are read, their encodings and their namespaces; knows nothing of a book's fields.
Mutagen reads the items, but from a copy of just those: over the whole file it would walk every
fragment, load the covers, and lose all tags to one broken neighbour or chapter title.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from .boxes import Box, BoxReader, DamagedBoxError, unpack

_ITEM_LISTS = ((b"udta", b"meta", b"ilst"), (b"meta", b"ilst"))
_UTF8, _UTF16 = 1, 2
_BYTE_ORDER_MARKS = (b"\xfe\xff", b"\xff\xfe")
_FREEFORM = b"----"
_TEXTS = frozenset(
    (
        b"\xa9nam", b"\xa9alb", b"\xa9ART", b"aART", b"\xa9nrt", b"\xa9cmp", b"\xa9wrt", b"\xa9grp",
        b"\xa9mvn", b"\xa9gen", b"desc", b"ldes", b"\xa9des", b"\xa9pub", b"rldt", b"\xa9day", b"CDEK",
        b"soar", b"soaa",
    )
)  # fmt: skip
_GENRE = b"gnre"
_MOVEMENT = b"\xa9mvi"
_PLACES = (b"trkn", b"disk")
_PLACE_BYTES = 6
_LAST_GENRE = 192
_SPARE_BYTES = 16
_MutagenTags = Mapping[str, Sequence[bytes | str | int | tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Tags:
    """Values by key, in file order: `©nam`, or `com.apple.itunes:series` for a freeform item."""

    values: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()

    def texts(self, *keys: str) -> tuple[str, ...]:
        """Return all values of the first key that has one that is not blank."""
        for key in keys:
            if found := tuple(value for value in self.values.get(key, ()) if value.strip()):
                return found
        return ()

    def text(self, *keys: str) -> str | None:
        return next(iter(self.texts(*keys)), None)


def read_tags(reader: BoxReader, movie: Box) -> Tags:
    """Read the items that mean something to a library.

    Raises: LimitExceeded. What is broken is left out with a warning.
    """
    items: list[bytes] = []
    warnings: list[str] = []
    for item in _items(movie):
        try:
            items.append(_readable_item(reader, item))
        except DamagedBoxError:
            warnings.append(f"The tag {_shown(item)} is damaged and was left out.")
    return Tags(_read_with_mutagen(b"".join(items)), tuple(dict.fromkeys(warnings)))


def cover_data(movie: Box) -> Box | None:
    """Return the first image among the items, its content preceded by 8 bytes."""
    for path in _ITEM_LISTS:
        for data in movie.all(*path, b"covr", b"data"):
            if data.size > 8:
                return data
    return None


def _items(movie: Box) -> Iterator[Box]:
    """Give the items that we want of the first list that is not empty."""
    lists = (box.children for path in _ITEM_LISTS for box in movie.all(*path) if box.children)
    for item in next(lists, ()):
        if item.name in _TEXTS or item.name in (_FREEFORM, _GENRE, _MOVEMENT, *_PLACES):
            yield item


def _shown(item: Box) -> str:
    return "----" if item.name == _FREEFORM else item.name.decode("latin-1")


def _readable_item(reader: BoxReader, item: Box) -> bytes:
    """Copy an item for mutagen, which takes no text but UTF-8 and a genre's number unchecked."""
    parts = [_data(reader, item.name, data) for data in item.all(b"data")]
    if not any(parts):
        raise DamagedBoxError
    if item.name == _FREEFORM:
        names = (item.first(b"mean"), item.first(b"name"))
        parts = [_render(box.name, reader.head(box, 1024)) if box else b"" for box in names] + parts
        if not all(names):
            raise DamagedBoxError
    return _render(item.name, b"".join(parts))


def _data(reader: BoxReader, item: bytes, data: Box) -> bytes:
    # Enough for the longest text that is kept, in UTF-16 too; it is cut where it is cleaned.
    content = reader.head(data, 2 * reader.limits.max_description_bytes + _SPARE_BYTES)
    (kind,) = unpack(">I", content)
    value = content[8:]
    if item in _PLACES and len(value) < _PLACE_BYTES:
        raise DamagedBoxError
    if item == _MOVEMENT or item in _PLACES:
        return _render(b"data", content)
    if item == _GENRE:
        number = int.from_bytes(value, "big")
        return _render(b"data", bytes(8) + struct.pack(">H", number)) if 1 <= number <= _LAST_GENRE else b""
    text = decode_text(value, is_utf16=kind & 0xFFFFFF == _UTF16)
    return _render(b"data", struct.pack(">II", _UTF8, 0) + text.encode())


def _render(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def _read_with_mutagen(items: bytes) -> dict[str, tuple[str, ...]]:
    if not items:
        return {}
    from mutagen.mp4 import MP4  # costs a process that never meets an audiobook nothing

    ilst = _render(b"ilst", items)
    copy = _render(b"moov", _render(b"udta", _render(b"meta", bytes(4) + ilst)))
    tags: _MutagenTags = MP4(BytesIO(copy)).tags or {}  # type: ignore[no-untyped-call]
    values: dict[str, tuple[str, ...]] = {}
    for key, found in tags.items():
        key = _normalised_key(key)
        values[key] = values.get(key, ()) + tuple(_as_text(value) for value in found)
    return values


def _as_text(value: bytes | str | int | tuple[int, int]) -> str:
    if isinstance(value, tuple):
        return str(value[0])  # the number of a track or disc, without how many there are
    return value.decode() if isinstance(value, bytes) else str(value)


def _normalised_key(key: str) -> str:
    """Strip a freeform key's marker and fold its case, which writers do not agree on."""
    prefix, _, name = key.partition(":")
    return name.lower() if prefix == _FREEFORM.decode() else key


def decode_text(data: bytes, *, is_utf16: bool = False) -> str:
    """Decode text whose declared encoding is often wrong. NULs, which no title has, are dropped."""
    even = data[: len(data) // 2 * 2]
    # Some writers end a text with NULs: only those inside it tell that it is UTF-16.
    inner = data.rstrip(b"\0")
    if data[:2] in _BYTE_ORDER_MARKS:
        text = even.decode("utf-16", "replace")
    elif is_utf16 or inner.count(0) * 3 > len(inner):
        text = even.decode("utf-16-be", "replace")
    else:
        text = _decode_bytes(data)
    return text.replace("\0", "")


def _decode_bytes(data: bytes) -> str:
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
