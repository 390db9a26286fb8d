from __future__ import annotations

import io
import logging
import os
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders.cbz import build_page
from builders.pdf import add_image, build_pdf, destination, written, xmp_packet
from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NullObject,
    NumberObject,
    TextStringObject,
)

from datasette_shisho_resync.errors import LimitExceeded, MediaError, UnreadableFile
from datasette_shisho_resync.model import Author, Chapter, CoverImage, Limits, ParsedFile
from datasette_shisho_resync.parsers.pdf import parse_pdf
from datasette_shisho_resync.parsers.pdf.properties import parse_moment

DEFAULT_LIMITS = Limits()
Change = Callable[[PdfWriter], None]


def parsed(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ParsedFile:
    return parse_pdf(io.BytesIO(data), "/library/book.pdf", limits)


def cover_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> CoverImage:
    found = parsed(data, limits)
    assert found.load_cover is not None
    cover = found.load_cover()
    assert cover is not None
    return cover


def changed(change: Change, **parts: Any) -> bytes:
    """Return a built PDF with objects changed as no writer would do it."""
    writer = PdfWriter(clone_from=io.BytesIO(build_pdf(**parts)))
    change(writer)
    return written(writer)


@contextmanager
def memory_below(most_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most_bytes


def chapters(found: ParsedFile) -> list[tuple[str, int | None]]:
    return [(chapter.title, chapter.start_page) for chapter in found.chapters]


def test_reads_the_document_information() -> None:
    found = parsed(
        build_pdf(
            title=" The Title ",
            author="Ann Lee, Bo Fox & Cy; Ann Lee",
            subject="About <b>things</b>",
            keywords="one, two; three, one",
            lang="eng",
            pages=5,
        )
    )
    assert replace(found, load_cover=None, load_page=None) == ParsedFile(
        source="pdf_metadata",
        title="The Title",
        description="About things",
        authors=(Author("Ann Lee"), Author("Bo Fox"), Author("Cy")),
        tags=("one", "two", "three"),
        language="en",
        page_count=5,
    )


def test_a_degree_belongs_to_the_author_before_it() -> None:
    found = parsed(build_pdf(author="Ann Lee, Ph.D. & Bo Fox", keywords="World War I, II"))
    assert found.authors == (Author("Ann Lee, Ph.D."), Author("Bo Fox"))
    assert found.tags == ("World War I", "II")


def test_titles_and_names_are_one_line() -> None:
    found = parsed(
        build_pdf(title="The\r\nTitle", author="Ann\n Lee", keywords="a\tb", outline=[("One\nA", 0, 0)])
    )
    assert (found.title, found.authors, found.tags) == ("The Title", (Author("Ann Lee"),), ("a b",))
    assert chapters(found) == [("One A", 0)]


def test_the_day_a_file_was_made_is_no_release_date() -> None:
    def set_date(writer: PdfWriter) -> None:
        writer.add_metadata({"/CreationDate": "D:20200101000000Z"})

    assert parsed(changed(set_date)).release_date is None


XMP_TITLE = "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>From XMP</rdf:li></rdf:Alt></dc:title>"
XMP_2020 = "<xmp:ModifyDate>2020-06-01T12:00:00+02:00</xmp:ModifyDate>"


@pytest.mark.parametrize(
    ("title", "modified", "properties", "expected"),
    [
        ("Info", None, XMP_TITLE, "From XMP"),
        ("Info", "no date", XMP_TITLE + XMP_2020, "From XMP"),
        ("Info", "D:20200601095959Z", XMP_TITLE + XMP_2020, "From XMP"),
        ("Info", "D:20200601115959+02'00'", XMP_TITLE + XMP_2020, "From XMP"),
        ("Info", "D:20200601100000Z", XMP_TITLE + XMP_2020, "Info"),
        ("Info", "D:2021", XMP_TITLE + XMP_2020, "Info"),
        ("Info", "D:2019", XMP_TITLE, "Info"),
        ("", "D:2021", XMP_TITLE + XMP_2020, "From XMP"),
        ("Info", None, "<dc:title><rdf:Alt><rdf:li/></rdf:Alt></dc:title>", "Info"),
        ("Info", "D:2019", "", "Info"),
    ],
)
def test_believes_what_was_written_last(
    title: str, modified: str | None, properties: str, expected: str
) -> None:
    data = build_pdf(title=title, modified=modified, xmp=xmp_packet(properties))
    assert parsed(data).title == expected


def test_reads_xmp_lists_plain_texts_and_attributes() -> None:
    packet = xmp_packet(
        "<dc:creator><rdf:Seq><rdf:li>Ann Lee</rdf:li><rdf:li>Bo Fox</rdf:li></rdf:Seq></dc:creator>"
        "<dc:description>Plain</dc:description>"
        "<dc:title><rdf:Alt><rdf:li>Same</rdf:li><rdf:li>Same</rdf:li></rdf:Alt></dc:title>"
    )
    found = parsed(build_pdf(xmp=packet))
    assert (found.title, found.description) == ("Same", "Plain")
    assert found.authors == (Author("Ann Lee"), Author("Bo Fox"))
    attribute = xmp_packet("").replace("rdf:about", 'dc:title="Short form" rdf:about')
    assert parsed(build_pdf(xmp=attribute)).title == "Short form"


@pytest.mark.parametrize(
    ("languages", "title"),
    [
        ((("de", "Der Wal"), ("x-default", "The Whale"), ("fr", "La baleine")), "The Whale"),
        ((("de", "Der Wal"), ("fr", "La baleine")), "Der Wal"),
        ((("x-default", " "), ("fr", "La baleine")), "La baleine"),
    ],
)
def test_of_a_title_in_several_languages_one_counts(
    languages: tuple[tuple[str, str], ...], title: str
) -> None:
    items = "".join(f"<rdf:li xml:lang='{language}'>{text}</rdf:li>" for language, text in languages)
    found = parsed(build_pdf(xmp=xmp_packet(f"<dc:title><rdf:Alt>{items}</rdf:Alt></dc:title>")))
    assert found.title == title


def test_all_authors_count_whose_names_have_a_language() -> None:
    names = "<rdf:li xml:lang='fr'>Ann</rdf:li><rdf:li xml:lang='fr'>Bo</rdf:li>"
    found = parsed(build_pdf(xmp=xmp_packet(f"<dc:creator><rdf:Seq>{names}</rdf:Seq></dc:creator>")))
    assert found.authors == (Author("Ann"), Author("Bo"))


def test_reads_xmp_in_utf_16() -> None:
    assert parsed(build_pdf(xmp=xmp_packet(XMP_TITLE).encode("utf-16"))).title == "From XMP"


def test_damaged_xmp_leaves_the_document_information() -> None:
    found = parsed(build_pdf(title="Info", xmp="nothing of the kind"))
    assert (found.title, len(found.warnings)) == ("Info", 1)


def test_a_message_repeats_no_controls_of_a_damaged_part() -> None:
    data = build_pdf(xmp=xmp_packet("")).replace(b"/Subtype /XML", b"/Filter /#00X")
    (warning,) = parsed(data).warnings
    assert "Unsupported filter" in warning
    assert warning.isprintable()


@pytest.mark.parametrize(
    ("written_date", "expected"),
    [
        ("D:20240131235958+01'30'", "2024-01-31T23:59:58+01:30"),
        ("20240131235958-0130", "2024-01-31T23:59:58-01:30"),
        ("2024-01-31T23:59:58.25Z", "2024-01-31T23:59:58+00:00"),
        ("2024-01", "2024-01-01T00:00:00+00:00"),
        ("D:2024", "2024-01-01T00:00:00+00:00"),
        ("D:20241331", None),
        ("D:20240131+99'00'", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_reads_both_forms_of_dates(written_date: str, expected: str | None) -> None:
    found = parse_moment(written_date)
    assert (found and found.isoformat()) == expected


def test_flattens_the_outline_depth_first() -> None:
    outline = [("Part", 0, 0), ("One", 1, 1), ("Deep", 2, 2), ("Two", 3, 1), (" ", 3, 0), ("End", 4, 0)]
    found = parsed(build_pdf(pages=5, outline=outline))
    assert chapters(found) == [("Part", 0), ("One", 1), ("Deep", 2), ("Two", 3), ("End", 4)]


def first_item(writer: PdfWriter) -> DictionaryObject:
    outline: Any = writer.root_object["/Outlines"]
    item: DictionaryObject = outline["/First"].get_object()
    return item


def retarget(target: Callable[[PdfWriter], Any], *, action: bool = False) -> Change:
    """Return a change that lets the first outline entry point to `target`."""

    def change(writer: PdfWriter) -> None:
        item = first_item(writer)
        item.pop("/Dest", None)
        item.pop("/A", None)
        if action:
            item[NameObject("/A")] = DictionaryObject(
                {NameObject("/S"): NameObject("/GoTo"), NameObject("/D"): target(writer)}
            )
        else:
            item[NameObject("/Dest")] = target(writer)

    return change


def page_reference(writer: PdfWriter, index: int) -> IndirectObject:
    found = writer.pages[index].indirect_reference
    assert found is not None
    return found


def named_in_tree(writer: PdfWriter) -> TextStringObject:
    place = DictionaryObject({NameObject("/D"): destination(page_reference(writer, 1))})
    leaf = DictionaryObject(
        {NameObject("/Names"): ArrayObject([TextStringObject("here"), writer._add_object(place)])}
    )
    kids = ArrayObject([writer._add_object(leaf)])
    loop = writer._add_object(DictionaryObject({NameObject("/Kids"): kids}))
    kids.append(loop)
    writer.root_object[NameObject("/Names")] = DictionaryObject({NameObject("/Dests"): loop})
    return TextStringObject("here")


def named_of_old(writer: PdfWriter) -> NameObject:
    writer.root_object[NameObject("/Dests")] = DictionaryObject(
        {NameObject("/here"): destination(page_reference(writer, 1))}
    )
    return NameObject("/here")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (lambda writer: destination(page_reference(writer, 1)), [("One", 1)]),
        (lambda _: destination(NumberObject(1)), [("One", 1)]),
        (named_in_tree, [("One", 1)]),
        (named_of_old, [("One", 1)]),
        (lambda _: TextStringObject("nowhere"), []),
        (lambda _: destination(NumberObject(7)), []),
        (lambda writer: destination(IndirectObject(999, 0, writer)), []),
        (lambda _: ArrayObject(), []),
        (lambda _: NullObject(), []),
        (lambda _: NumberObject(1), []),
    ],
)
@pytest.mark.parametrize("action", [False, True])
def test_resolves_destinations_of_every_kind(
    target: Callable[[PdfWriter], Any], expected: list[tuple[str, int]], action: bool
) -> None:
    data = changed(retarget(target, action=action), outline=[("One", 0, 0)])
    assert chapters(parsed(data)) == expected


@pytest.mark.parametrize("link", ["/Next", "/First"])
def test_a_loop_in_the_outline_ends(link: str) -> None:
    def loop(writer: PdfWriter) -> None:
        item = first_item(writer)
        item[NameObject(link)] = item.indirect_reference or NullObject()

    assert chapters(parsed(changed(loop, outline=[("One", 0, 0)]))) == [("One", 0)]


def test_a_damaged_outline_is_left_out() -> None:
    def damage(writer: PdfWriter) -> None:
        writer.root_object[NameObject("/Outlines")] = NumberObject(5)

    found = parsed(changed(damage, title="T"))
    assert (found.title, found.chapters, found.warnings) == ("T", (), ())


def test_a_loop_in_the_page_tree_ends() -> None:
    def loop(writer: PdfWriter) -> None:
        tree: Any = writer.root_object["/Pages"]
        tree["/Kids"].append(writer.root_object.raw_get("/Pages"))

    assert parsed(changed(loop)).page_count == 3


@pytest.mark.parametrize("count", [0, 1, 3, 10**9])
def test_counts_the_pages_whatever_their_count_says(count: int) -> None:
    def lie(writer: PdfWriter) -> None:
        tree: Any = writer.root_object["/Pages"]
        tree[NameObject("/Count")] = NumberObject(count)

    assert parsed(changed(lie)).page_count == 3


def test_a_pdf_without_a_page_tree_is_unreadable() -> None:
    data = build_pdf().replace(b"/Pages 1 0 R", b"/Qages 1 0 R").replace(b"/Pages 2 0 R", b"/Qages 2 0 R")
    with pytest.raises(UnreadableFile, match="no pages"):
        parsed(data)


def test_the_largest_jpeg_of_the_first_page_is_the_cover_as_it_is() -> None:
    large, small = build_page(30, 40), build_page(90, 3)

    def add(writer: PdfWriter) -> None:
        add_image(writer, writer.pages[0], small, "/Im1")
        add_image(writer, writer.pages[1], build_page(100, 100), "/Im2")

    cover = cover_of(changed(add, image=large))
    assert (cover.data, cover.mime, cover.page) == (large, "image/jpeg", 0)


@pytest.mark.parametrize("format", ["PNG", "JPEG2000"])
def test_another_image_becomes_a_jpeg_of_the_same_size(format: str) -> None:
    cover = cover_of(build_pdf(image=build_page(30, 40, format)))
    assert (cover.mime, cover.width, cover.height, cover.page) == ("image/jpeg", 30, 40, 0)


def test_a_jpeg_2000_is_judged_by_its_own_header() -> None:
    pytest.importorskip("pypdfium2")

    def belittle(writer: PdfWriter) -> None:
        page: Any = writer.pages[0]
        page["/Resources"]["/XObject"]["/Im0"][NameObject("/Width")] = NumberObject(1)

    data = changed(belittle, image=build_page(300, 400, "JPEG2000"))
    assert cover_of(data, Limits(max_cover_pixels=100_000)).width != 300


def test_transparent_parts_are_white() -> None:
    def cut_out(writer: PdfWriter) -> None:
        page: Any = writer.pages[0]
        mask = add_image(writer, writer.pages[1], build_page(30, 40, "PNG", shade=0))
        picture: Any = mask.get_object()
        picture[NameObject("/ColorSpace")] = NameObject("/DeviceGray")
        picture.set_data(bytes(30 * 40))
        page["/Resources"]["/XObject"]["/Im0"][NameObject("/SMask")] = mask

    cover = cover_of(changed(cut_out, image=build_page(30, 40, "PNG", shade=0)))
    pixel = Image.open(io.BytesIO(cover.data)).convert("RGB").getpixel((15, 20))
    assert pixel == (255, 255, 255)


def test_an_image_within_a_form_is_found() -> None:
    image = build_page(30, 40)

    def wrap(writer: PdfWriter) -> None:
        page: Any = writer.pages[0]
        form = page["/Resources"]["/XObject"]["/Im0"].clone(writer, force_duplicate=True)
        form[NameObject("/Subtype")] = NameObject("/Form")
        form[NameObject("/Resources")] = page["/Resources"]
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/XObject"): DictionaryObject({NameObject("/Fm0"): form.indirect_reference})}
        )

    assert cover_of(changed(wrap, image=image)).data == image


def test_a_page_without_images_is_rendered() -> None:
    pytest.importorskip("pypdfium2")
    cover = cover_of(build_pdf())
    assert (cover.mime, cover.width, cover.height, cover.page) == ("image/jpeg", 417, 625, 0)


def test_a_broken_image_is_replaced_by_the_rendered_page() -> None:
    pytest.importorskip("pypdfium2")
    broken = build_page(30, 40)[:2] + b"broken"

    def damage(writer: PdfWriter) -> None:
        page: Any = writer.pages[0]
        page["/Resources"]["/XObject"]["/Im0"]._data = broken

    assert cover_of(changed(damage, image=build_page(30, 40))).width == 417


def test_an_absurd_image_is_replaced_by_the_rendered_page() -> None:
    pytest.importorskip("pypdfium2")

    def inflate(writer: PdfWriter) -> None:
        page: Any = writer.pages[0]
        page["/Resources"]["/XObject"]["/Im0"][NameObject("/Width")] = NumberObject(10**9)

    assert cover_of(changed(inflate, image=build_page(30, 40, "PNG"))).width == 417


def test_a_huge_page_is_rendered_within_the_limit() -> None:
    pytest.importorskip("pypdfium2")

    def enlarge(writer: PdfWriter) -> None:
        writer.pages[0].mediabox.upper_right = (14_000, 14_000)

    cover = cover_of(changed(enlarge), Limits(max_cover_pixels=10_000))
    assert cover.width * cover.height <= 10_000


def test_a_poster_is_rendered_without_a_needless_copy() -> None:
    pytest.importorskip("pypdfium2")

    def enlarge(writer: PdfWriter) -> None:
        writer.pages[0].mediabox.upper_right = (6000, 9000)

    assert cover_of(changed(enlarge), Limits(cover_memory_bytes=72 * 1024**2)).width > 2000


def test_a_pdf_without_pages_has_no_cover() -> None:
    found = parsed(build_pdf(pages=0))
    assert (found.page_count, found.load_cover) == (None, None)


def test_a_password_is_asked_for_by_name() -> None:
    with pytest.raises(UnreadableFile, match=r"/library/book\.pdf: .*password"):
        parsed(build_pdf(title="T", encrypted=True))


def test_an_empty_password_opens() -> None:
    image = build_page(30, 40)
    data = build_pdf(title="Open", image=image, outline=[("One", 1, 0)], encrypted=True, password="")
    found = parsed(data)
    assert (found.title, chapters(found), found.page_count) == ("Open", [("One", 1)], 3)
    assert cover_of(data).data == image


SOUND = build_pdf(
    title="T", outline=[("One", 0, 0), ("Two", 1, 1)], xmp=xmp_packet(XMP_TITLE), image=build_page()
)


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"x" * 5000, b"%PDF-1.7\n%%EOF", SOUND[:100]])
def test_what_is_no_pdf_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"/library/book\.pdf"):
        parsed(data)


WRONG_OFFSET = re.sub(rb"startxref\n[0-9]+", b"startxref\n5", SOUND)


@pytest.mark.parametrize("data", [WRONG_OFFSET, SOUND.replace(b"\nxref", b"\n????"), SOUND + bytes(2000)])
def test_a_pdf_with_a_broken_table_is_repaired(data: bytes) -> None:
    assert parsed(data).page_count == 3


@pytest.mark.parametrize("position", range(0, len(SOUND), len(SOUND) // 150))
def test_damage_anywhere_ends_in_values_or_in_an_error_of_ours(position: int) -> None:
    data = bytearray(SOUND)
    data[position : position + 3] = b"\x00<("
    try:
        found = parsed(bytes(data))
        if found.load_cover:
            found.load_cover()
    except MediaError:
        pass


def test_a_repair_that_would_take_too_much_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    with path.open("w+b") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(200 * 1024**2)
        file.seek(0, os.SEEK_END)
        file.write(b"\nstartxref\n5\n%%EOF\n")
        with memory_below(40_000_000), pytest.raises(UnreadableFile, match="book"):
            parse_pdf(file, str(path), Limits())


def outline_of(count: int) -> Change:
    def change(writer: PdfWriter) -> None:
        item = first_item(writer)
        target = destination(page_reference(writer, 0))
        for _ in range(count - 1):
            title = TextStringObject("x")
            following = DictionaryObject({NameObject("/Title"): title, NameObject("/Dest"): target})
            item[NameObject("/Next")] = writer._add_object(following)
            item = following

    return change


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (changed(outline_of(11), outline=[("One", 0, 0)]), Limits(max_chapters=10)),
        (build_pdf(pages=11), Limits(max_archive_entries=10)),
        (build_pdf(keywords=",".join(map(str, range(11)))), Limits(max_list_entries=10)),
        (build_pdf(author=",".join(map(str, range(11)))), Limits(max_list_entries=10)),
        (build_pdf(xmp=xmp_packet(XMP_TITLE * 50)), Limits(max_xml_nodes=100)),
        (build_pdf(xmp=xmp_packet("x" * 2000)), Limits(max_xml_bytes=1000)),
    ],
    ids=["outline", "pages", "keywords", "authors", "xmp nodes", "xmp bytes"],
)
def test_what_breaches_a_limit_is_refused_by_name(data: bytes, limits: Limits) -> None:
    with pytest.raises(LimitExceeded, match=r"/library/book\.pdf"):
        parsed(data, limits)


def test_a_long_outline_is_flattened_without_recursion() -> None:
    found = parsed(changed(outline_of(5000), outline=[("One", 0, 0)]))
    assert len(found.chapters) == 5000
    assert found.chapters[1] == Chapter("x", start_page=0)


def test_a_compressed_bomb_of_xmp_is_refused_without_unpacking_it() -> None:
    def bomb(writer: PdfWriter) -> None:
        metadata: Any = writer.root_object["/Metadata"]
        metadata.set_data(b"<x>" + bytes(100_000_000))
        writer.root_object[NameObject("/Metadata")] = writer._add_object(metadata.flate_encode())

    data = changed(bomb, xmp="<x/>")
    with memory_below(40_000_000), pytest.raises(LimitExceeded, match=r"/library/book\.pdf"):
        parsed(data)


def test_arrays_nested_without_end_cost_the_part_that_holds_them() -> None:
    found = parsed(build_pdf(title="T", subject="S", lang="en").replace(b"(T)", b"[" * 100_000))
    assert (found.title, found.language, found.page_count, len(found.warnings)) == (None, "en", 3, 1)


def test_long_texts_are_cut() -> None:
    found = parsed(build_pdf(title="t" * 70_000, subject="s" * 1_100_000))
    assert len(found.title or "") == DEFAULT_LIMITS.max_scalar_bytes
    assert len(found.description or "") == DEFAULT_LIMITS.max_description_bytes


def test_pypdf_stays_silent_and_its_logger_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    level = logging.getLogger("pypdf").level
    with caplog.at_level(logging.DEBUG):
        parsed(WRONG_OFFSET)
    assert not caplog.records
    assert logging.getLogger("pypdf").level == level


def test_the_cover_can_be_loaded_after_somebody_else_read_the_file() -> None:
    image = build_page(30, 40)
    file = io.BytesIO(build_pdf(image=image, pages=50))
    found = parse_pdf(file, "book.pdf", Limits())
    file.seek(3)
    assert found.load_cover is not None
    cover = found.load_cover()
    assert cover is not None
    assert cover.data == image


def test_pages_behind_the_first_are_counted_without_reading_them() -> None:
    data = build_pdf(pages=400)
    first, *others = data.split(b"/MediaBox")
    damaged = b"/MediaBox".join([first + b"/MediaBox" + others[0], *(b"(" + part[1:] for part in others[1:])])
    assert parsed(damaged).page_count == 400


def test_without_pypdfium2_a_page_without_images_gives_no_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    found = parsed(build_pdf())
    assert found.load_cover is not None
    assert found.load_cover() is None
