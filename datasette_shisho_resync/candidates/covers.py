"""Covers: which image may speak, and who put the one that is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..model import CoverImage, FileReading, FileRow, Layer, Mode, ParsedFile, Stored, Value
from ..sources import EXISTING_COVER, MANUAL, is_embedded
from .circumstances import Circumstances


def is_cover(value: Value, circumstances: Circumstances) -> bool:
    """Tell whether an image can become a cover: its bytes are there, and a free name for their kind."""
    return isinstance(value, CoverImage) and bool(value.data) and value.mime in circumstances.cover_mimes


def cover_layers(
    reading: FileReading,
    parsed: ParsedFile | None,
    stored: Stored,
    circumstances: Circumstances,
    shown_path: str,
    *,
    is_by_hand: bool,
) -> Iterable[Layer]:
    """A cover in the file and an image beside it have one rank: which of them speaks depends on the mode.

    Import and scan prefer the image that is there; refresh and reset the one in the file. Scan
    replaces a cover only if the file changed and the cover came from it, and nobody put another image
    in its place (`is_by_hand`); else what is in the file is an echo.
    """
    is_echo = False
    embedded = parsed.cover if parsed and is_cover(parsed.cover, circumstances) else None
    beside = reading.image
    if circumstances.mode is Mode.SCAN:
        if stored.value is None and beside is not None:
            was_renamed = is_embedded(stored.source) and embedded == beside  # together with its file
            embedded, beside = (embedded, None) if was_renamed else (None, beside)
        elif stored.value is not None:
            beside = None
            is_echo = circumstances.unchanged or is_by_hand or not is_embedded(stored.source)
    elif embedded is not None or (circumstances.mode is Mode.REFRESH and stored.value is not None):
        beside = None
    if embedded is not None and parsed is not None:
        yield Layer(parsed.source, {"cover": embedded}, shown_path, is_echo)
    if beside is not None:
        yield Layer(EXISTING_COVER, {"cover": beside}, shown_path)


def stored_cover(stored: Stored, reading: FileReading, row: FileRow) -> Stored:
    """Return the cover field with the image it names, as found beside the file; none if it is gone."""
    is_there = row.cover_name is not None and reading.image_name == row.cover_name
    cover: CoverImage | None = reading.image if is_there else None
    return replace(stored, value=cover)


def is_replaced_by_hand(stored: Stored, row: FileRow, seen: Collection[tuple[str, str]]) -> bool:
    """Tell whether somebody put the image there in the place of one that a run wrote.

    Where no run wrote one, as in a library of Shisho's, nobody can tell.
    """
    image = stored.value
    written = {sha256 for path, sha256 in seen if path == row.cover_path}
    return isinstance(image, CoverImage) and bool(written) and image.sha256 not in written


def is_of_program(stored: Stored, row: FileRow, seen: Collection[tuple[str, str]]) -> bool:
    """Tell whether the image that is there is one that a run, or Shisho, wrote and not a person."""
    is_chosen = stored.source in (MANUAL, EXISTING_COVER)
    return not is_chosen and not is_replaced_by_hand(stored, row, seen)
