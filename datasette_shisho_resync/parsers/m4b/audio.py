"""The sound of an audiobook: how long it is and how it is encoded. Knows no tags and no chapters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .boxes import Box, BoxReader, unpack
from .fragments import fragments_end

_SAMPLE_ENTRY_BYTES = 64 * 1024
_MAX_TIMESCALE = 0x7FFFFFFF
_MPEG4_AUDIO = 0x40
_OBJECT_TYPES = {
    0x66: "MPEG-2 AAC Main",
    0x67: "MPEG-2 AAC-LC",
    0x68: "MPEG-2 AAC SSR",
    0x69: "MP3",
    0x6B: "MP3",
}
_AUDIO_OBJECT_TYPES = {
    1: "AAC Main",
    2: "AAC-LC",
    3: "AAC SSR",
    4: "AAC LTP",
    5: "HE-AAC",
    6: "AAC Scalable",
    29: "HE-AACv2",
    42: "xHE-AAC",
}
_SAMPLE_ENTRIES = {b"alac": "ALAC", b"ac-3": "AC3", b"ec-3": "EAC3"}


def handler(reader: BoxReader, track: Box) -> bytes:
    """Return what a track holds: `soun`, `text`, `vide` ...; empty when it does not say."""
    box = track.first(b"mdia", b"hdlr")
    return reader.head(box, 12)[8:] if box else b""


def sound_track(reader: BoxReader, movie: Box) -> Box | None:
    return next((track for track in movie.all(b"trak") if handler(reader, track) == b"soun"), None)


def track_id(reader: BoxReader, track: Box) -> int:
    """Return the number by which other boxes name a track; 0 when it has none."""
    header = track.first(b"tkhd")
    if header is None:
        return 0
    data = reader.head(header, 24)
    return int(unpack(">I", data, 20 if data[:1] == b"\1" else 12)[0])


def duration_seconds(reader: BoxReader, movie: Box, track: Box | None) -> float | None:
    """Return the length of the sound track, else of the whole movie, as its own header says.

    Source: design 9; Shisho takes the movie's, which the chapter track can lengthen.
    """
    # Differs from Shisho: the sound track comes first, and a fragmented file has its length too.
    for timescale, ticks in _times(reader, movie, track):
        if 0 < timescale <= _MAX_TIMESCALE and ticks:
            return ticks / timescale
    return None


def _times(reader: BoxReader, movie: Box, track: Box | None) -> Iterator[tuple[int, int]]:
    media = track.first(b"mdia", b"mdhd") if track else None
    timescale = 0
    if media:
        timescale, ticks = _time(reader, media)
        yield timescale, ticks
    if media and track and movie.first(b"mvex"):
        yield timescale, fragments_end(reader, movie, track_id(reader, track))
    whole = movie.first(b"mvhd")
    if whole:
        timescale, ticks = _time(reader, whole)
        yield timescale, ticks
        if fragments := movie.first(b"mvex", b"mehd"):
            yield timescale, _fragments_ticks(reader, fragments)


def _time(reader: BoxReader, box: Box) -> tuple[int, int]:
    """Return the timescale and ticks of an `mdhd` or `mvhd`; ticks 0 when the box does not know."""
    data = reader.head(box, 32)
    timescale, ticks = unpack(">IQ", data, 20) if data[:1] == b"\1" else unpack(">II", data, 12)
    return timescale, 0 if ticks in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) else ticks


def _fragments_ticks(reader: BoxReader, box: Box) -> int:
    data = reader.head(box, 12)
    return int(unpack(">Q" if data[:1] == b"\1" else ">I", data, 4)[0])


class Encoding(NamedTuple):
    """The codec as Shisho names it, and the average that the file declares."""

    codec: str | None = None
    bitrate_bps: int | None = None


def encoding(reader: BoxReader, track: Box | None) -> Encoding:
    """Raises: DamagedBoxError. Source: spec 4.3."""
    box = track.first(b"mdia", b"minf", b"stbl", b"stsd") if track else None
    if box is None:
        return Encoding()
    description = reader.head(box, _SAMPLE_ENTRY_BYTES)
    size, name = unpack(">I4s", description, 8)
    entry = description[16 : 8 + size]
    if name in _SAMPLE_ENTRIES:
        return Encoding(_SAMPLE_ENTRIES[name], _declared_bitrate(entry) if name != b"alac" else None)
    return _decoder(_box_content(entry, b"esds")[4:])


def _box_content(entry: bytes, name: bytes) -> bytes:
    """Find a box by its name: its place depends on QuickTime's version and may be inside `wave`."""
    at = entry.find(name)
    return entry[at + 4 :] if at >= 4 else b""


def _declared_bitrate(entry: bytes) -> int | None:
    bitrate = _box_content(entry, b"btrt")
    return unpack(">I", bitrate, 8)[0] or None if bitrate else None


def _decoder(stream: bytes) -> Encoding:
    """Read the codec and bit rate from an `esds` box: nested MPEG-4 descriptors."""
    decoder = _descriptor(_after_stream_header(_descriptor(stream, 3)), 4)
    if len(decoder) < 13:
        return Encoding()
    object_type, average_bitrate = decoder[0], unpack(">I", decoder, 9)[0]
    if object_type == _MPEG4_AUDIO:
        audio_type = _audio_object_type(_descriptor(decoder[13:], 5))
        return Encoding(_AUDIO_OBJECT_TYPES.get(audio_type, "AAC"), average_bitrate or None)
    name = _OBJECT_TYPES.get(object_type, "Unknown") if object_type else None
    return Encoding(name, average_bitrate or None)


def _descriptor(data: bytes, tag: int) -> bytes:
    """Strip a descriptor's tag and length; empty when it has another tag.

    The length is not believed: some encoders write it too small for what follows.
    """
    if data[:1] != bytes((tag,)):
        return b""
    length_end = 1
    while length_end < 4 and data[length_end : length_end + 1] >= b"\x80":
        length_end += 1
    return data[length_end + 1 :]


def _after_stream_header(stream: bytes) -> bytes:
    """Skip an ES descriptor's id and its three optional parts."""
    if len(stream) < 3:
        return b""
    flags, at = stream[2], 3
    if flags & 0x80:
        at += 2
    if flags & 0x40:
        at += 1 + int.from_bytes(stream[at : at + 1], "big")
    if flags & 0x20:
        at += 2
    return stream[at:]


def _audio_object_type(config: bytes) -> int:
    if not config:
        return 0
    if config[0] >> 3 < 31 or len(config) < 2:
        return config[0] >> 3
    return 32 + ((config[0] & 7) << 3 | config[1] >> 5)
