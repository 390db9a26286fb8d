"""Audiobooks: what is read, what may be broken, and what a file may cost at most."""

from __future__ import annotations

import io
import random
import resource
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders.m4b import INTEGER, UTF16, build_m4b, nero_box, write_sparse_m4b
from mutagen.mp4 import MP4

from datasette_shisho_resync.demo.mp4 import (
    box,
    data_box,
    freeform_item,
    full_box,
    item,
    mp4a,
    sample_entry,
)
from datasette_shisho_resync.errors import LimitExceeded, MediaError, UnreadableFile
from datasette_shisho_resync.model import Author, Chapter, Identifier, Limits, ParsedFile, SeriesEntry
from datasette_shisho_resync.parsers.m4b import parse_m4b

APPLE, TONE, SHISHO = "com.apple.iTunes", "com.pilabor.tone", "com.shisho"
ASIN = Identifier("asin", "B00ABCDEFG")
SAGA = SeriesEntry("Saga", 4)
GIF = b"GIF89a" + struct.pack("<HH", 3, 2) + b"\x80\0\0"


def parse(media: bytes, limits: Limits = Limits()) -> ParsedFile:  # noqa: B008 - frozen
    return parse_m4b(io.BytesIO(media), "books/a.m4b", limits)


def chapter(start_ms: int, title: str) -> Chapter:
    return Chapter(title, start_timestamp_ms=start_ms)


def test_every_field_is_read() -> None:
    parsed = parse(
        build_m4b(
            title="The Way",
            artist="Ann Lee; Bob Ray, Cy",
            narrator="Dee",
            genre="Fantasy;Epic",
            description="<p>One</p><p>Two</p>",
            publisher="House",
            day="2020-01-31",
            freeform={
                (APPLE, "SUBTITLE"): "A Tale",
                (APPLE, "SERIES"): "Ways",
                (APPLE, "SERIES-PART"): "1.5",
                (APPLE, "ASIN"): "b00abcdefg",
                (APPLE, "ISBN"): "978-0-306-40615-7",
                (TONE, "LANGUAGE"): "eng",
                (TONE, "ABRIDGED"): " True",
                (SHISHO, "tags"): "calm, long",
                (SHISHO, "url"): "https://example.org/way",
            },
            quicktime_chapters=[(0, "Start"), (1500, "Ende €")],
            duration_ms=61_500,
        )
    )
    assert parsed == ParsedFile(
        source="m4b_metadata",
        title="The Way",
        subtitle="A Tale",
        description="One\n\nTwo",
        authors=(Author("Ann Lee"), Author("Bob Ray"), Author("Cy")),
        series=(SeriesEntry("Ways", 1.5),),
        genres=("Fantasy", "Epic"),
        tags=("calm", "long"),
        url="https://example.org/way",
        release_date=date(2020, 1, 31),
        language="en",
        abridged=True,
        publisher="House",
        narrators=("Dee",),
        identifiers=(Identifier("asin", "B00ABCDEFG"), Identifier("isbn_13", "9780306406157")),
        chapters=(chapter(0, "Start"), chapter(1500, "Ende €")),
        audiobook_duration_seconds=61.5,
        audiobook_bitrate_bps=64_000,
        audiobook_codec="AAC-LC",
    )


def test_a_built_file_is_one_that_mutagen_reads() -> None:
    built = build_m4b(title="T", nero_chapters=[(0, "One")], duration_ms=2000)
    media: Any = MP4(io.BytesIO(built))  # type: ignore[no-untyped-call]
    assert (media.tags["\xa9nam"], media.info.length, media.chapters[0].title) == (["T"], 2.0, "One")


@pytest.mark.parametrize(
    ("items", "field", "value"),
    [
        (item("©alb", "Album"), "title", None),
        (item("©nam", "A\0B \x01"), "title", "AB"),
        (item("©nam", "T\0"), "title", "T"),
        (item("desc", "\0"), "description", None),
        (item("©nam", "Ünï".encode("utf-16-be") + b"\0", kind=UTF16), "title", "Ünï"),
        (item("©nam", "Ünï".encode("utf-16-be"), kind=UTF16), "title", "Ünï"),
        (item("©nam", "Ünï".encode("utf-16"), kind=0), "title", "Ünï"),
        (item("©nam", "Ünï".encode("cp1252")), "title", "Ünï"),
        (item("©pub", "House", kind=0), "publisher", "House"),
        (item("aART", "Ann"), "authors", (Author("Ann"),)),
        (item("aART", "Ann") + item("©ART", " "), "authors", (Author("Ann"),)),
        (item("aART", "Ann") + item("©ART", "Bob"), "authors", (Author("Bob"),)),
        (item("©ART", "Ann", "Bob;Ann"), "authors", (Author("Ann"), Author("Bob"))),
        (item("©wrt", "Wri") + item("©cmp", "Com"), "narrators", ("Com",)),
        (item("©wrt", "Wri"), "narrators", ("Wri",)),
        (item("©wrt", "W") + freeform_item(APPLE, "NARRATOR", "N; M"), "narrators", ("N", "M")),
        (item("©nrt", "Nrt") + freeform_item(APPLE, "NARRATOR", "N"), "narrators", ("Nrt",)),
        (freeform_item(APPLE, "PUBLISHER", "House"), "publisher", "House"),
        (item("©des", "<p>Long</p>"), "description", "Long"),
        (item("©des", "Other") + item("desc", "Short"), "description", "Short"),
        (item("gnre", b"\0\x02", kind=0), "genres", ("Classic Rock",)),
        (item("gnre", b"\0\x02", kind=INTEGER), "genres", ("Classic Rock",)),
        (item("gnre", b"\0\0", kind=0), "genres", ()),
        (item("gnre", b"\0\xff", kind=0), "genres", ()),
        (item("gnre", b"\0\x02", kind=0) + item("©gen", "Sea"), "genres", ("Classic Rock", "Sea")),
        (item("ldes", "Long"), "description", "Long"),
        (item("desc", "It was a…") + item("ldes", "It was a night"), "description", "It was a night"),
        (item("desc", "Short") + item("ldes", "Quite another text"), "description", "Short"),
        (item("desc", "It was.") + item("ldes", "It was"), "description", "It was."),
        (item("©cmt", "No"), "description", None),
        (item("rldt", "2019-05-06") + item("©day", "2020"), "release_date", date(2019, 5, 6)),
        (item("rldt", "24-Mar-2015") + item("©day", "2016"), "release_date", date(2015, 3, 24)),
        (item("rldt", "soon") + item("©day", "2020"), "release_date", date(2020, 1, 1)),
        (item("©day", "2020-03-01T00:00:00Z"), "release_date", date(2020, 3, 1)),
        (item("©grp", "Saga, Book 2"), "series", (SeriesEntry("Saga", 2),)),
        (item("©mvn", "Move") + item("©mvi", b"\0\3", kind=INTEGER), "series", (SeriesEntry("Move", 3),)),
        (item("©mvn", "Move") + item("©grp", "Saga #2"), "series", (SeriesEntry("Move"),)),
        (freeform_item(TONE, "Series", "Saga") + freeform_item(TONE, "PART", "4"), "series", (SAGA,)),
        (freeform_item(APPLE, "series", "S") + item("©grp", "Saga #2"), "series", (SeriesEntry("S"),)),
        (
            freeform_item(APPLE, "SERIES", "S", "R") + freeform_item(APPLE, "SERIES-PART", "1-3", "x"),
            "series",
            (SeriesEntry("S", 1, 3), SeriesEntry("R")),
        ),
        (freeform_item(TONE, "SUBTITLE", "Sub"), "subtitle", "Sub"),
        (freeform_item(APPLE, "LANGUAGE", "fre"), "language", "fr"),
        (freeform_item(TONE, "LANGUAGE", "?") + freeform_item(APPLE, "LANGUAGE", "de"), "language", "de"),
        (freeform_item(TONE, "ABRIDGED", "0"), "abridged", False),
        (freeform_item(TONE, "ABRIDGED", "maybe"), "abridged", None),
        (freeform_item(TONE, "AUDIBLE_ASIN", "B00ABCDEFG"), "identifiers", (ASIN,)),
        (item("CDEK", "B00ABCDEFG"), "identifiers", (ASIN,)),
        (freeform_item(APPLE, "ISBN", "not one"), "identifiers", ()),
        (item("©nam", "The\n Title"), "title", "The Title"),
        (item("©nrt", "Harry Connick, Jr., Ned Reader"), "narrators", ("Harry Connick, Jr.", "Ned Reader")),
        (item("©gen", "World War I, II"), "genres", ("World War I", "II")),
        (item("©nrt", "Ned\tReader"), "narrators", ("Ned Reader",)),
        (item("©pub", "A\r\nHouse"), "publisher", "A House"),
    ],
)  # fmt: skip
def test_a_tag_gives_a_field(items: bytes, field: str, value: object) -> None:
    assert getattr(parse(build_m4b(extra_ilst=items)), field) == value


@pytest.mark.parametrize(
    ("items", "sort_names"),
    [
        (item("©ART", "Ann Lee") + item("soar", "Lee, A."), ["Lee, A."]),
        (item("aART", "Ann Lee") + item("soaa", "Lee, A."), ["Lee, A."]),
        (item("aART", "Ann Lee") + item("soar", "Lee, A."), [None]),
        (item("©ART", "Ann; Bob") + item("soar", "Lee, A."), [None, None]),
    ],
)
def test_a_single_artist_may_have_a_sort_name(items: bytes, sort_names: list[str | None]) -> None:
    assert [author.sort_name for author in parse(build_m4b(extra_ilst=items)).authors] == sort_names


@pytest.mark.parametrize(
    ("codec", "name", "bitrate_bps"),
    [
        (mp4a(audio_object_type=1), "AAC Main", 64_000),
        (mp4a(audio_object_type=5), "HE-AAC", 64_000),
        (mp4a(audio_object_type=29), "HE-AACv2", 64_000),
        (mp4a(audio_object_type=42), "xHE-AAC", 64_000),
        (mp4a(audio_object_type=7), "AAC", 64_000),
        (mp4a(stream=b"\0\0\xe0" + b"\0\1" + b"\3url" + b"\0\2"), "AAC-LC", 64_000),
        (mp4a(stream=b""), None, None),
        (mp4a(object_type=0x67), "MPEG-2 AAC-LC", 64_000),
        (mp4a(object_type=0x6B, bitrate=32_000), "MP3", 32_000),
        (mp4a(object_type=0xDD, bitrate=0), "Unknown", None),
        (mp4a(object_type=0), None, 64_000),
        (sample_entry("alac", full_box("alac", bytes(24))), "ALAC", None),
        (sample_entry("ac-3", box("btrt", struct.pack(">3I", 0, 0, 192_000))), "AC3", 192_000),
        (sample_entry("ec-3", box("dec3", bytes(5))), "EAC3", None),
        (sample_entry("mp4a", bytes(16), box("wave", mp4a()[36:])), "AAC-LC", 64_000),
        (sample_entry("fLaC"), None, None),
        (b"", None, None),
    ],
)
def test_a_sample_entry_gives_codec_and_bitrate(codec: bytes, name: str, bitrate_bps: int) -> None:
    parsed = parse(build_m4b(codec=codec or b"\0"))
    assert (parsed.audiobook_codec, parsed.audiobook_bitrate_bps) == (name, bitrate_bps)


def test_the_duration_is_that_of_the_sound() -> None:
    media = build_m4b(duration_ms=2000, timescale=22_050)
    at = media.index(b"mvhd") + 20
    assert parse(media[:at] + b"\0\0\xff\xff" + media[at + 4 :]).audiobook_duration_seconds == 2.0


def test_the_duration_of_the_movie_stands_in_for_an_impossible_one() -> None:
    media = build_m4b(duration_ms=2000)
    at = media.index(b"mdhd") + 16
    assert parse(media[:at] + b"\xff\xff\xff\xff" + media[at + 4 :]).audiobook_duration_seconds == 2.0


def run_of_samples(*ticks: int, count: int = 0) -> bytes:
    """A run whose samples say how long and how large they are, or `count` that do not."""
    if count:
        return full_box("trun", struct.pack(">Ii", count, 0), flags=0x001)
    samples = b"".join(struct.pack(">II", length, 100) for length in ticks)
    return full_box("trun", struct.pack(">IiI", len(ticks), 0, 0), samples, flags=0x305)


def fragment(start: int, *runs: bytes, track: int = 1, default: int | None = None, version: int = 0) -> bytes:
    more = b"" if default is None else struct.pack(">QII", 0, 1, default)
    header = full_box("tfhd", struct.pack(">I", track), more, flags=0 if default is None else 0x00B)
    begin = full_box("tfdt", struct.pack(">Q" if version else ">I", start), version=version)
    return box("moof", full_box("mfhd", bytes(4)), box("traf", header, begin, *runs)) + box("mdat", bytes(50))


DEFAULTS = box("mvex", full_box("trex", struct.pack(">IIIII", 1, 1, 1024, 0, 0)))


@pytest.mark.parametrize(
    ("fragments", "seconds"),
    [
        (fragment(0, run_of_samples(1000)) + fragment(1000, run_of_samples(500, 500)), 2),
        (fragment(1000, run_of_samples(1000), run_of_samples(1000), version=1), 3),
        (fragment(1000, run_of_samples(count=3), default=1000), 4),
        (fragment(0, run_of_samples(count=1000)), 1024),
        (fragment(1000, run_of_samples(1000)) + fragment(9000, run_of_samples(9000), track=2), 2),
        (fragment(1000, run_of_samples(1000)) + fragment(2000, run_of_samples(1000))[:-60], 2),
        (fragment(9000, run_of_samples(9000), track=2), None),
        (b"", None),
    ],
)
def test_fragments_tell_how_long_they_are(fragments: bytes, seconds: float | None) -> None:
    movie = build_m4b(title="T", duration_ms=0, timescale=1000, extra_moov=DEFAULTS)
    assert parse(movie + fragments).audiobook_duration_seconds == seconds


def test_a_damaged_or_endless_row_of_fragments_costs_the_duration_alone() -> None:
    movie = build_m4b(title="T", duration_ms=0, timescale=1000, extra_moov=DEFAULTS)
    damaged = parse(movie + fragment(0, full_box("trun", struct.pack(">I", 9), flags=0x100)))
    assert (damaged.title, damaged.audiobook_duration_seconds, len(damaged.warnings)) == ("T", None, 1)
    endless = parse(movie + fragment(0, run_of_samples(9)) * 50, replace(Limits(), max_archive_entries=90))
    assert (endless.title, endless.audiobook_duration_seconds) == ("T", None)


def test_a_fragmented_file_has_the_duration_of_its_fragments() -> None:
    fragments = box("mvex", full_box("mehd", struct.pack(">I", 7000)))
    assert parse(build_m4b(duration_ms=0, extra_moov=fragments)).audiobook_duration_seconds == 7.0


def test_an_unknown_duration_is_left_out() -> None:
    assert parse(build_m4b(duration_ms=0)).audiobook_duration_seconds is None


@pytest.mark.parametrize("moov_first", [True, False])
@pytest.mark.parametrize("wide_offsets", [True, False])
def test_all_of_three_hundred_quicktime_chapters_are_read(moov_first: bool, wide_offsets: bool) -> None:
    expected = [(number * 700, f"Chapter {number}") for number in range(300)]
    media = build_m4b(quicktime_chapters=expected, moov_first=moov_first, wide_offsets=wide_offsets)
    assert parse(media).chapters == tuple(chapter(*one) for one in expected)


@pytest.mark.parametrize("per_chunk", [1, 2, 5])
def test_chapters_may_be_spread_over_chunks(per_chunk: int) -> None:
    chapters = [(number, "x" * number) for number in range(1, 6)]
    media = build_m4b(quicktime_chapters=chapters, chapters_per_chunk=per_chunk)
    assert [one.title for one in parse(media).chapters] == [title for _, title in chapters]


def _with_moov_children(media: bytes, *boxes: bytes) -> bytes:
    """Put a second movie box with more children behind the media, and hide the first."""
    at = media.index(b"moov") - 4
    size = struct.unpack_from(">I", media, at)[0]
    movie = box("moov", media[at + 8 : at + size], *boxes)
    return media[: at + 4] + b"free" + media[at + 8 :] + movie


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("Ünö".encode("utf-16"), "Ünö"),
        (b"\xfe\xff" + "Ünö".encode("utf-16-be"), "Ünö"),
        ("Plain".encode("utf-16-be"), "Plain"),
        ("Ünö".encode("cp1252"), "Ünö"),
        (b"", ""),
        (b"\0", ""),
        (b"1\0", "1"),
        ("A\0".encode("utf-16"), "A"),
        (b" in  blanks ", "in  blanks"),
        (b"\x0bcon\x1ftrols\x7f", "controls"),
    ],
)
def test_chapter_titles_come_in_many_encodings(raw: bytes, title: str) -> None:
    assert parse(build_m4b(quicktime_chapters=[(0, raw)])).chapters == (chapter(0, title),)
    assert parse(build_m4b(nero_chapters=[(0, raw)])).chapters == (chapter(0, title),)


@pytest.mark.parametrize(
    "count_and_flags",
    [
        struct.pack(">II", 0, 2),
        struct.pack(">IB", 0, 2),
        struct.pack(">IBI", 1 << 24, 0, 2),
        struct.pack(">IBB", 1 << 24, 0, 2),
    ],
)
def test_nero_chapters_are_read_in_every_layout(count_and_flags: bytes) -> None:
    entries = nero_box([(0, "One"), (12_345, "Two")])[17:]
    parsed = parse(build_m4b(nero_list=box("chpl", count_and_flags, entries)))
    assert parsed.chapters == (chapter(0, "One"), chapter(12_345, "Two"))


def test_more_nero_chapters_than_a_byte_counts_are_read() -> None:
    assert len(parse(build_m4b(nero_chapters=[(n, "x") for n in range(300)])).chapters) == 300


@pytest.mark.parametrize("count", [struct.pack(">II", 0, 9), struct.pack(">IBI", 1 << 24, 0, 9)])
def test_a_damaged_list_of_nero_chapters_costs_only_itself(count: bytes) -> None:
    entries = nero_box([(0, "One" * 40)])[17:]
    parsed = parse(build_m4b(title="T", nero_list=box("chpl", count, entries)))
    assert (parsed.title, parsed.chapters) == ("T", ())
    assert parsed.warnings == ("The chapter list is damaged and was left out.",)


def test_quicktime_chapters_come_before_neros() -> None:
    media = build_m4b(quicktime_chapters=[(0, "Q")], nero_chapters=[(0, "N")])
    assert parse(media).chapters == (chapter(0, "Q"),)


@pytest.mark.parametrize("name", [b"stsz", b"stts", b"stsc", b"stco"])
def test_a_damaged_chapter_track_leaves_the_list_and_the_tags(name: bytes) -> None:
    media = build_m4b(title="T", quicktime_chapters=[(0, "Q")], nero_chapters=[(0, "N")])
    at = media.rindex(name) + (12 if name == b"stsz" else 8)
    parsed = parse(media[:at] + b"\xff\xff\xff\xff" + media[at + 4 :])
    assert (parsed.title, parsed.chapters) == ("T", (chapter(0, "N"),))
    assert parsed.warnings == ("The chapter track is damaged and was left out.",)


def test_chapter_titles_that_were_cut_off_with_the_media_are_left_out() -> None:
    parsed = parse(build_m4b(title="T", quicktime_chapters=[(0, "One"), (9, "Two")])[:-20])
    assert (parsed.title, parsed.chapters) == ("T", ())
    assert parsed.warnings == ("The chapter track is damaged and was left out.",)


def test_the_cover_is_the_first_image_and_read_only_when_wanted() -> None:
    empty_and_two = box("covr", data_box(b""), data_box(GIF), data_box(b"other"))
    parsed = parse(build_m4b(extra_ilst=empty_and_two))
    assert parsed.cover is None
    assert parsed.load_cover is not None
    cover = parsed.load_cover()
    assert cover is not None
    assert (cover.data, cover.mime, cover.width) == (GIF, "image/gif", 3)


def test_a_file_that_shrinks_while_it_is_read_is_unreadable() -> None:
    file = io.BytesIO(build_m4b(cover=GIF, moov_first=False))
    parsed = parse_m4b(file, "books/a.m4b", Limits())
    file.truncate(100)
    assert parsed.load_cover is not None
    with pytest.raises(UnreadableFile, match=r"books/a\.m4b: its cover"):
        parsed.load_cover()


def test_a_file_without_cover_offers_none() -> None:
    assert parse(build_m4b(title="T")).load_cover is None


@pytest.mark.parametrize(
    ("cover", "limits", "words"),
    [(b"no image", Limits(), "cover"), (GIF, Limits(max_cover_bytes=5), "max_cover_bytes (5 bytes)")],
)
def test_a_bad_cover_costs_only_the_cover(cover: bytes, limits: Limits, words: str) -> None:
    parsed = parse(build_m4b(title="T", cover=cover), limits)
    assert parsed.title == "T"
    assert parsed.load_cover is not None
    with pytest.raises(MediaError, match=r"books/a\.m4b") as caught:
        parsed.load_cover()
    assert words in caught.value.reason


@pytest.mark.parametrize(
    "broken",
    [
        item("©gen", "x")[:-1],  # its neighbours' bytes fill it
        box("©gen", b"junk in place of a value"),
        box("----", data_box("without a name")),
        item("desc", "x" * 2000),
    ],
)
def test_a_broken_tag_costs_only_itself(broken: bytes) -> None:
    media = build_m4b(title="T", extra_ilst=broken)
    assert parse(media, Limits(max_description_bytes=1000)).title == "T"


def test_a_tag_that_was_left_out_is_named() -> None:
    assert parse(build_m4b(extra_ilst=box("©gen", b"junk"))).warnings == (
        "The tag ©gen is damaged and was left out.",
    )


def test_zeros_at_the_end_of_the_user_data_cost_nothing() -> None:
    assert parse(build_m4b(title="T", nero_list=bytes(4))).title == "T"


def test_tags_without_version_as_quicktime_writes_them_are_read() -> None:
    ilst = box("ilst", item("©nam", "T"))
    meta = box("meta", full_box("hdlr", bytes(4), b"mdir", bytes(13)), ilst)
    assert parse(_with_moov_children(build_m4b(), meta)).title == "T"


def test_a_track_without_handler_leaves_duration_and_tags() -> None:
    parsed = parse(build_m4b(title="T", duration_ms=3000).replace(b"hdlr", b"xxxx"))
    assert (parsed.title, parsed.audiobook_duration_seconds) == ("T", 3.0)


@pytest.mark.parametrize(
    "media",
    [
        b"",
        b"ID3\4" + bytes(100),
        b"\0\0\0",
        box("ftyp", b"M4B "),
        box("ftyp", b"M4B ") + box("moov", b""),
        box("moov", bytes(range(256)) * 40),
        build_m4b()[:300],
        struct.pack(">I4sQ", 1, b"moov", 2**63) + bytes(100),
        struct.pack(">I4s", 3 * 1024**3, b"moov") + bytes(100),
        struct.pack(">I4sQ", 1, b"mdat", 3),
        struct.pack(">I4s", 7, b"moov"),
    ],
)
def test_what_is_no_whole_mp4_file_is_unreadable_and_named(media: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"books/a\.m4b: .*moov"):
        parse(media)


def test_a_system_error_while_reading_is_ours() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(UnreadableFile, match=r"books/a\.m4b: Input/output error"):
        parse_m4b(Failing(build_m4b()), "books/a.m4b", Limits())


MANY = 200
SMALL = Limits(max_archive_entries=MANY, max_chapters=10, max_list_entries=10, max_sidecar_bytes=4000)


@pytest.mark.parametrize(
    ("media", "setting"),
    [
        (build_m4b(extra_ilst=box("free") * MANY), "max_archive_entries"),
        (box("free") * (MANY + 1), "max_archive_entries"),
        (build_m4b(artist=";".join("abcdefghijkl")), "max_list_entries"),
        (build_m4b(quicktime_chapters=[(n, "x") for n in range(11)]), "max_chapters"),
        (build_m4b(nero_chapters=[(n, "x") for n in range(11)]), "max_chapters"),
        (build_m4b(description="x" * 5000), "max_sidecar_bytes"),
        (build_m4b(quicktime_chapters=[(0, "x" * 5000)]), "max_sidecar_bytes"),
    ],
)
def test_a_breached_limit_names_file_and_setting(media: bytes, setting: str) -> None:
    with pytest.raises(LimitExceeded, match=rf"books/a\.m4b: .*{setting}"):
        parse(media, SMALL)


def test_a_common_sample_size_does_not_allocate_what_it_claims() -> None:
    media = build_m4b(quicktime_chapters=[(0, "One")])
    at = media.rindex(b"stsz") + 8
    with pytest.raises(LimitExceeded, match="max_chapters"):
        parse(media[:at] + struct.pack(">II", 9, 0xFFFFFFFF) + media[at + 8 :])


def _nested(depth: int) -> bytes:
    nested = b""
    for _ in range(depth):
        nested = box("udta", nested)
    return nested


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(lambda: build_m4b(extra_ilst=box("©gen") * 100_000), id="tags"),
        pytest.param(lambda: box("free") * 100_000, id="boxes"),
        pytest.param(lambda: build_m4b(extra_moov=_nested(3000)), id="nesting"),
        pytest.param(lambda: build_m4b(extra_ilst=freeform_item("a", "b", "c") * 2_000), id="freeform"),
        pytest.param(lambda: build_m4b(artist="a;" * 100_000), id="authors"),
    ],
)
def test_a_hostile_file_costs_little_memory(hostile: Callable[[], bytes]) -> None:
    media = hostile()
    tracemalloc.start()
    try:
        with suppress(MediaError):
            parse(media, Limits(max_archive_entries=20_000))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < len(media) + 20 * 1024**2


def test_a_sparse_cover_is_refused_unread(tmp_path: Path) -> None:
    media = build_m4b(title="T", moov_first=False, extra_ilst=box("covr", data_box(GIF)))
    grown = 500 * 1024**2
    for name in (b"moov", b"udta", b"meta", b"ilst", b"covr"):
        at = media.index(name) - 4
        media = (
            media[:at] + struct.pack(">I", struct.unpack_from(">I", media, at)[0] + grown) + media[at + 4 :]
        )
    at = media.rindex(b"data") - 4
    media = media[:at] + struct.pack(">I", 16 + len(GIF) + grown) + media[at + 4 :]
    path = tmp_path / "a.m4b"
    with path.open("wb") as file:
        file.write(media)
        file.truncate(len(media) + grown)
    with path.open("rb") as file:
        parsed = parse_m4b(file, "a.m4b", Limits())
        assert parsed.title == "T"
        assert parsed.load_cover is not None
        with pytest.raises(LimitExceeded, match="max_cover_bytes"):
            parsed.load_cover()


@pytest.mark.parametrize("moov_first", [True, False])
def test_the_cost_does_not_grow_with_the_media(tmp_path: Path, moov_first: bool) -> None:
    media = build_m4b(title="T", quicktime_chapters=[(0, "One")], moov_first=moov_first)
    path = write_sparse_m4b(tmp_path / "a.m4b", media, hole_bytes=2 * 1024**3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with path.open("rb") as file:
        parsed = parse_m4b(file, "a.m4b", Limits())
    assert replace(parsed, load_cover=None) == parse(media)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024


def test_no_damage_lets_another_error_out() -> None:
    media = build_m4b(
        title="T", artist="A", freeform={(APPLE, "SERIES"): "S"}, cover=GIF,
        extra_ilst=item("gnre", b"\0\2", kind=0) + item("©mvi", b"\0\2", kind=INTEGER),
        quicktime_chapters=[(0, "One"), (9, "Two")], nero_chapters=[(0, "N")],
    )  # fmt: skip
    chance = random.Random(7)
    for _ in range(1500):
        damaged = bytearray(media)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(media))] = chance.choice(
                (0, 1, 8, 0x7F, 0xFF, chance.randrange(256))
            )
        try:
            parsed = parse(bytes(damaged[: chance.choice((len(media), chance.randrange(len(media))))]))
            if parsed.load_cover:
                parsed.load_cover()
        except MediaError:
            pass


@pytest.mark.parametrize(
    ("number", "disc", "track"),
    [
        (struct.pack(">4H", 0, 7, 12, 0), struct.pack(">3H", 0, 2, 3), (2, 7)),
        (struct.pack(">3H", 0, 7, 12), b"", (0, 7)),
        (struct.pack(">4H", 0, 0, 12, 0), struct.pack(">3H", 0, 2, 3), None),
        (b"\0\7", struct.pack(">3H", 0, 2, 3), None),
        (b"", b"", None),
    ],
)
def test_a_track_has_its_place_on_its_disc(number: bytes, disc: bytes, track: tuple[int, int] | None) -> None:
    parsed = parse(build_m4b(title="T", extra_ilst=item("trkn", number, kind=0) + item("disk", disc, kind=0)))
    assert (parsed.title, parsed.track) == ("T", track)


@pytest.mark.parametrize(
    ("grouping", "series"),
    [
        ("Mistborn #4; Cosmere #16", (("Mistborn", 4.0), ("Cosmere", 16.0))),
        ("Mistborn #4, Cosmere #16.5", (("Mistborn", 4.0), ("Cosmere", 16.5))),
        ("Mistborn #4; Cosmere", (("Mistborn", 4.0), ("Cosmere", None))),
        ("Me, Myself & I, Book 2", (("Me, Myself & I", 2.0),)),
        ("Wars #1-3", (("Wars", 1.0),)),
        ("Mystery; Thriller", ()),
        ("; ;", ()),
    ],
)
def test_a_grouping_may_name_several_series(
    grouping: str, series: tuple[tuple[str, float | None], ...]
) -> None:
    found = parse(build_m4b(title="T", grouping=grouping)).series
    assert tuple((entry.name, entry.number) for entry in found) == series


def test_an_identifier_has_no_controls() -> None:
    asin = ("com.apple.iTunes", "ASIN")
    assert parse(build_m4b(freeform={asin: "\x05"})).identifiers == ()
    assert parse(build_m4b(freeform={asin: "\x05B000000001"})).identifiers == (
        Identifier("asin", "B000000001"),
    )
