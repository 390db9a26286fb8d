"""The boxes of an ISO base media file, from their layout; knows nothing of books.

Enough to write an audiobook: movie, tracks of sound and of chapter titles, and Apple's list of tags.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

UTF8, JPEG = 1, 13
SILENT_FRAME = bytes.fromhex("00c800802380")
"""1,024 samples of silence, mono, as AAC."""

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def box(name: str | bytes, *content: bytes) -> bytes:
    """One box; `©` is one byte in a name."""
    data = b"".join(content)
    raw_name = name.encode("latin-1") if isinstance(name, str) else name
    return struct.pack(">I4s", 8 + len(data), raw_name) + data


def full_box(name: str | bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def table(name: str, entry: str, *rows: tuple[int, ...]) -> bytes:
    return full_box(name, struct.pack(">I", len(rows)), *(struct.pack(entry, *row) for row in rows))


def data_box(value: bytes | str, kind: int = UTF8) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return box("data", struct.pack(">II", kind, 0), content)


def item(name: str | bytes, *values: bytes | str, kind: int = UTF8) -> bytes:
    """One tag with one or several values."""
    return box(name, *(data_box(value, kind) for value in values))


def freeform_item(namespace: str, name: str, *values: bytes | str) -> bytes:
    names = full_box("mean", namespace.encode()), full_box("name", name.encode())
    return box("----", *names, *(data_box(value) for value in values))


def item_list(*items: bytes) -> bytes:
    return full_box("meta", handler("mdir", b"appl"), box("ilst", *items))


def handler(kind: str, maker: bytes = bytes(4)) -> bytes:
    return full_box("hdlr", bytes(4), kind.encode(), maker, bytes(9))


def mp4a(
    *, object_type: int = 0x40, audio_object_type: int = 2, bitrate: int = 64_000, stream: bytes = bytes(3)
) -> bytes:
    """A sample entry with its `esds` descriptors; `stream` is the head of the outermost one."""
    number = audio_object_type
    # Five bits of type (31: six more), sampling frequency index 4 (44.1 kHz), one channel.
    bits = f"{number:05b}" if number < 31 else f"11111{number - 32:06b}"
    config = int(f"{bits}01000001".ljust(24, "0"), 2).to_bytes(3, "big")
    specific = _descriptor(5, config) if object_type == 0x40 else b""
    decoder = struct.pack(">BB3sII", object_type, 0x15, bytes(3), bitrate, bitrate)
    content = stream, _descriptor(4, decoder, specific), _descriptor(6, b"\2")
    return sample_entry("mp4a", full_box("esds", _descriptor(3, *content)))


def sample_entry(name: str, *children: bytes) -> bytes:
    sound = struct.pack(">8xHHIHH", 1, 16, 0, 44_100, 0)
    return box(name, bytes(6), b"\0\1", sound, *children)


def text_entry() -> bytes:
    return box("text", bytes(6), b"\0\1", bytes(43))


def _descriptor(tag: int, *content: bytes) -> bytes:
    data = b"".join(content)
    return bytes((tag, 0x80, 0x80, 0x80, len(data))) + data


def movie_header(duration_ms: int) -> bytes:
    fixed = struct.pack(">IIIIIH10x", 0, 0, 1000, duration_ms, 0x10000, 0x100)
    return full_box("mvhd", fixed, _MATRIX, bytes(24), struct.pack(">I", 3))


def track_header(number: int, duration_ms: int) -> bytes:
    fixed = struct.pack(">IIIII8xHHHH", 0, 0, number, 0, duration_ms, 0, 0, 0x100, 0)
    return full_box("tkhd", fixed, _MATRIX, bytes(8), flags=3)


def sound_media(timescale: int, ticks: int, samples: bytes) -> bytes:
    return _media("soun", timescale, ticks, full_box("smhd", bytes(4)), samples)


def text_media(timescale: int, ticks: int, samples: bytes) -> bytes:
    return _media("text", timescale, ticks, box("gmhd", full_box("gmin", bytes(12))), samples)


def _media(kind: str, timescale: int, ticks: int, media_header: bytes, samples: bytes) -> bytes:
    header = full_box("mdhd", struct.pack(">IIIIHH", 0, 0, timescale, ticks, 0x55C4, 0))
    in_this_file = full_box("url ", flags=1)
    information = box("dinf", full_box("dref", struct.pack(">I", 1), in_this_file))
    return box("mdia", header, handler(kind), box("minf", media_header, information, samples))


def sample_table(entry: bytes, lengths: Sequence[tuple[int, int]], sizes: bytes, chunks: bytes) -> bytes:
    """`lengths` are runs of (samples, ticks each); `sizes` and `chunks` are boxes."""
    description = full_box("stsd", struct.pack(">I", 1), entry)
    return box("stbl", description, table("stts", ">II", *lengths), sizes, chunks)


def sizes_each(sizes: Sequence[int]) -> bytes:
    return full_box("stsz", struct.pack(f">II{len(sizes)}I", 0, len(sizes), *sizes))


def sizes_all(size: int, count: int) -> bytes:
    return full_box("stsz", struct.pack(">II", size, count))


def one_chunk(samples: int, offset: int) -> bytes:
    return table("stsc", ">III", (1, samples, 1)) + table("stco", ">I", (offset,))


def chapters_reference(track: int) -> bytes:
    return box("tref", box("chap", struct.pack(">I", track)))


def chapter_sample(title: str | bytes) -> bytes:
    """A length of two bytes, the text, and the mark that says UTF-8."""
    text = title.encode() if isinstance(title, str) else title
    return struct.pack(">H", len(text)) + text + box("encd", b"\0\0\1\0")
