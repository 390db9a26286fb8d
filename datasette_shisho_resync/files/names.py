"""Names: of covers and sidecars, and how a path is shown and compared. Opens nothing."""

from __future__ import annotations

import os
import re
import unicodedata

COVER_MARK = ".cover"
COVER_MIMES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
"""Extension -> media type, in the order in which a cover is looked up (spec 3.8)."""

_COMPANION = re.compile(r".+\.(?:metadata\.json|cover\.[^.]*)", re.IGNORECASE | re.DOTALL)
_WRITABLE = re.compile(r"[^/]+\.(?:metadata\.json|cover\.(?:jpe?g|png|webp|gif|bmp))")
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(path: str) -> str:
    r"""Return the path as a person may see it: undecodable bytes as `\xNN`, no control characters."""
    return _UNSHOWABLE.sub(_escaped, path)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
        return f"\\x{code:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def is_below(path: str, folder: str) -> bool:
    """Tell whether `path` is `folder` or lies in it, by whole components and as text alone."""
    return path == folder or path.startswith(folder + "/")


def is_companion(name: str) -> bool:
    """Tell whether a base name is that of a cover image or a sidecar, in any case."""
    return _COMPANION.fullmatch(name) is not None


def is_writable_companion(name: str) -> bool:
    """Tell whether a base name is one that we write; that of a media file never is."""
    return _WRITABLE.fullmatch(name) is not None


def cover_names(file_path: str) -> tuple[str, ...]:
    """Return the base names that a cover of this file may have, in the order of looking (spec 3.8)."""
    base = os.path.basename(file_path)
    return tuple(f"{base}{COVER_MARK}{extension}" for extension in COVER_MIMES)


def cover_name(file_path: str, mime: str) -> str | None:
    """Return the base name for a new cover; None when Shisho knows no extension for the media type."""
    # Differs from Shisho: an unknown type gets no name, instead of one without extension.
    for extension, known in COVER_MIMES.items():
        if mime == known:
            return f"{os.path.basename(file_path)}{COVER_MARK}{extension}"
    return None


def name_key(name: str) -> str:
    """Return the key under which names are one that differ only in case or Unicode form."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
