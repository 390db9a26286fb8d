from __future__ import annotations

import hashlib
import struct
import time

import pytest
from builders.images import image, jpeg, png

from datasette_shisho_resync.errors import LimitExceeded, UnreadableFile
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.parsers.image import read_cover

LIMITS = Limits()
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
    ],
)
def test_type_and_size_come_from_the_bytes(kind: str, mime: str) -> None:
    data = image(kind, 31, 47)
    cover = read_cover(data, "book.epub", LIMITS, page=2)
    assert (cover.mime, cover.width, cover.height, cover.page) == (mime, 31, 47, 2)
    assert cover.data == data
    assert cover.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("chunk", "size"),
    [
        (b"VP8X" + bytes(4) + bytes(4) + b"\x0f\0\0\x1f\0\0", (16, 32)),
        (b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 15 | 31 << 14), (16, 32)),
        (b"VP8 " + bytes(4) + bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16, 32), (16, 32)),
    ],
)
def test_every_kind_of_webp_tells_its_size(chunk: bytes, size: tuple[int, int]) -> None:
    cover = read_cover(b"RIFF\0\0\0\0WEBP" + chunk, "book.epub", LIMITS)
    assert (cover.width, cover.height) == size


def test_a_jpeg_with_long_segments_and_fill_bytes_before_the_frame_is_measured() -> None:
    plain = jpeg(20, 30)
    comment = b"\xff\xff\xfe" + struct.pack(">H", 40_002) + b"\xff\xc0" * 20_000
    cover = read_cover(plain[:2] + comment + plain[2:], "book.epub", LIMITS)
    assert (cover.width, cover.height) == (20, 30)


def test_a_bitmap_stored_from_the_top_down_has_a_positive_height() -> None:
    data = bytearray(image("BMP", 3, 5))
    struct.pack_into("<i", data, 22, -5)
    assert read_cover(bytes(data), "book.epub", LIMITS).height == 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"xx",
        b"<svg/>",
        png(3, 3)[:18],
        jpeg(3, 3)[:4],
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff" + b"\xff" * 5_000,
        PNG_START + bytes(8),
        b"GIF89a\1",
        b"BM" + bytes(12),
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"RIFF\0\0\0\0WEBPJUNK" + bytes(40),
    ],
)
def test_what_is_no_measurable_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"^book\.epub: .*cover"):
        read_cover(data, "book.epub", LIMITS)


@pytest.mark.parametrize("unit", [b"\xff", b"\xff\xd0", b"\xff\xe0\0\0", b"\xff\xe0\0\2x", b"\xff\xfe\0\4ab"])
def test_a_jpeg_without_end_is_refused_at_once(unit: bytes) -> None:
    data = b"\xff\xd8\xff\xe0\0\4ab" + unit * (30_000_000 // len(unit))
    started = time.process_time()
    with pytest.raises(UnreadableFile, match="without a size"):
        read_cover(data, "book.epub", LIMITS)
    assert time.process_time() - started < 1


def test_a_cover_of_absurd_size_is_refused_from_its_header() -> None:
    claim = PNG_START + struct.pack(">II", 2**31, 2**31) + bytes(20)
    with pytest.raises(LimitExceeded, match="max_cover_pixels"):
        read_cover(claim, "book.epub", LIMITS)


def test_a_cover_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="max_cover_bytes"):
        read_cover(png(9, 9), "book.epub", Limits(max_cover_bytes=20))
