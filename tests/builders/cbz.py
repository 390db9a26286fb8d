"""Builds comic archives (CBZ)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from PIL import Image

_FIXED_TIME = (2024, 1, 1, 0, 0, 0)


def build_page(width: int = 8, height: int = 12, format: str = "JPEG", shade: int = 200) -> bytes:
    """Return one page as an image."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, shade, shade)).save(buffer, format)
    return buffer.getvalue()


def comic_info_xml(elements: str) -> str:
    """Wrap elements into a ComicInfo document."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n<ComicInfo>{elements}</ComicInfo>'


def build_cbz(
    *,
    comic_info: str | bytes | None = None,
    pages: Mapping[str, bytes] | int = 3,
    comic_info_name: str = "ComicInfo.xml",
    extra: Mapping[str, bytes | str] | None = None,
) -> bytes:
    """Return a CBZ: `comic_info` as it is, `pages` by name or that many, `extra` entries behind them."""
    if isinstance(pages, int):
        pages = dict.fromkeys((f"page{number:04}.jpg" for number in range(1, pages + 1)), build_page())
    entries: list[tuple[str, bytes | str]] = [*pages.items(), *(extra or {}).items()]
    if comic_info is not None:
        entries.insert(0, (comic_info_name, comic_info))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in entries:
            archive.writestr(zipfile.ZipInfo(entry, _FIXED_TIME), data)
    return buffer.getvalue()
