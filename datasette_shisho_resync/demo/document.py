"""Writes a PDF of drawn pages, with an outline and what it says of itself."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image
from pypdf import PdfReader, PdfWriter

_DPI = 100.0


def build_document(
    info: Mapping[str, str], pages: Sequence[Image.Image], outline: Sequence[tuple[str, int]] = ()
) -> bytes:
    """Return a PDF; `info` are entries of its document information, `outline` (title, 0-based page)."""
    drawn = io.BytesIO()
    pages[0].save(drawn, "PDF", save_all=True, append_images=pages[1:], resolution=_DPI)
    writer = PdfWriter(PdfReader(drawn))
    writer.add_metadata({f"/{name}": text for name, text in info.items()})
    for title, page in outline:
        writer.add_outline_item(title=title, page_number=page)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()
