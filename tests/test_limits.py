"""Every limit is a setting: what breaches it is refused or left out with the setting's name, and the README
tells what it is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from builders.cbz import build_cbz, comic_info_xml
from builders.epub import build_epub, nav_document
from builders.hostile import flat_image, with_language
from builders.images import jpeg, png
from builders.m4b import build_m4b
from builders.pdf import build_pdf, xmp_packet

from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import FileReading, Limits, ReadRequest
from datasette_shisho_resync.reading import read_file
from datasette_shisho_resync.settings import settings_from

README = Path(__file__).parent.parent / "README.md"
ITEMS = "".join(f"<li><a href='{i}'>{i}</a></li>" for i in range(9))
NAV: dict[str, Any] = {
    "manifest_xml": '<item id="n" href="n.xhtml" properties="nav" media-type="application/xhtml+xml"/>',
    "files": {"OEBPS/n.xhtml": nav_document(f"<ol>{ITEMS}</ol>")},
}
SUBJECTS = "".join(f"<dc:subject>{i}</dc:subject>" for i in range(9))
DEEP = "<meta>" * 50 + "</meta>" * 50
WRITERS = comic_info_xml("<Writer>a,b,c,d,e,f</Writer>")
CHAPTERS = [(i * 1000, f"C{i}") for i in range(9)]

Breach = tuple[str, float, str, Callable[[], bytes]]
BREACHES: tuple[Breach, ...] = (
    ("max_file_bytes", 100, "a.epub", build_epub),
    ("max_list_entries", 5, "a.epub", partial(build_epub, metadata_xml=SUBJECTS)),
    ("max_list_entries", 5, "a.cbz", partial(build_cbz, comic_info=WRITERS)),
    ("max_list_entries", 5, "a.m4b", partial(build_m4b, artist="a;b;c;d;e;f")),
    ("max_list_entries", 5, "a.pdf", partial(build_pdf, author="a,b,c,d,e,f")),
    ("max_chapters", 5, "a.epub", partial(build_epub, **NAV)),
    ("max_chapters", 5, "a.cbz", partial(build_cbz, pages={f"ch {i}/1.jpg": jpeg(2, 2) for i in range(9)})),
    ("max_chapters", 5, "a.m4b", partial(build_m4b, nero_chapters=CHAPTERS)),
    ("max_chapters", 5, "a.m4b", partial(build_m4b, quicktime_chapters=CHAPTERS)),
    ("max_chapters", 5, "a.pdf", partial(build_pdf, outline=[(f"C{i}", 0, 0) for i in range(9)])),
    ("max_archive_entries", 2, "a.epub", partial(build_epub, cover=png(2, 2))),
    ("max_archive_entries", 2, "a.cbz", build_cbz),
    ("max_archive_entries", 5, "a.m4b", build_m4b),
    ("max_archive_entries", 5, "a.pdf", partial(build_pdf, pages=9)),
    ("max_xml_bytes", 100, "a.epub", build_epub),
    ("max_xml_bytes", 100, "a.cbz", partial(build_cbz, comic_info=comic_info_xml("<Title>x</Title>" * 20))),
    ("max_xml_bytes", 100, "a.pdf", partial(build_pdf, xmp=xmp_packet("<dc:title>x</dc:title>" * 99))),
    ("max_xml_nodes", 5, "a.epub", partial(build_epub, metadata_xml=SUBJECTS)),
    ("max_xml_depth", 20, "a.epub", partial(build_epub, metadata_xml=DEEP)),
    ("max_cover_bytes", 50, "a.epub", partial(build_epub, cover=png(9, 9))),
    ("max_cover_bytes", 50, "a.cbz", build_cbz),
    ("max_cover_bytes", 50, "a.m4b", partial(build_m4b, cover=png(9, 9))),
    ("max_cover_bytes", 50, "a.pdf", partial(build_pdf, image=jpeg(9, 9))),
    ("max_cover_pixels", 50, "a.epub", partial(build_epub, cover=png(9, 9))),
    ("max_cover_pixels", 50, "a.cbz", build_cbz),
    ("max_cover_pixels", 50, "a.m4b", partial(build_m4b, cover=png(9, 9))),
    ("pdf_seconds", 0.001, "a.pdf", lambda: with_language(b" " * 1_000_000 + b"(en)")),
    ("cover_seconds", 0.001, "a.pdf", partial(flat_image, 5000)),
    ("cover_memory_bytes", 1000, "a.pdf", partial(flat_image, 5000)),
    ("max_sidecar_bytes", 50, "a.m4b", partial(build_m4b, description="x" * 99)),
)  # fmt: skip


def read(folder: Path, name: str, data: bytes, **limits: float) -> FileReading:
    path = folder / name
    path.write_bytes(data)
    request = ReadRequest(
        str(path), (str(folder),), settings_from(limits).limits, sidecar_path=f"{path}.metadata.json"
    )
    return read_file(request, default_extensions())


def complaints(reading: FileReading) -> list[str]:
    sidecar = reading.sidecar.parsed if reading.sidecar else None
    inner = [warning for parsed in (reading.parsed, sidecar) if parsed for warning in parsed.warnings]
    return [*filter(None, [reading.error]), *reading.warnings, *inner]


@pytest.mark.parametrize(("setting", "most", "name", "build"), BREACHES)
def test_what_breaches_a_limit_is_told_with_the_settings_name(
    tmp_path: Path, setting: str, most: float, name: str, build: Callable[[], bytes]
) -> None:
    assert complaints(read(tmp_path, name, build())) == []
    told = complaints(read(tmp_path, name, build(), **{setting: most}))
    assert any(setting in complaint for complaint in told), told


def test_a_cover_beside_the_file_that_breaches_a_limit_is_told_with_the_settings_name(tmp_path: Path) -> None:
    (tmp_path / "a.epub.cover.png").write_bytes(png(9, 9))
    for setting in ("max_cover_bytes", "max_cover_pixels"):
        assert any(
            setting in told for told in complaints(read(tmp_path, "a.epub", build_epub(), **{setting: 9}))
        )


@pytest.mark.parametrize(
    ("setting", "content"),
    [
        ("max_sidecar_bytes", {"name": "x" * 50}),
        ("max_list_entries", {"narrators": [str(i) for i in range(50)]}),
        ("max_chapters", {"chapters": [{"title": "C", "start_page": i} for i in range(50)]}),
    ],
)
def test_a_sidecar_that_breaches_a_limit_is_told_with_the_settings_name(
    tmp_path: Path, setting: str, content: object
) -> None:
    (tmp_path / "a.cbz.metadata.json").write_text(json.dumps(content))
    assert any(setting in told for told in complaints(read(tmp_path, "a.cbz", build_cbz(), **{setting: 20})))


def described(text: str) -> dict[str, bytes]:
    comic = comic_info_xml(f"<Title>{text}</Title><Summary>{text}</Summary>")
    return {
        "a.epub": build_epub(title=text, metadata_xml=f"<dc:description>{text}</dc:description>"),
        "a.cbz": build_cbz(comic_info=comic),
        "a.m4b": build_m4b(title=text, description=text),
        "a.pdf": build_pdf(title=text, subject=text),
    }


@pytest.mark.parametrize(("name", "data"), described("é" * 99).items(), ids=described("").keys())
def test_longer_texts_are_cut(tmp_path: Path, name: str, data: bytes) -> None:
    reading = read(tmp_path, name, data, max_scalar_bytes=20, max_description_bytes=31)
    assert reading.parsed is not None, reading.error
    assert (reading.parsed.title, reading.parsed.description) == ("é" * 10, "é" * 15)


NOT_OF_A_FILE = {"parse_seconds", "parse_memory_bytes", "worker_memory_bytes"}  # tested with the workers
CUT = {"max_scalar_bytes", "max_description_bytes"}


def test_every_limit_is_tried_and_explained() -> None:
    tried = {setting for setting, *_ in BREACHES}
    limits = {field.name for field in fields(Limits)}
    assert limits == tried | NOT_OF_A_FILE | CUT
    readme = README.read_text()
    assert [name for name in limits if f"`{name}`" not in readme] == []
