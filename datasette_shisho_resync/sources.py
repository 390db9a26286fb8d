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
FILE = "file_metadata"

_RANKS = {
    MANUAL: 0,
    SIDECAR: 1,
    PLUGIN: 2,
    EPUB: 3,
    CBZ: 3,
    M4B: 3,
    PDF: 3,
    FILE: 3,
    EXISTING_COVER: 3,
    FILEPATH: 4,
}
_WORST = _RANKS[FILEPATH]


def rank(source: str | None) -> int:
    """Return 0 (best) to 4; an empty or unknown source ranks like the file path."""
    if not source:
        return _WORST
    if source.startswith("plugin:"):
        return _RANKS[PLUGIN]
    return _RANKS.get(source, _WORST)


def is_embedded(source: str | None) -> bool:
    """Tell whether a value was read from inside a media file."""
    return rank(source) == _RANKS[EPUB] and source != EXISTING_COVER
