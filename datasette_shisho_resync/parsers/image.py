"""Image bytes -> `CoverImage`: the real type and size, read from the header alone.

The five formats that covers come in are recognised by their bytes. Pillow is not used: it costs a
process 50 ms to import, and it allocates the canvas of a WebP when it only opens it.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable

from ..errors import LimitExceeded, UnreadableFile
from ..model import CoverImage, Limits

_Size = tuple[int, int]

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_ENDS = frozenset({0x00, 0xD9, 0xDA})
_JPEG_MARK = re.compile(rb"\xff+")  # any number of fill bytes, then the code
_MAX_JPEG_SEGMENTS = 10_000  # 32 MiB have room for as many millions, an honest file has hundreds at most


def read_cover(data: bytes, name: str, limits: Limits, page: int | None = None) -> CoverImage:
    """Return the image in `data` with its MIME type and size in pixels.

    Raises: UnreadableFile (no image, or of an unknown type), LimitExceeded. Both name `name`.
    """
    if len(data) > limits.max_cover_bytes:
        raise LimitExceeded(name, f"a cover larger than max_cover_bytes ({limits.max_cover_bytes:,} bytes)")
    mime, (width, height) = _header(data, name)
    if width * height > limits.max_cover_pixels:
        raise LimitExceeded(
            name, f"a cover of {width} x {height}, more than max_cover_pixels ({limits.max_cover_pixels:,})"
        )
    sha256 = hashlib.sha256(data).hexdigest()
    return CoverImage(sha256, mime, width, height, page, data)


def _header(data: bytes, name: str) -> tuple[str, _Size]:
    for mime, marks, read_size in _FORMATS:
        if all(data.startswith(mark, offset) for offset, mark in marks):
            try:
                width, height = read_size(data)
            except (struct.error, IndexError):
                width = height = 0
            if width < 1 or height < 1:
                raise UnreadableFile(name, f"a damaged cover ({mime} without a size)")
            return mime, (width, height)
    raise UnreadableFile(name, "its cover is no JPEG, PNG, WebP, GIF or BMP image")


def _png_size(data: bytes) -> _Size:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> _Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> _Size:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # negative: stored from the top down


def _webp_size(data: bytes) -> _Size:
    kind = data[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return (low_width | high_width << 16) + 1, (low_height | high_height << 16) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _jpeg_size(data: bytes) -> _Size:
    """Walk the segments up to the frame header."""
    position = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        mark = _JPEG_MARK.search(data, position)
        if mark is None or (code := data[mark.end()]) in _JPEG_ENDS:
            break
        position = mark.end() + 1
        if code in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if code not in _JPEG_WITHOUT_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return 0, 0


_FORMATS: tuple[tuple[str, tuple[tuple[int, bytes], ...], Callable[[bytes], _Size]], ...] = (
    ("image/jpeg", ((0, b"\xff\xd8\xff"),), _jpeg_size),
    ("image/png", ((0, b"\x89PNG\r\n\x1a\n"), (12, b"IHDR")), _png_size),
    ("image/webp", ((0, b"RIFF"), (8, b"WEBP")), _webp_size),
    ("image/gif", ((0, b"GIF8"),), _gif_size),
    ("image/bmp", ((0, b"BM"),), _bmp_size),
)
