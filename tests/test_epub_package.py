from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from builders.epub import PACKAGE, build_epub, zipped

from datasette_shisho_resync.errors import UnreadableFile
from datasette_shisho_resync.model import Limits, ParsedFile
from datasette_shisho_resync.parsers.epub import parse_epub

LIMITS = Limits()


def parsed(data: bytes, limits: Limits = LIMITS) -> ParsedFile:
    return parse_epub(io.BytesIO(data), "/library/book.epub", limits)


def with_metadata(xml: str, **more: Any) -> ParsedFile:
    """Parse a book that has nothing but this metadata."""
    return parsed(build_epub(title=None, creators=(), metadata_xml=xml, **more))


def names(found: ParsedFile) -> list[str]:
    return [author.name for author in found.authors]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "iso-8859-1", "utf-32"])
def test_a_package_document_in_any_encoding_is_read(encoding: str) -> None:
    assert parsed(build_epub(title="Café", encoding=encoding)).title == "Café"


@pytest.mark.parametrize(
    "package",
    [
        '<opf:package xmlns:opf="http://www.idpf.org/2007/opf" xmlns:d="http://purl.org/dc/elements/1.1/">'
        "<opf:metadata><d:title>T</d:title><d:creator>A</d:creator></opf:metadata></opf:package>",
        "<package><metadata><title>T</title><creator>A</creator></metadata></package>",
        "<package><metadata><dc:title>T</dc:title><dc:creator>A</dc:creator></metadata></package>",
        '<package xmlns="http://openebook.org/namespaces/oeb-package/1.0/"><metadata>'
        '<dc-metadata xmlns:dc="http://purl.org/dc/elements/1.0/"><dc:Title>T</dc:Title>'
        "<dc:Creator>A</dc:Creator></dc-metadata></metadata></package>",
        PACKAGE.format("<dc:title>T</dc:title><dc:creator>A</dc:creator>", "", "", "")[:-20],
        "<!DOCTYPE package [<!ENTITY x 'y'>]><?pi?><!-- c -->"
        + PACKAGE.format(
            "<!-- c --><?pi?><dc:title>T</dc:title><dc:creator>A</dc:creator>", "<!-- c -->", "", ""
        ),
    ],
)
def test_every_dialect_of_the_package_document_is_read(package: str) -> None:
    found = parsed(build_epub(package=package))
    assert (found.title, names(found)) == ("T", ["A"])


def test_a_damaged_package_document_is_read_with_a_warning() -> None:
    found = with_metadata("<dc:title>R&D</dc:title>")
    assert found.title == "R&D"
    assert found.warnings[0].startswith("'OEBPS/content.opf' is damaged")


@pytest.mark.parametrize("package", ["", "text", "<html><body/></html>", b"\0\1\2"])
def test_an_unreadable_package_document_is_fatal(package: str | bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"^/library/book\.epub: "):
        parsed(build_epub(package=package))


def test_a_package_document_without_metadata_is_a_book_without_values() -> None:
    found = parsed(build_epub(package="<package/>"))
    assert (found.title, found.authors, found.chapters) == (None, (), ())


def test_the_container_decides_which_package_document_counts() -> None:
    other = PACKAGE.format("<dc:title>Other</dc:title>", "", "", "")
    data = build_epub(title="Named", opf_path="z/real.opf", files={"a.opf": other})
    assert parsed(data).title == "Named"


@pytest.mark.parametrize(
    "container",
    [None, "broken", "<container/>", '<container><rootfile full-path="gone.opf"/></container>'],
)
def test_without_a_useful_container_the_first_package_document_counts(container: str | None) -> None:
    found = parsed(build_epub(container=container, opf_path="OEBPS/BOOK.OPF"))
    assert found.title == "A Book"
    assert any("META-INF/container.xml" in warning for warning in found.warnings)


def test_the_container_names_the_package_document_among_other_root_files() -> None:
    container = (
        '<container><rootfiles><rootfile full-path="mimetype" media-type="application/pdf"/>'
        '<rootfile full-path="/OEBPS/content.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>"
    )
    found = parsed(build_epub(container=container))
    assert (found.title, found.warnings) == ("A Book", ())


def test_an_archive_without_a_package_document_is_no_epub() -> None:
    with pytest.raises(UnreadableFile, match="no package document"):
        parsed(zipped({"mimetype": "application/epub+zip"}))


@pytest.mark.parametrize(
    "odd",
    [
        {"opf_path": "a\x1b[31m.opf", "container": None, "metadata_xml": "R&D"},
        {"manifest_xml": f'<item id="n" href="{"x" * 50_000}" media-type="application/x-dtbncx+xml"/>'},
    ],
)
def test_a_message_names_an_entry_without_controls_and_not_endlessly(odd: Mapping[str, Any]) -> None:
    found = parsed(build_epub(**odd))
    assert found.warnings
    assert all(warning.isprintable() and len(warning) < 500 for warning in found.warnings)
