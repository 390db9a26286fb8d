"""Writes an audiobook: silence of the right length, its chapters, tags and cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import mp4

_RATE, _FRAME_TICKS = 44_100, 1_024
_BITRATE = len(mp4.SILENT_FRAME) * 8 * _RATE // _FRAME_TICKS


def build_audiobook(
    tags: Mapping[str, str],
    freeform: Mapping[str, str],
    chapters: Sequence[tuple[str, int]],
    cover: bytes,
) -> bytes:
    """Return an M4B whose `chapters` are (title, seconds); `freeform` tags are of iTunes' namespace."""
    seconds = sum(length for _, length in chapters)
    frames = -(-seconds * _RATE // _FRAME_TICKS)
    titles = [mp4.chapter_sample(title) for title, _ in chapters]
    items = mp4.item_list(
        *(mp4.item(name, text) for name, text in tags.items()),
        *(mp4.freeform_item("com.apple.iTunes", name, text) for name, text in freeform.items()),
        mp4.item("covr", cover, kind=mp4.JPEG),
    )

    def movie(media_at: int) -> bytes:
        titles_at = media_at + frames * len(mp4.SILENT_FRAME)
        sound = _sound_track(seconds * 1000, frames, media_at)
        text = _title_track([length for _, length in chapters], titles, titles_at)
        return mp4.box("moov", mp4.movie_header(seconds * 1000), sound, text, mp4.box("udta", items))

    start = mp4.box("ftyp", b"M4B \0\0\0\0M4B mp42isom")
    media_at = len(start) + len(movie(0)) + 8
    return start + movie(media_at) + mp4.box("mdat", mp4.SILENT_FRAME * frames, *titles)


def _sound_track(duration_ms: int, frames: int, media_at: int) -> bytes:
    samples = mp4.sample_table(
        mp4.mp4a(bitrate=_BITRATE),
        [(frames, _FRAME_TICKS)],
        mp4.sizes_all(len(mp4.SILENT_FRAME), frames),
        mp4.one_chunk(frames, media_at),
    )
    media = mp4.sound_media(_RATE, frames * _FRAME_TICKS, samples)
    return mp4.box("trak", mp4.track_header(1, duration_ms), mp4.chapters_reference(2), media)


def _title_track(lengths: Sequence[int], titles: Sequence[bytes], titles_at: int) -> bytes:
    duration_ms = sum(lengths) * 1000
    samples = mp4.sample_table(
        mp4.text_entry(),
        [(1, length * 1000) for length in lengths],
        mp4.sizes_each([len(title) for title in titles]),
        mp4.one_chunk(len(titles), titles_at),
    )
    return mp4.box("trak", mp4.track_header(2, duration_ms), mp4.text_media(1000, duration_ms, samples))
