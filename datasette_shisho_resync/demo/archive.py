"""Writes ZIP archives whose bytes depend on nothing but their content."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_FIXED_TIME = (2024, 1, 1, 0, 0, 0)


def build_archive(entries: Mapping[str, str | bytes]) -> bytes:
    """Return the entries in their order, uncompressed: an EPUB wants its first one so."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), content)
    return buffer.getvalue()
