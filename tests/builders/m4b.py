"""Writes small audiobooks from the layout of ISO base media files; needs nothing but `struct`.

The audio is one silent AAC frame that is said to last as long as wanted, which players accept.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasette_shisho_resync.demo.mp4 import (
    JPEG,
    SILENT_FRAME,
    box,
    chapter_sample,
    chapters_reference,
    freeform_item,
    full_box,
    item,
    item_list,
    movie_header,
    mp4a,
    sample_table,
    sizes_each,
    sound_media,
    table,
    text_entry,
    text_media,
    track_header,
)

UTF16, INTEGER = 2, 21


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
    ilst = item_list(tags, extra_ilst)
    samples = [chapter_sample(text) for _, text in quicktime_chapters]

    def movie(media_at: int) -> bytes:
        tracks = _sound_track(codec or mp4a(), duration_ms, timescale, media_at, bool(samples))
        if samples:
            starts = [start for start, _ in quicktime_chapters]
            at = media_at + len(SILENT_FRAME)
            chunks = _chunks(samples, at, chapters_per_chunk, wide_offsets)
            tracks += _chapter_track(starts, samples, duration_ms, chunks)
        return box("moov", movie_header(duration_ms), tracks, box("udta", ilst, chapter_list), extra_moov)

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


def _sound_track(codec: bytes, duration_ms: int, timescale: int, media_at: int, has_chapters: bool) -> bytes:
    ticks = duration_ms * timescale // 1000
    samples = _sample_table(codec, [ticks], [SILENT_FRAME], _chunks([SILENT_FRAME], media_at, 1, False))
    reference = chapters_reference(2) if has_chapters else b""
    return box("trak", track_header(1, duration_ms), reference, sound_media(timescale, ticks, samples))


def _chapter_track(starts: Sequence[int], samples: Sequence[bytes], duration_ms: int, chunks: bytes) -> bytes:
    ends = [*starts[1:], max(duration_ms, starts[-1])]
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    titles = _sample_table(text_entry(), lengths, samples, chunks)
    return box("trak", track_header(2, duration_ms), text_media(1000, duration_ms, titles))


def _sample_table(entry: bytes, lengths: Sequence[int], samples: Sequence[bytes], chunks: bytes) -> bytes:
    sizes = sizes_each([len(sample) for sample in samples])
    return sample_table(entry, [(1, length) for length in lengths], sizes, chunks)


def _chunks(samples: Sequence[bytes], media_at: int, per_chunk: int, wide: bool) -> bytes:
    """How samples lie in the file: runs of chunks, and where each chunk starts."""
    firsts = range(0, len(samples), per_chunk)
    starts = [(media_at + sum(map(len, samples[:first])),) for first in firsts]
    runs = [(1, per_chunk, 1), (len(firsts), len(samples) - firsts[-1], 1)]
    offsets = table("co64", ">Q", *starts) if wide else table("stco", ">I", *starts)
    return table("stsc", ">III", *runs[len(firsts) == 1 :]) + offsets
