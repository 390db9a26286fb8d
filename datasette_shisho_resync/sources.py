"""Where a value came from, and which source outranks which (spec 2.1)."""

from __future__ import annotations

MANUAL = "manual"
SIDECAR = "sidecar"
PLUGIN = "plugin"
FILEPATH = "filepath"
EXISTING_COVER = "existing_cover"
EPUB = "epub_metadata"
CBZ = "cbz_metadata"
M4B = "m4b_metadata"
PDF = "pdf_metadata"
MOBI = "mobi_metadata"  # Shisho reads it, we don't
FILE = "file_metadata"

_RANKS: dict[str | None, int] = {
    None: 4,
    MANUAL: 0,
    SIDECAR: 1,
    PLUGIN: 2,
    EPUB: 3,
    CBZ: 3,
    M4B: 3,
    PDF: 3,
    MOBI: 3,
    FILE: 3,
    EXISTING_COVER: 3,
    FILEPATH: 4,
}
_WORST = _RANKS[FILEPATH]


def rank(source: str | None) -> int:
    """Return 0 (best) to 4; an empty or unknown source ranks like the file path."""
    known = _RANKS.get(source)
    if known is not None:
        return known
    return _RANKS[PLUGIN] if source and source.startswith("plugin:") else _WORST


def embedded_source(file_type: str) -> str:
    """Return the source of what is read from inside a file of this type."""
    source = f"{file_type}_metadata"
    return source if source in _RANKS else FILE


def is_embedded(source: str | None) -> bool:
    """Tell whether a value was read from inside a media file."""
    return rank(source) == _RANKS[EPUB] and source != EXISTING_COVER
