"""EPUB -> `ParsedFile`. Only an unreadable archive or package document is fatal; the rest are warnings."""

from __future__ import annotations

from functools import partial
from typing import BinaryIO

from ...model import Limits, ParsedFile
from ...sources import EPUB
from ..archive import Archive
from .chapters import load_chapters
from .cover import load_cover
from .metadata import BookMetadata
from .package import load_package

__all__ = ["parse_epub"]


def parse_epub(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    """Read metadata and chapters of the EPUB in `file`; `name` is its path, for messages.

    The cover is read when `load_cover` is called, which needs the file to be open still.

    Raises: UnreadableFile, LimitExceeded.
    """
    warnings: list[str] = []
    archive = Archive(file, name, limits)
    package = load_package(archive, name, limits, warnings.append)
    metadata = BookMetadata(package, limits, warnings.append)
    title, subtitle = metadata.titles()
    return ParsedFile(
        source=EPUB,
        title=title,
        subtitle=subtitle,
        description=metadata.description(),
        authors=metadata.authors(),
        series=metadata.series(),
        genres=metadata.genres(),
        tags=metadata.tags(),
        url=metadata.url(),
        release_date=metadata.release_date(),
        language=metadata.language(),
        publisher=metadata.publisher(),
        identifiers=metadata.identifiers(),
        chapters=load_chapters(archive, package, name, limits, warnings.append),
        load_cover=partial(load_cover, archive, package, name, limits),
        warnings=tuple(warnings),  # last, when all of them are there
    )
