from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from builders.extensions import EXTENSIONS, enrich_raising, enrich_with_genres, enrich_with_nonsense

from datasette_shisho_resync.errors import LimitExceeded, UnreadableFile
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import (
    FileReading,
    FileStat,
    FileStatus,
    Layer,
    Limits,
    ReadRequest,
)
from datasette_shisho_resync.reading import explained, read_file
from datasette_shisho_resync.workers.extensions import Extensions

SECOND = 1_000_000_000


def request_for(path: Path, content: str | None = "text") -> ReadRequest:
    if content is not None:
        path.write_text(content)
    return ReadRequest(str(path), (str(path.parent),))


def read(request: ReadRequest, extensions: Extensions = EXTENSIONS) -> FileReading:
    return read_file(request, extensions)


def png(width: int = 2, height: int = 3) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\0" * width) * height)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_file_is_read_with_its_size_and_time(tmp_path: Path) -> None:
    request = request_for(tmp_path / "a.text", "A title")
    reading = read(request)
    status = os.stat(request.path)
    assert (reading.path, reading.status, reading.error) == (request.path, FileStatus.OK, None)
    assert reading.stat == FileStat(status.st_size, status.st_mtime_ns)
    assert reading.parsed is not None
    assert reading.parsed.title == "A title"
    assert reading.warnings == ()


def test_the_extension_counts_in_any_case(tmp_path: Path) -> None:
    assert read(request_for(tmp_path / "a.TEXT")).status is FileStatus.OK


def test_the_built_in_parsers_read_real_files(tmp_path: Path) -> None:
    path = tmp_path / "comic.cbz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ComicInfo.xml", "<ComicInfo><Title>Sandman</Title></ComicInfo>")
        archive.writestr("001.png", png())
    reading = read(request_for(path, None), default_extensions())
    assert reading.error is None
    assert reading.parsed is not None
    assert (reading.parsed.title, reading.parsed.page_count) == ("Sandman", 1)
    assert reading.parsed.cover is not None
    assert reading.parsed.cover.data == png()


def test_no_such_file_is_missing(tmp_path: Path) -> None:
    reading = read(request_for(tmp_path / "a.text", None))
    assert (reading.status, reading.stat) == (FileStatus.MISSING, None)
    assert reading.error == f"{tmp_path}/a.text: no such file"


def test_a_file_where_a_folder_should_be_is_an_error_and_not_missing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    request = ReadRequest(str(tmp_path / "folder" / "a.text"), (str(tmp_path),))
    assert read(request).status is FileStatus.ERROR


def test_a_parser_that_misses_another_file_does_not_make_its_file_missing(tmp_path: Path) -> None:
    reading = read(request_for(tmp_path / "a.opening"))
    assert reading.status is FileStatus.ERROR
    assert reading.stat is not None


@pytest.mark.parametrize("kind", ["outside", "link", "folder", "fifo", "relative"])
def test_what_is_not_a_file_of_the_library_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "library"
    root.mkdir()
    outside, path = tmp_path / "outside.text", root / "a.text"
    outside.write_text("secret")
    if kind == "link":
        path.symlink_to(outside)
    if kind == "folder":
        path.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    asked = {"outside": str(outside), "relative": "a.text"}.get(kind, str(path))
    reading = read(ReadRequest(asked, (str(root),)))
    assert (reading.status, reading.parsed, reading.stat) == (FileStatus.REFUSED, None, None)
    assert reading.error is not None
    assert reading.error.startswith(f"{asked}: ")


def test_a_name_that_is_not_utf8_is_shown_in_errors(tmp_path: Path) -> None:
    request = ReadRequest(f"{tmp_path}/caf\udce9.text", (str(tmp_path),))
    assert read(request).error == f"{tmp_path}/caf\\xe9.text: no such file"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.xyz", "no parser for .xyz files"),
        ("a", "no parser for files without an extension"),
        (".text", "no parser for files without an extension"),
        ("a.raising", "could not be read (KeyError)"),
        ("a.leaving", "could not be read (SystemExit)"),
        ("a.recursing", "could not be read (RecursionError)"),
        ("a.dict", "the parser returned a dict instead of a ParsedFile"),
    ],
)
def test_an_error_names_the_reason_but_no_content(tmp_path: Path, name: str, reason: str) -> None:
    reading = read(request_for(tmp_path / name, "secret"))
    assert (reading.status, reading.error) == (FileStatus.ERROR, f"{tmp_path}/{name}: {reason}")
    assert reading.stat is not None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnreadableFile("a", "is encrypted"), "is encrypted"),
        (LimitExceeded("a", "is too large"), "is too large"),
        (MemoryError(), "needs more memory than parse_memory_bytes (142,606,336 bytes)"),
        (OSError(errno.EIO, "secret"), "could not be read (input/output error)"),
        (OSError("secret"), "could not be read (OSError)"),
        (
            ModuleNotFoundError("No module named 'x'"),
            "could not be read (ModuleNotFoundError: No module named 'x')",
        ),
        (ValueError("secret"), "could not be read (ValueError)"),
    ],
)
def test_every_exception_has_a_reason(error: Exception, reason: str) -> None:
    assert explained(error, Limits()) == reason


def test_a_file_larger_than_allowed_is_not_parsed(tmp_path: Path) -> None:
    request = replace(request_for(tmp_path / "a.text", "12345"), limits=Limits(max_file_bytes=4))
    reading = read(request)
    assert reading.error == f"{tmp_path}/a.text: is larger than max_file_bytes (4 bytes)"


def test_a_supplement_is_only_looked_at(tmp_path: Path) -> None:
    (tmp_path / "map.xyz.cover.png").write_bytes(png())
    reading = read(replace(request_for(tmp_path / "map.xyz", "1234"), parse=False))
    assert reading.stat is not None
    assert reading == FileReading(reading.path, FileStatus.OK, stat=reading.stat)
    assert reading.stat.size_bytes == 4


@pytest.mark.parametrize(
    ("stat_ns", "known_ns", "expected"),
    [
        (5 * SECOND, 5 * SECOND, True),
        (5 * SECOND + 123_456_789, 5 * SECOND, True),  # stored in whole seconds
        (6 * SECOND, 5 * SECOND, False),
        (5 * SECOND + 123_456_789, 5 * SECOND + 123_456_000, True),  # stored in microseconds
        (5 * SECOND + 123_457_000, 5 * SECOND + 123_456_000, False),
        (5 * SECOND, 5 * SECOND + 1000, False),
    ],
)
def test_times_are_compared_as_exactly_as_they_were_stored(
    stat_ns: int, known_ns: int, expected: bool
) -> None:
    assert FileStat(7, stat_ns).is_same(FileStat(7, known_ns)) is expected
    assert not FileStat(8, stat_ns).is_same(FileStat(7, known_ns))


def test_the_embedded_cover_is_loaded_while_the_file_is_open(tmp_path: Path) -> None:
    parsed = read(request_for(tmp_path / "a.covered", "5")).parsed
    assert parsed is not None
    assert parsed.load_cover is None
    assert parsed.cover is not None
    assert parsed.cover.data == b"xxxxx"


@pytest.mark.parametrize(
    ("has_image", "is_known", "if_changed", "is_wanted", "name", "is_loaded"),
    [
        (True, True, True, True, "a.covered.cover.png", False),
        (True, True, True, True, "renamed.covered.cover.png", True),
        (False, True, True, True, "a.covered.cover.png", True),
        (True, False, True, True, "a.covered.cover.png", True),
        (True, True, False, True, "a.covered.cover.png", True),
        (False, False, False, False, None, False),
    ],
)
def test_an_unchanged_file_keeps_the_cover_beside_it(
    tmp_path: Path,
    has_image: bool,
    is_known: bool,
    if_changed: bool,
    is_wanted: bool,
    name: str | None,
    is_loaded: bool,
) -> None:
    request = replace(request_for(tmp_path / "a.covered", "5"), image_name=name)
    if has_image:
        (tmp_path / "a.covered.cover.png").write_bytes(png())
    status = os.stat(request.path)
    known = FileStat(status.st_size, status.st_mtime_ns) if is_known else FileStat(0, 0)
    reading = read(replace(request, known=known, cover_if_changed=if_changed, with_cover=is_wanted))
    assert reading.parsed is not None
    assert (reading.parsed.cover is not None) is is_loaded
    assert reading.parsed.load_cover is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.badlycovered", "secret", "could not be read (KeyError)"),
        ("a.covered", "101", "is larger than max_cover_bytes (100 bytes)"),
    ],
)
def test_a_broken_cover_is_a_warning(tmp_path: Path, name: str, content: str, reason: str) -> None:
    request = replace(request_for(tmp_path / name, content), limits=Limits(max_cover_bytes=100))
    reading = read(request)
    assert reading.status is FileStatus.OK
    assert reading.parsed is not None
    assert (reading.parsed.title, reading.parsed.cover) == ("covered", None)
    assert reading.warnings == (f"{tmp_path}/{name}: the cover was left out: {reason}.",)


@pytest.mark.parametrize(
    ("there", "known", "is_wanted", "is_told"),
    [
        (None, None, True, True),
        (None, None, False, False),
        (png(7), "chosen.png", True, True),
        (png(), "chosen.png", True, False),
        (png(7), "gone.png", True, False),
    ],
)
def test_a_cover_that_has_no_place_beside_its_file_is_a_warning_if_it_is_another(
    tmp_path: Path, there: bytes | None, known: str | None, is_wanted: bool, is_told: bool
) -> None:
    path = tmp_path / "a.cbz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("001.png", png())
    (tmp_path / "a.cbz.cover.png").mkdir()
    if there is not None:
        (tmp_path / ("chosen.png" if known == "chosen.png" else "a.cbz.cover.jpg")).write_bytes(there)
    request = replace(request_for(path, None), image_name=known, with_cover=is_wanted)
    told = [w for w in read(request, default_extensions()).warnings if "a.cbz.cover.png" not in w]
    assert told == ([f"{path}: its cover can't be written beside it."] if is_told else [])


@pytest.mark.parametrize(
    ("there", "known", "expected"),
    [
        (["a.text.cover.png"], None, "a.text.cover.png"),
        (["a.text.cover.png", "a.text.cover.jpg"], None, "a.text.cover.jpg"),
        (["a.text.cover.png", "chosen.png"], "chosen.png", "chosen.png"),
        (["a.text.cover.png"], "gone.png", "a.text.cover.png"),
        (["a.text.cover.png", "chosen.png"], "../library/chosen.png", "a.text.cover.png"),
        (["a.text.cover.png"], "..", "a.text.cover.png"),
        (["a.text.cover.tiff", "cover.png"], None, None),
    ],
)
def test_the_image_beside_the_file_is_found(
    tmp_path: Path, there: list[str], known: str | None, expected: str | None
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    for name in there:
        (folder / name).write_bytes(png())
    reading = read(replace(request_for(folder / "a.text"), image_name=known))
    assert reading.image_name == expected
    assert (reading.image is None) is (expected is None)


def test_the_bytes_of_the_image_beside_the_file_stay_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a.text.cover.png").write_bytes(png(4, 6))
    image = read(request_for(tmp_path / "a.text")).image
    assert image is not None
    assert (image.data, image.sha256) == (b"", hashlib.sha256(png(4, 6)).hexdigest())
    assert (image.mime, image.width, image.height) == ("image/png", 4, 6)


def test_a_broken_image_beside_the_file_is_a_warning_and_the_next_one_counts(tmp_path: Path) -> None:
    (tmp_path / "a.text.cover.jpg").write_text("no image")
    (tmp_path / "a.text.cover.png").write_bytes(png())
    reading = read(request_for(tmp_path / "a.text"))
    assert (reading.status, reading.image_name) == (FileStatus.OK, "a.text.cover.png")
    (warning,) = reading.warnings
    assert warning.startswith(f"{tmp_path}/a.text.cover.jpg: ")


def test_an_image_that_leads_out_of_the_library_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (folder / "a.text.cover.png").symlink_to(tmp_path / "secret.png")
    reading = read(request_for(folder / "a.text"))
    assert (reading.image, reading.image_name, len(reading.warnings)) == (None, None, 1)


def test_enrichers_add_layers(tmp_path: Path) -> None:
    extensions = replace(EXTENSIONS, enrichers=(("genres", enrich_with_genres),))
    reading = read(request_for(tmp_path / "a.text", "Dune"), extensions)
    layer = Layer("plugin:genres", {"genres": ("Space opera", "About Dune")}, f"{tmp_path}/a.text")
    assert reading.enriched == (layer,)


def test_a_failing_enricher_is_a_warning_with_its_name(tmp_path: Path) -> None:
    enrichers = (
        ("broken", enrich_raising),
        ("nonsense", enrich_with_nonsense),
        ("genres", enrich_with_genres),
    )
    reading = read(request_for(tmp_path / "a.text", "secret"), replace(EXTENSIONS, enrichers=enrichers))
    assert reading.status is FileStatus.OK
    assert [layer.source for layer in reading.enriched] == ["plugin:nonsense", "plugin:genres"]
    assert reading.enriched[0].values == {"language": "en"}
    assert (
        reading.warnings[0]
        == f"{tmp_path}/a.text: the enricher broken failed: could not be read (RuntimeError)."
    )
    for name, warning in zip(("genres", "colour"), reading.warnings[1:], strict=True):
        assert f"the enricher nonsense gave what cannot be used: {name}" in warning


def test_sidecars_are_read_beside_the_file(tmp_path: Path) -> None:
    request = request_for(tmp_path / "a.text")
    content = json.dumps({"version": 1, "title": "From the sidecar"}).encode()
    (tmp_path / "book.metadata.json").write_bytes(content)
    request = replace(
        request,
        sidecar_path=f"{request.path}.metadata.json",
        book_sidecar_path=str(tmp_path / "book.metadata.json"),
    )
    reading = read(request)
    assert reading.sidecar is None
    assert reading.book_sidecar is not None
    assert reading.book_sidecar.parsed is not None
    assert reading.book_sidecar.parsed.title == "From the sidecar"
    assert reading.book_sidecar.sha256 == hashlib.sha256(content).hexdigest()
    without = read(replace(request, with_sidecars=False))
    assert without.book_sidecar is None


@pytest.mark.parametrize("kind", ["invalid", "large", "folder"])
def test_a_sidecar_that_cannot_be_used_is_a_warning_and_known_to_be_there(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.text.metadata.json"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("{" if kind == "invalid" else " " * 101)
    request = replace(request_for(tmp_path / "a.text"), sidecar_path=str(path))
    reading = read(replace(request, limits=Limits(max_sidecar_bytes=100)))
    assert reading.status is FileStatus.OK
    assert reading.sidecar is not None
    assert reading.sidecar.parsed is None
    assert reading.warnings == (f"{path}: the sidecar was left out: {reading.sidecar.error}.",)
