"""The cover of a PDF: the largest picture on its page, else that page itself as a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from PIL import Image
from pypdf.generic import ArrayObject, DictionaryObject, NumberObject, StreamObject

from ...errors import LimitExceeded, MediaError, UnreadableFile
from ...model import CoverImage, Limits
from ..apart import apart
from ..computing import bounded_computing
from ..image import read_cover
from .document import Reference, entry, pdf_faults, raw_entry, reference, resolved

_POINTS_PER_INCH = 72
_RENDER_DPI = 150
_JPEG_QUALITY = 85
# A poster is rendered no larger than this, whatever its paper and the limit for covers.
_MAX_RENDER_PIXELS = 10_000_000
_MAX_PAGE_OBJECTS = 500
_MAX_ANCESTORS = 100


def load_cover(
    file: BinaryIO, pages: Sequence[object], number: int, name: str, limits: Limits
) -> CoverImage | None:
    """Return a page (0-based) as a cover; None when it holds no picture and nothing can render it.

    Raises: UnreadableFile, LimitExceeded.
    Source: spec 3.8, 4.4.
    """
    if number >= len(pages):
        raise UnreadableFile(name, f"has no page {number}")
    page = pages[number]
    with suppress(MediaError), pdf_faults(name), bounded_computing(name, limits):
        picture = _largest_picture(page, name, limits)
        if picture is not None and _last_filter(picture) == entry(picture, "/Filter") == "/DCTDecode":
            return read_cover(picture.get_data(), name, limits, page=number)
    _renderer()  # loaded once, and not by every child
    Image.preinit()
    return apart(partial(_drawn, file, page, number, name, limits), file, name, limits)


def _drawn(file: BinaryIO, page: object, number: int, name: str, limits: Limits) -> CoverImage | None:
    """Do the same by decoding the picture, or rendering the page."""
    fault: MediaError | None = None
    try:
        with pdf_faults(name):
            picture = _largest_picture(page, name, limits)
            if picture is not None:
                return read_cover(_as_file(picture, name, limits), name, limits, page=number)
    except MediaError as error:
        fault = error
    except MemoryError:  # rendering takes less: it makes a picture smaller before it is whole
        fault = None
    with pdf_faults(name):
        if data := _rendered(file, number, limits):
            return read_cover(data, name, limits, page=number)
    if fault:
        raise fault
    return None


def _largest_picture(page: object, name: str, limits: Limits) -> StreamObject | None:
    picture = max(_pictures(page, limits), key=_pixels, default=None)
    if picture is not None and _pixels(picture) > limits.max_cover_pixels:
        raise LimitExceeded(
            name, f"a cover of more than {limits.max_cover_pixels:,} pixels (max_cover_pixels)"
        )
    return picture


def _last_filter(picture: StreamObject) -> object:
    filters = entry(picture, "/Filter")
    return filters[-1] if isinstance(filters, ArrayObject) and filters else filters


def _as_file(picture: StreamObject, name: str, limits: Limits) -> bytes:
    """Return the picture as it is if it is a JPEG, else as one."""
    last = _last_filter(picture)
    if last == "/DCTDecode":
        return picture.get_data()
    if last == "/JPXDecode":
        return _as_jpeg(_opened(picture.get_data(), name, limits))
    return _as_jpeg(picture.decode_as_image())


def _opened(data: bytes, name: str, limits: Limits) -> Image.Image:
    """Open an image whose own header says how large it is, whatever the PDF says."""
    image = Image.open(io.BytesIO(data))
    if image.width * image.height > limits.max_cover_pixels:
        raise LimitExceeded(
            name, f"a cover of more than {limits.max_cover_pixels:,} pixels (max_cover_pixels)"
        )
    return image


def _pixels(picture: StreamObject) -> int:
    width, height = entry(picture, "/Width"), entry(picture, "/Height")
    if isinstance(width, NumberObject) and isinstance(height, NumberObject):
        return max(0, width) * max(0, height)
    return 0


def _pictures(page: object, limits: Limits) -> Iterator[StreamObject]:
    """Yield the pictures of a page and of the forms on it, as far as `max_cover_bytes` twice over go.

    Every one is read when it is looked at, so their number and their bytes are bounded.
    """
    seen: set[Reference] = set()
    bytes_left = 2 * limits.max_cover_bytes
    pending = [_inherited(resolved(page), "/Resources")]
    while pending:
        objects = entry(pending.pop(), "/XObject")
        for raw in objects.values() if isinstance(objects, DictionaryObject) else ():
            place = reference(raw)
            if place is None or place in seen or len(seen) >= _MAX_PAGE_OBJECTS or bytes_left <= 0:
                continue
            seen.add(place)
            found = resolved(raw)
            length = entry(found, "/Length")
            bytes_left -= int(length) if isinstance(length, NumberObject) else 0
            if entry(found, "/Subtype") == "/Form":
                pending.append(entry(found, "/Resources"))
            elif isinstance(found, StreamObject) and _is_picture(found):
                yield found


def _is_picture(found: StreamObject) -> bool:
    is_stencil = bool(getattr(entry(found, "/ImageMask"), "value", False))
    return entry(found, "/Subtype") == "/Image" and not is_stencil and _pixels(found) > 0


def _inherited(page: object, key: str) -> object:
    for _ in range(_MAX_ANCESTORS):
        if raw_entry(page, key) is not None:
            return entry(page, key)
        page = entry(page, "/Parent")
    return None


def _rendered(file: BinaryIO, number: int, limits: Limits) -> bytes | None:
    """Draw a page as Shisho does; None when nothing can."""
    pypdfium2 = _renderer()
    if pypdfium2 is None:
        return None
    with pypdfium2.PdfDocument(file) as document:
        page = document[number]
        width, height = page.get_size()
        scale = _scale(width, height, min(_MAX_RENDER_PIXELS, limits.max_cover_pixels))
        return _as_jpeg(page.render(scale=scale).to_pil())


def _renderer() -> Any:
    """Return the module pypdfium2; None when this extra is not installed."""
    try:
        import pypdfium2
    except ImportError:
        return None
    return pypdfium2


def _scale(width: float, height: float, most_pixels: int) -> float:
    """Return pixels per point such that (width * scale + 1) * (height * scale + 1) stays within the limit.

    The 1 is there because a renderer rounds up.
    """
    area, edges = max(1.0, width * height), width + height
    largest = (math.sqrt(edges**2 + 4 * area * (most_pixels - 1)) - edges) / (2 * area)
    return min(_RENDER_DPI / _POINTS_PER_INCH, largest)


def _as_jpeg(image: Image.Image) -> bytes:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    mode = "L" if image.mode in ("1", "L") else "RGB"
    if image.mode != mode:  # or this would be a copy
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
