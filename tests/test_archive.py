from __future__ import annotations

import io
import struct
import zipfile

import pytest
from builders.epub import zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from datasette_shisho_resync.errors import LimitExceeded, MediaError, UnreadableFile
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.parsers.archive import Archive

LIMITS = Limits()
DATA = b"some words, " * 50
END_MARK, ENTRY_MARK, LOCAL_MARK = b"PK\5\6", b"PK\1\2", b"PK\3\4"


def opened(data: bytes, limits: Limits = LIMITS) -> Archive:
    return Archive(io.BytesIO(data), "book.epub", limits)


def patched(data: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite bytes at `offset` after the last `mark`."""
    position = data.rindex(mark) + offset
    return data[:position] + value + data[position + len(value) :]


def with_zip64_end(data: bytes, entries: int, directory_bytes: int, offset: int) -> bytes:
    """Put a ZIP64 end record and its locator before the end record, which then points to them."""
    end = data.rindex(END_MARK)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, directory_bytes, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    unset = END_MARK + bytes(4) + b"\xff" * 12 + bytes(2)
    return data[:end] + record + locator + unset


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_entries_are_listed_in_order_and_read(method: int) -> None:
    data = zipped({"b/x.txt": DATA, "b/": "", "a.txt": "", "ü.txt": "u"}, compression=method)
    archive = opened(data)
    assert archive.names == ("b/x.txt", "a.txt", "ü.txt")
    assert archive.read("b/x.txt", 1_000) == DATA
    assert archive.read("a.txt", 0) == b""
    assert archive.size("b/x.txt") == len(DATA)
    assert "a.txt" in archive
    assert "b/" not in archive


@pytest.mark.parametrize(
    "data",
    [
        b"junk" * 100 + zipped({"a": DATA}),
        zipped({"a": DATA})[:-2] + b"\5\0PK\5\6!",
        zipped({"a": DATA}) + b"trailing junk",
        zipped({"a": DATA}) + b"\0" * 3 + b"PK\5\6 is what a record starts with, and more",
    ],
)
def test_bytes_around_the_archive_do_no_harm(data: bytes) -> None:
    assert opened(data).read("a", 1_000) == DATA


def test_an_archive_with_a_zip64_end_record_is_read() -> None:
    data = zipped({"a": DATA})
    start, end = data.index(ENTRY_MARK), data.rindex(END_MARK)
    wide = with_zip64_end(data, 1, end - start, start)
    assert opened(wide).read("a", 1_000) == DATA
    assert opened(b"junk" + wide).read("a", 1_000) == DATA


def test_sizes_in_the_zip64_field_of_an_entry_are_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as entry:
        entry.write(DATA)
    data = buffer.getvalue()
    field = struct.pack("<HHQQQ", 1, 24, len(DATA), len(DATA), 0)
    directory = bytearray(data[data.index(ENTRY_MARK) : data.rindex(END_MARK)])
    directory[20:28] = b"\xff" * 8
    directory[42:46] = b"\xff" * 4
    directory[30:32] = struct.pack("<H", len(field) + 4)
    directory += struct.pack("<HH", 0x9999, 0) + field
    end = struct.pack("<4s4H2LH", END_MARK, 0, 0, 1, 1, len(directory), data.index(ENTRY_MARK), 0)
    wide = data[: data.index(ENTRY_MARK)] + bytes(directory) + end
    assert opened(wide).size("a") == len(DATA)
    assert opened(wide).read("a", 1_000) == DATA


def test_of_entries_with_one_name_the_last_counts() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "old")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "new")
    assert opened(buffer.getvalue()).names == ("a",)
    assert opened(buffer.getvalue()).read("a", 10) == b"new"


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("Images/Cover.JPG", "images/cover.jpg"),
        ("images\\cover.jpg", "images/cover.jpg"),
        ("/images/cover.jpg", "images/cover.jpg"),
        ("images/cafe\u0301.jpg", "images/café.jpg"),
        ("images/cover.jpg", "./images/x/../cover.jpg"),
    ],
)
def test_an_entry_is_found_in_another_case_or_form(written: str, wanted: str) -> None:
    archive = opened(zipped({written: DATA}))
    found = archive.find(wanted)
    assert found is not None
    assert archive.read(found, 1_000) == DATA
    assert archive.find("missing") is None


def test_a_name_in_the_code_page_of_dos_is_read() -> None:
    data = zipped({"caf#.txt": DATA}).replace(b"caf#", b"caf\x82")
    assert opened(data).names == ("café.txt",)


@pytest.mark.parametrize(
    ("mark", "offset", "value", "reason"),
    [
        (ENTRY_MARK, 8, b"\1\0", "is encrypted"),
        (ENTRY_MARK, 10, b"\x63\0", "unknown method"),
        (ENTRY_MARK, 16, b"bad!", "checksum"),
        (ENTRY_MARK, 42, b"\1\0\0\0", "is damaged"),
        (ENTRY_MARK, 42, b"\xfe\xff\xff\xff", "is damaged"),
        (LOCAL_MARK, 0, b"XX", "is damaged"),
        (LOCAL_MARK, 26, b"\xff\xff", "is damaged"),
        (LOCAL_MARK, 31, b"\xff\xff\xff", "is damaged"),
    ],
)
def test_a_broken_entry_is_unreadable_and_named(mark: bytes, offset: int, value: bytes, reason: str) -> None:
    archive = opened(patched(zipped({"a": DATA}), mark, offset, value))
    with pytest.raises(UnreadableFile, match=rf"^book\.epub: the entry 'a' .*{reason}"):
        archive.read("a", 1_000)


def test_one_broken_entry_does_not_hide_the_others() -> None:
    archive = opened(patched(zipped({"a": DATA, "b": DATA}), ENTRY_MARK, 8, b"\1\0"))
    assert archive.read("a", 1_000) == DATA


def test_a_missing_entry_is_unreadable() -> None:
    with pytest.raises(UnreadableFile, match="no entry 'x'"):
        opened(zipped({"a": DATA})).read("x", 10)


@pytest.mark.parametrize("data", [b"", b"PK", b"not an archive" * 50, b"PK\5\6", zipped({"a": DATA})[:-30]])
def test_what_is_no_archive_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"^book\.epub: "):
        opened(data)


def test_an_empty_archive_has_no_names() -> None:
    assert opened(zipped({})).names == ()


@pytest.mark.parametrize(("setting", "most"), [("max_xml_bytes", 500), ("max_cover_bytes", 400)])
def test_an_entry_beyond_the_limit_is_refused_with_the_setting(setting: str, most: int) -> None:
    archive = opened(zipped({"a": DATA}), Limits(max_xml_bytes=500, max_cover_bytes=400))
    with pytest.raises(LimitExceeded, match=rf"'a' is larger than {setting} \({most} bytes\)"):
        archive.read("a", most)


def test_an_entry_that_lies_about_its_size_is_cut_off_at_the_limit() -> None:
    bomb = patched(zipped({"a": bytes(50_000_000)}), ENTRY_MARK, 24, struct.pack("<L", 10))
    with pytest.raises(LimitExceeded):
        opened(bomb).read("a", 1_000_000)


def test_an_entry_padded_with_empty_blocks_is_refused_unread() -> None:
    padded = patched(zipped({"a": DATA}), ENTRY_MARK, 20, struct.pack("<L", 2_000_000_000))
    with pytest.raises(LimitExceeded):
        opened(padded).read("a", 1_000_000)


def test_too_many_entries_are_refused_from_the_end_record_alone() -> None:
    claim = patched(zipped({"a": DATA}), END_MARK, 8, struct.pack("<2H", 5_000, 5_000))
    with pytest.raises(LimitExceeded, match="max_archive_entries"):
        opened(claim, Limits(max_archive_entries=4_999))


def test_too_many_entries_are_refused_from_the_zip64_record_alone() -> None:
    data = zipped({"a": DATA})
    start, end = data.index(ENTRY_MARK), data.rindex(END_MARK)
    with pytest.raises(LimitExceeded, match="max_archive_entries"):
        opened(with_zip64_end(data, 1_000_000, end - start, start))


def test_too_many_entries_are_refused_when_the_end_record_hides_them() -> None:
    data = zipped({f"{number}": "" for number in range(101)})
    lying = patched(data, END_MARK, 8, struct.pack("<2H", 1, 1))
    with pytest.raises(LimitExceeded, match="max_archive_entries"):
        opened(lying, Limits(max_archive_entries=100))
    assert len(opened(lying, Limits(max_archive_entries=101)).names) == 101


def test_a_directory_of_absurd_size_is_not_read() -> None:
    limits = Limits(max_archive_entries=1)
    with pytest.raises(LimitExceeded, match="max_archive_entries"):
        opened(zipped({"n" * 60_000 + str(number): "" for number in range(2)}), limits)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_archive_fails_only_with_our_errors(data: st.DataObject) -> None:
    whole = zipped({"a": DATA, "b/c": DATA[:40]})
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        archive = opened(
            bytes(damaged[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else damaged)
        )
        for name in archive.names:
            archive.read(name, 10_000)
    except MediaError:
        pass
