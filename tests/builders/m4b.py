"""Writes small audiobooks from the layout of ISO base media files; needs nothing but `struct`.

The audio is one silent AAC frame that is said to last as long as wanted, which players accept.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

SILENT_FRAME = bytes.fromhex("00c800802380")
UTF8, UTF16, INTEGER, JPEG = 1, 2, 21, 13
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def box(name: str | bytes, *content: bytes) -> bytes:
    """One box; `©` is one byte in a name."""
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), _name(name)) + data


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


def freeform_item(namespace: str, name: str, *values: bytes | str, kind: int = UTF8) -> bytes:
    names = full_box("mean", namespace.encode()), full_box("name", name.encode())
    return box("----", *names, *(data_box(value, kind) for value in values))


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


def build_m4b(
    *,
    title: str | None = None,
    artist: str | None = None,
    album_artist: str | None = None,
    narrator: str | None = None,
    genre: str | None = None,
    description: str | None = None,
    publisher: str | None = None,
    day: str | None = None,
    grouping: str | None = None,
    freeform: Mapping[tuple[str, str], str] | None = None,
    cover: bytes | None = None,
    extra_ilst: bytes = b"",
    extra_moov: bytes = b"",
    quicktime_chapters: Sequence[tuple[int, str | bytes]] = (),
    nero_chapters: Sequence[tuple[int, str | bytes]] = (),
    nero_list: bytes | None = None,
    duration_ms: int = 60_000,
    timescale: int = 44_100,
    codec: bytes | None = None,
    moov_first: bool = True,
    wide_offsets: bool = False,
    chapters_per_chunk: int = 1000,
) -> bytes:
    """An audiobook; `codec` is a sample entry, chapters are (start in ms, title)."""
    texts = {
        "©nam": title, "©ART": artist, "aART": album_artist, "©nrt": narrator, "©gen": genre,
        "desc": description, "©pub": publisher, "©day": day, "©grp": grouping,
    }  # fmt: skip
    tags = b"".join(item(name, text) for name, text in texts.items() if text is not None)
    tags += b"".join(freeform_item(*names, text) for names, text in (freeform or {}).items())
    tags += item("covr", cover, kind=JPEG) if cover is not None else b""
    chapter_list = nero_list or (nero_box(nero_chapters) if nero_chapters else b"")
    ilst = full_box("meta", _handler("mdir", b"appl"), box("ilst", tags, extra_ilst))
    samples = [_chapter_sample(text) for _, text in quicktime_chapters]

    def movie(media_at: int) -> bytes:
        tracks = _sound_track(codec or mp4a(), duration_ms, timescale, media_at, bool(samples))
        if samples:
            starts = [start for start, _ in quicktime_chapters]
            at = media_at + len(SILENT_FRAME)
            chunks = _chunks(samples, at, chapters_per_chunk, wide_offsets)
            tracks += _chapter_track(starts, samples, duration_ms, chunks)
        return box("moov", _movie_header(duration_ms), tracks, box("udta", ilst, chapter_list), extra_moov)

    start = box("ftyp", b"M4B \0\0\0\0M4B mp42isom")
    media = box("mdat", SILENT_FRAME, *samples)
    if moov_first:
        return start + movie(len(start) + len(movie(0)) + 8) + media
    return start + media + movie(len(start) + 8)


def write_sparse_m4b(path: Path, media: bytes, *, hole_bytes: int) -> Path:
    """Write a built file with a hole of that size: behind `moov` if that is first, else before it."""
    at = len(media) if media.index(b"moov") < media.index(b"mdat") else media.index(b"moov") - 4
    with path.open("wb") as file:
        file.write(media[:at] + struct.pack(">I4sQ", 1, b"free", hole_bytes))
        file.seek(at + hole_bytes)
        file.write(media[at:])
        file.truncate(len(media) + hole_bytes)
    return path


def nero_box(chapters: Sequence[tuple[int, str | bytes]], *, version: int = 1) -> bytes:
    """Nero's list: version 1 has a reserved byte before its count."""
    head = (b"\0" if version else b"") + struct.pack(">I", len(chapters))
    entries = (
        struct.pack(">QB", start * 10_000, len(text)) + text
        for start, title in chapters
        for text in [title if isinstance(title, bytes) else title.encode()]
    )
    return full_box("chpl", head, *entries, version=version)


def _name(name: str | bytes) -> bytes:
    return name.encode("latin-1") if isinstance(name, str) else name


def _descriptor(tag: int, *content: bytes) -> bytes:
    data = b"".join(content)
    return bytes((tag, 0x80, 0x80, 0x80, len(data))) + data


def _handler(kind: str, maker: bytes = bytes(4)) -> bytes:
    return full_box("hdlr", bytes(4), kind.encode(), maker, bytes(9))


def _movie_header(duration_ms: int) -> bytes:
    fixed = struct.pack(">IIIIIH10x", 0, 0, 1000, duration_ms, 0x10000, 0x100)
    return full_box("mvhd", fixed, _MATRIX, bytes(24), struct.pack(">I", 3))


def _sound_track(codec: bytes, duration_ms: int, timescale: int, media_at: int, has_chapters: bool) -> bytes:
    ticks = duration_ms * timescale // 1000
    samples = _sample_table(codec, [ticks], [len(SILENT_FRAME)], _chunks([SILENT_FRAME], media_at, 1, False))
    reference = box("tref", box("chap", struct.pack(">I", 2))) if has_chapters else b""
    media = _media("soun", timescale, ticks, full_box("smhd", bytes(4)), samples)
    return box("trak", _track_header(1, duration_ms), reference, media)


def _chapter_track(starts: Sequence[int], samples: Sequence[bytes], duration_ms: int, chunks: bytes) -> bytes:
    ends = [*starts[1:], max(duration_ms, starts[-1])]
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    entry = box("text", bytes(6), b"\0\1", bytes(43))
    samples_table = _sample_table(entry, lengths, [len(sample) for sample in samples], chunks)
    media = _media("text", 1000, duration_ms, box("gmhd", full_box("gmin", bytes(12))), samples_table)
    return box("trak", _track_header(2, duration_ms), media)


def _chunks(samples: Sequence[bytes], media_at: int, per_chunk: int, wide: bool) -> bytes:
    """How samples lie in the file: runs of chunks, and where each chunk starts."""
    firsts = range(0, len(samples), per_chunk)
    starts = [(media_at + sum(map(len, samples[:first])),) for first in firsts]
    runs = [(1, per_chunk, 1), (len(firsts), len(samples) - firsts[-1], 1)]
    offsets = table("co64", ">Q", *starts) if wide else table("stco", ">I", *starts)
    return table("stsc", ">III", *runs[len(firsts) == 1 :]) + offsets


def _track_header(number: int, duration_ms: int) -> bytes:
    fixed = struct.pack(">IIIII8xHHHH", 0, 0, number, 0, duration_ms, 0, 0, 0x100, 0)
    return full_box("tkhd", fixed, _MATRIX, bytes(8), flags=3)


def _media(kind: str, timescale: int, ticks: int, media_header: bytes, samples: bytes) -> bytes:
    header = full_box("mdhd", struct.pack(">IIIIHH", 0, 0, timescale, ticks, 0x55C4, 0))
    in_this_file = full_box("url ", flags=1)
    information = box("dinf", full_box("dref", struct.pack(">I", 1), in_this_file))
    return box("mdia", header, _handler(kind), box("minf", media_header, information, samples))


def _sample_table(entry: bytes, lengths: Sequence[int], sizes: Sequence[int], chunks: bytes) -> bytes:
    return box(
        "stbl",
        full_box("stsd", struct.pack(">I", 1), entry),
        table("stts", ">II", *((1, length) for length in lengths)),
        full_box("stsz", struct.pack(f">II{len(sizes)}I", 0, len(sizes), *sizes)),
        chunks,
    )


def _chapter_sample(title: str | bytes) -> bytes:
    """A length of two bytes, the text, and the mark that says UTF-8."""
    text = title.encode() if isinstance(title, str) else title
    return struct.pack(">H", len(text)) + text + box("encd", b"\0\0\1\0")
