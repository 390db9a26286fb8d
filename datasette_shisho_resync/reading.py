"""Reading one media file and what lies beside it, in a worker process.

Opens, checks and parses; decides nothing. Knows no database, and writes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import BinaryIO

from .errors import FileError, FileRefused, LimitExceeded, UnreadableFile, UnsupportedFile
from .files import CompanionFolder, cover_names, open_confined, read_companion, shown, writable_cover_mimes
from .model import (
    CoverImage,
    FileReading,
    FileStat,
    FileStatus,
    Layer,
    Limits,
    ParsedFile,
    ReadRequest,
    SidecarReading,
    Value,
)
from .workers.extensions import Enricher, Extensions

Warn = Callable[[str], None]


def read_file(request: ReadRequest, extensions: Extensions) -> FileReading:
    """Return what the file says, or why it could not be read. Raises nothing.

    `warnings` tell of covers, enrichers and sidecars; `parsed.warnings` stay where they are.
    """
    try:
        file = open_confined(request.path, request.roots)
    except FileNotFoundError:
        return failed(request, "no such file", FileStatus.MISSING)
    except FileRefused as error:
        return failed(request, error.reason, FileStatus.REFUSED)
    except Exception as error:
        return failed(request, explained(error, request.limits))
    with file:
        status = os.fstat(file.fileno())
        stat = FileStat(status.st_size, status.st_mtime_ns)
        if not request.parse:
            return FileReading(request.path, FileStatus.OK, stat=stat)
        try:
            return _read_open(file, stat, request, extensions)
        except (Exception, SystemExit) as error:  # the shell around every parser
            return replace(failed(request, explained(error, request.limits)), stat=stat)


def failed(request: ReadRequest, reason: str, status: FileStatus = FileStatus.ERROR) -> FileReading:
    """Return the reading of a file that could not be read."""
    return FileReading(request.path, status, f"{shown(request.path)}: {reason}")


def explained(error: BaseException, limits: Limits) -> str:
    """Return the reason of any exception, without a text that may hold content of the file."""
    if isinstance(error, FileError):
        return error.reason
    if isinstance(error, MemoryError):
        name = min(("parse_memory_bytes", "worker_memory_bytes"), key=lambda name: getattr(limits, name))
        return f"needs more memory than {name} ({getattr(limits, name):,} bytes)"
    if isinstance(error, OSError) and error.errno:
        return f"could not be read ({os.strerror(error.errno).lower()})"
    if isinstance(error, ImportError):  # tells of a library that is absent, never of the file
        return f"could not be read ({type(error).__name__}: {error})"
    return f"could not be read ({type(error).__name__})"


def _read_open(file: BinaryIO, stat: FileStat, request: ReadRequest, extensions: Extensions) -> FileReading:
    parsed = _parsed(file, stat, request, extensions)
    with CompanionFolder(os.path.dirname(request.path), request.roots) as folder:
        return _with_companions(parsed, stat, folder, request, extensions)


def _with_companions(
    parsed: ParsedFile,
    stat: FileStat,
    folder: CompanionFolder,
    request: ReadRequest,
    extensions: Extensions,
) -> FileReading:
    warnings: list[str] = []
    load_page = parsed.load_page
    image, image_name = _image_beside(folder, request, warnings.append)
    is_known = image is not None and image_name == request.image_name
    is_unchanged = request.known is not None and stat.is_same(request.known)
    is_kept = is_known and request.cover_if_changed and is_unchanged
    if request.with_cover and not is_kept:
        parsed = _with_cover(parsed, request, warnings.append)
    else:
        parsed = replace(parsed, cover=None, load_cover=None)
    parsed = replace(parsed, load_page=None)
    sidecar = _sidecar(request.sidecar_path, folder, request, warnings.append)
    if sidecar and sidecar.parsed and request.with_cover and load_page is not None:
        cover = _page_of(sidecar.path, sidecar.parsed.cover_page, load_page, request, warnings.append)
        sidecar = replace(sidecar, parsed=replace(sidecar.parsed, cover=cover))
    enriched = _enriched(parsed, request, extensions, warnings.append)
    cover_mimes = _writable(request, parsed, sidecar, enriched)
    if parsed.cover and parsed.cover.mime not in cover_mimes and _is_other(parsed.cover, image, is_known):
        warnings.append(f"{shown(request.path)}: its cover can't be written beside it.")
    return FileReading(
        request.path,
        FileStatus.OK,
        stat=stat,
        parsed=parsed,
        enriched=enriched,
        image=image,
        image_name=image_name,
        sidecar=sidecar,
        book_sidecar=_sidecar(request.book_sidecar_path, folder, request, warnings.append),
        cover_mimes=cover_mimes,
        warnings=tuple(warnings),
    )


def _is_other(cover: CoverImage, image: CoverImage | None, is_known: bool) -> bool:
    """Tell whether a cover would be new beside a file; an image there comes first until it `is_known`."""
    return image is None or (is_known and image.sha256 != cover.sha256)


def _parsed(file: BinaryIO, stat: FileStat, request: ReadRequest, extensions: Extensions) -> ParsedFile:
    name, limits = shown(request.path), request.limits
    if stat.size_bytes > limits.max_file_bytes:
        raise LimitExceeded(name, f"is larger than max_file_bytes ({limits.max_file_bytes:,} bytes)")
    extension = os.path.splitext(request.path)[1].lower()
    parser = extensions.parsers.get(extension[1:])
    if parser is None:
        kind = f"{shown(extension)} files" if extension else "files without an extension"
        raise UnsupportedFile(name, f"no parser for {kind}")
    parsed = parser(file, name, limits)
    if not isinstance(parsed, ParsedFile):
        raise UnreadableFile(name, f"the parser returned a {type(parsed).__name__} instead of a ParsedFile")
    return parsed


def _with_cover(parsed: ParsedFile, request: ReadRequest, warn: Warn) -> ParsedFile:
    cover = parsed.cover
    try:
        if parsed.load_cover is not None:
            cover = parsed.load_cover()
        if cover is not None and len(cover.data) > request.limits.max_cover_bytes:
            most = request.limits.max_cover_bytes
            raise LimitExceeded(shown(request.path), f"is larger than max_cover_bytes ({most:,} bytes)")
    except (Exception, SystemExit) as error:
        warn(f"{shown(request.path)}: the cover was left out: {explained(error, request.limits)}.")
        cover = None
    return replace(parsed, cover=cover, load_cover=None)


def _writable(
    request: ReadRequest, parsed: ParsedFile, sidecar: SidecarReading | None, enriched: Sequence[Layer]
) -> frozenset[str]:
    """Return the media types of the images from inside of which one could be written beside the file."""
    covers: list[Value] = [layer.values.get("cover") for layer in enriched]
    covers += [parsed.cover, sidecar.parsed.cover if sidecar and sidecar.parsed else None]
    mimes = [cover.mime for cover in covers if isinstance(cover, CoverImage)]
    return writable_cover_mimes(request.path, mimes) if mimes and request.with_cover else frozenset()


def _page_of(
    path: str,
    page: int | None,
    load_page: Callable[[int], CoverImage | None],
    request: ReadRequest,
    warn: Warn,
) -> CoverImage | None:
    """Return the page that a sidecar wants for the cover."""
    if page is None:
        return None
    try:
        return load_page(page)
    except (Exception, SystemExit) as error:
        warn(f"{shown(path)}: cover_page was left out: {explained(error, request.limits)}.")
        return None


def _enriched(
    parsed: ParsedFile, request: ReadRequest, extensions: Extensions, warn: Warn
) -> tuple[Layer, ...]:
    layers = []
    for name, enricher in extensions.enrichers:
        try:
            values = _enricher_values(name, enricher, parsed, request, warn)
        except (Exception, SystemExit) as error:
            reason = explained(error, request.limits)
            warn(f"{shown(request.path)}: the enricher {name} failed: {reason}.")
            continue
        if values:
            layers.append(Layer(f"plugin:{name}", values, shown(request.path)))
    return tuple(layers)


def _enricher_values(
    name: str, enricher: Enricher, parsed: ParsedFile, request: ReadRequest, warn: Warn
) -> dict[str, Value]:
    from .values import from_json, is_empty

    values: dict[str, Value] = {}
    for field_name, data in enricher(parsed).items():
        try:
            value = from_json(field_name, data, request.limits)
        except ValueError as error:
            warn(f"{shown(request.path)}: the enricher {name} gave what cannot be used: {error}.")
            continue
        if not is_empty(value):
            values[field_name] = value
    return values


def _image_beside(
    folder: CompanionFolder, request: ReadRequest, warn: Warn
) -> tuple[CoverImage | None, str | None]:
    """Return the cover image beside the file, without its bytes, and its base name."""
    for name in _image_names(request):
        try:
            image = _read_image(folder, name, request)
        except FileError as error:
            warn(f"{error.message}.")
            continue
        if image is not None:
            return image, name
    return None, None


def _image_names(request: ReadRequest) -> tuple[str, ...]:
    known = request.image_name
    if known and os.path.basename(known) == known and known not in (".", "..") and "\0" not in known:
        return (known, *cover_names(request.path))
    return cover_names(request.path)


def _read_image(folder: CompanionFolder, name: str, request: ReadRequest) -> CoverImage | None:
    data = folder.read(name, request.limits.max_cover_bytes, "max_cover_bytes")
    if data is None:
        return None
    from .parsers.image import read_cover

    path = os.path.join(folder.path, name)
    return replace(read_cover(data, shown(path), request.limits), data=b"")


def _sidecar(
    path: str | None, folder: CompanionFolder, request: ReadRequest, warn: Warn
) -> SidecarReading | None:
    """Return the sidecar, None when there is none; one that can't be read is there all the same."""
    if path is None or not request.with_sidecars:
        return None
    from .parsers.sidecar import parse_sidecar

    try:
        data = _sidecar_bytes(path, folder, request)
        if data is None:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in request.known_sidecars:
            return SidecarReading(path, sha256, data, is_known=True)
        sidecar = parse_sidecar(data, path, request.limits)
    except Exception as error:
        sidecar = SidecarReading(path, "", b"", error=explained(error, request.limits))
    if sidecar.error:
        warn(f"{shown(path)}: the sidecar was left out: {sidecar.error}.")
    return sidecar


def _sidecar_bytes(path: str, folder: CompanionFolder, request: ReadRequest) -> bytes | None:
    """A book's sidecar may lie in another folder than its file."""
    place, name = os.path.split(path)
    limit = request.limits.max_sidecar_bytes, "max_sidecar_bytes"
    if place == folder.path:
        return folder.read(name, *limit)
    return read_companion(path, request.roots, *limit)
