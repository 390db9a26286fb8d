"""What a parser has to do with a file: read it or refuse it, and give values that a library can hold."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

from datasette_shisho_resync.errors import LimitExceeded, MediaError
from datasette_shisho_resync.fields import BY_NAME
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import CoverImage, Identities, Limits, ParsedFile
from datasette_shisho_resync.normalize.text import clean
from datasette_shisho_resync.parsers import filename, sidecar
from datasette_shisho_resync.parsers.archive import Archive
from datasette_shisho_resync.parsers.image import read_cover
from datasette_shisho_resync.parsers.pdf import cover as pdf_cover
from datasette_shisho_resync.parsers.xml import parse_xml
from datasette_shisho_resync.sidecar_content import book_sidecar, file_sidecar
from datasette_shisho_resync.values import from_json, to_json

from .cases import Case

LIMITS = Limits()
TIGHT = Limits(
    max_scalar_bytes=40,
    max_description_bytes=60,
    max_list_entries=2,
    max_chapters=2,
    max_archive_entries=60,
    max_xml_bytes=4000,
    max_xml_nodes=60,
    max_xml_depth=12,
    max_cover_bytes=600,
    max_cover_pixels=500,
    max_sidecar_bytes=900,
)
_MOST_ENTRIES = 20
_LONGEST_MESSAGE = 500
_LARGEST_INTEGER = 2**63 - 1
_BOOK_FIELDS = ("title", "subtitle", "description", "authors", "series", "genres", "tags")
_FILE_FIELDS = (
    "name", "narrators", "publisher", "url", "release_date", "identifiers", "chapters", "cover_page",
    "language", "abridged",
)  # fmt: skip


def try_case(case: Case) -> None:
    """Give a case to its parser. Raises: anything, when the parser does what none may do."""
    try_data(case.kind, case.data(), is_tight=case.is_tight)


def try_data(kind: str, data: bytes, *, is_tight: bool = False) -> None:
    """Like `try_case`, for a file that is no case."""
    limits = TIGHT if is_tight else LIMITS
    try:
        _TARGETS.get(kind, _try_media)(kind, data, limits)
    except MediaError as error:
        _check_message(error.message)


def draw_covers_in_this_process() -> None:
    """Let a PDF's cover be made where its branches are counted, and not in a process of its own."""

    def drawn(work: Callable[[], Any], file: BinaryIO, name: str, limits: Limits) -> Any:
        try:
            return work()
        except MemoryError as error:
            raise LimitExceeded(name, "its cover needs more memory") from error

    pdf_cover.apart = drawn  # type: ignore[attr-defined]


def _try_media(kind: str, data: bytes, limits: Limits) -> None:
    found = default_extensions().parsers[kind](io.BytesIO(data), f"/Words v03 (2020).{kind}", limits)
    _check(found, limits)
    covers = [found.load_cover] if found.load_cover else []
    covers += [partial(found.load_page, 1)] if found.load_page else []
    for cover in covers:
        with suppress(MediaError):
            if image := cover():
                _check_cover(image, limits)


def _check(found: ParsedFile, limits: Limits) -> None:
    for name in BY_NAME:
        value = getattr(found, name, None)
        again = from_json(name, to_json(value), limits)
        assert again == value or not (again or value), f"{name} {value!r} comes back from JSON as {again!r}"
    duration, bitrate = found.audiobook_duration_seconds, found.audiobook_bitrate_bps
    assert duration is None or 0 < duration < float("inf")
    assert 0 <= (bitrate or 0) <= _LARGEST_INTEGER
    assert clean(found.album, limits.max_scalar_bytes) == found.album
    for text in found.warnings:
        _check_message(text)


def _check_message(text: str) -> None:
    assert text == clean(text), f"unclean message {text[:500]!r}"
    assert "\n" not in text, f"several lines {text[:500]!r}"
    assert len(text) <= _LONGEST_MESSAGE, f"endless message {text[:500]!r}"


def _check_cover(image: CoverImage, limits: Limits) -> None:
    assert 0 < image.width * image.height <= limits.max_cover_pixels
    assert image.data
    assert image.mime.startswith("image/")


def _try_archive(kind: str, data: bytes, limits: Limits) -> None:
    archive = Archive(io.BytesIO(data), "/a.zip", limits)
    for entry in (*archive.names[:_MOST_ENTRIES], "missing" * 20):
        assert archive.find(entry) == (entry if entry in archive else None)
        archive.find(f"/./{entry.upper()}")
        with suppress(MediaError):
            archive.size(entry)
            archive.read(entry, limits.max_cover_bytes)
    assert archive.comment in data


def _try_image(kind: str, data: bytes, limits: Limits) -> None:
    _check_cover(read_cover(data, "/a.jpg", limits), limits)


def _try_xml(kind: str, data: bytes, limits: Limits) -> None:
    with suppress(MediaError):
        parse_xml(data, "/a.xml", limits)
    parse_xml(data, "/a.xml", limits, recover=True)


def _try_sidecar(kind: str, data: bytes, limits: Limits) -> None:
    found = sidecar.parse_sidecar(data, "/a.metadata.json", limits)
    assert (found.parsed is None) == (found.error is not None)
    if found.parsed is None:
        return
    _check(found.parsed, limits)
    genres, tags = (tuple(sorted(names)) for names in (found.parsed.genres, found.parsed.tags))
    kept = replace(found.parsed, genres=genres, tags=tags)
    for rendered, names in ((_rendered_book(kept), _BOOK_FIELDS), (_rendered_file(kept), _FILE_FIELDS)):
        again = sidecar.parse_sidecar(rendered, "/a.metadata.json", LIMITS).parsed
        assert all(getattr(again, name) == getattr(kept, name) for name in names), rendered


def _rendered_book(found: ParsedFile) -> bytes:
    values = {name: getattr(found, name) for name in _BOOK_FIELDS}
    return sidecar.render_book_sidecar(book_sidecar(values, Identities({})))


def _rendered_file(found: ParsedFile) -> bytes:
    values = {name: getattr(found, name) for name in _FILE_FIELDS}
    return sidecar.render_file_sidecar(file_sidecar(values, found.cover_page, Identities({})))


def _try_filename(kind: str, data: bytes, limits: Limits) -> None:
    path = data.decode(errors="surrogateescape")
    folder, _, name = path.rpartition("/")
    for root_level in (True, False):
        for file_type in ("epub", "cbz"):
            _check(filename.parse_path(path, root_level=root_level, file_type=file_type), LIMITS)
    for book_path in (folder, folder.rpartition("/")[0], "/elsewhere"):
        filename.is_in_book_folder(path, book_path)
    filename.is_supplement_name(name)
    filename.is_excluded_supplement(name)
    for exists in (True, False):
        assert sidecar.book_sidecar_path(folder, path, exists).endswith(sidecar.SIDECAR_SUFFIX)
    assert sidecar.file_sidecar_path(path).endswith(sidecar.SIDECAR_SUFFIX)


_TARGETS: Mapping[str, Callable[[str, bytes, Limits], None]] = {
    "archive": _try_archive,
    "image": _try_image,
    "xml": _try_xml,
    "sidecar": _try_sidecar,
    "filename": _try_filename,
}
