from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import pytest
from builders.epub import build_epub
from builders.images import image, jpeg, png

from datasette_shisho_resync.errors import LimitExceeded, MediaError, UnreadableFile
from datasette_shisho_resync.model import Limits, ParsedFile
from datasette_shisho_resync.parsers.epub import parse_epub

LIMITS = Limits()
FRONT = png(6, 9)


def parsed(data: bytes, limits: Limits = LIMITS) -> ParsedFile:
    return parse_epub(io.BytesIO(data), "/library/book.epub", limits)


def page(body: str) -> str:
    return f'<html xmlns="http://www.w3.org/1999/xhtml" xmlns:xlink="http://www.w3.org/1999/xlink"><body>{body}</body></html>'


PAGE_ITEM = '<item id="p" href="text/p.xhtml" media-type="application/xhtml+xml"/>'
IMAGE_ITEM = '<item id="i" href="images/c%20d.jpg" media-type="image/jpeg"/>'
FIRST_PAGE = '<spine><itemref idref="p"/></spine>'


@pytest.mark.parametrize(
    "more",
    [
        {"metadata_xml": '<meta name="cover" content="i"/>', "manifest_xml": IMAGE_ITEM},
        {"metadata_xml": '<meta content="images/c%20d.jpg" name="cover"/>'},
        {"metadata_xml": '<meta content="images/c d.jpg" name="cover"/>'},
        {
            "metadata_xml": '<meta name="cover" content="i"/>',
            "manifest_xml": IMAGE_ITEM.replace("images/", "../OEBPS/IMAGES/"),
        },
        {"metadata_xml": '<meta name="cover" content="p"/>', "manifest_xml": PAGE_ITEM},
        {"manifest_xml": IMAGE_ITEM.replace("/>", ' properties="svg cover-image"/>')},
        {"manifest_xml": IMAGE_ITEM.replace('"i"', '"CoverImage"')},
        {"manifest_xml": PAGE_ITEM.replace('"p"', '"cover"')},
        {"guide_xml": '<guide><reference type="cover" href="images/c%20d.jpg"/></guide>'},
        {"guide_xml": '<guide><!-- c --><reference type="Cover" href="text/p.xhtml#x"/></guide>'},
        {"manifest_xml": PAGE_ITEM, "spine_xml": FIRST_PAGE},
        {"manifest_xml": IMAGE_ITEM.replace('"i"', '"img-cover"')},
        {"manifest_xml": IMAGE_ITEM.replace("c%20d", "Front_Cover")},
    ],
)
@pytest.mark.parametrize(
    "body",
    ['<img src="../images/c%20d.jpg" alt=""/>', '<svg><image xlink:href="../images/c d.jpg"/></svg>'],
)
def test_covers_are_found_by_every_convention(more: dict[str, Any], body: str) -> None:
    front = jpeg(7, 8)
    found = parsed(
        build_epub(
            files={
                "OEBPS/images/c d.jpg": front,
                "OEBPS/images/Front_Cover.jpg": front,
                "OEBPS/text/p.xhtml": page(body),
            },
            **more,
        )
    )
    assert found.load_cover is not None
    cover = found.load_cover()
    assert cover is not None
    assert (cover.data, cover.mime, cover.width, cover.height) == (front, "image/jpeg", 7, 8)


@pytest.mark.parametrize(
    "body",
    [
        '<img src="../images/c%20d.jpg"/><img src="../images/other.jpg"/>',
        '<img src="https://example.com/c.jpg"/>',
        '<img src="data:image/png;base64,AAAA"/>',
        '<img src="../fake.jpg"/>',
        "<p>text</p>",
    ],
)
def test_a_first_page_that_shows_no_single_image_is_no_cover(body: str) -> None:
    files: dict[str, str | bytes] = {
        "OEBPS/images/c d.jpg": jpeg(7, 8),
        "OEBPS/images/other.jpg": jpeg(8, 8),
        "OEBPS/fake.jpg": "not an image",
        "OEBPS/text/p.xhtml": page(body),
    }
    found = parsed(build_epub(files=files, manifest_xml=PAGE_ITEM, spine_xml=FIRST_PAGE))
    assert found.load_cover is not None
    assert found.load_cover() is None


@pytest.mark.parametrize(
    "more",
    [
        {"metadata_xml": '<meta name="cover" content="i"/>', "manifest_xml": IMAGE_ITEM},
        {"manifest_xml": IMAGE_ITEM.replace("/>", ' properties="cover-image"/>')},
        {"guide_xml": '<guide><reference type="cover" href="https://example.com/c.jpg"/></guide>'},
    ],
)
def test_a_cover_that_is_named_and_not_there_is_said_to_be_missing(more: dict[str, Any]) -> None:
    found = parsed(build_epub(**more))
    assert found.load_cover is not None
    with pytest.raises(UnreadableFile, match=r"c(%20d)?\.jpg' is not in the archive"):
        found.load_cover()


SVG_ITEM = '<item id="c" href="images/cover.svg" media-type="image/svg+xml" properties="cover-image"/>'


def drawing(target: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title>T</title><image xlink:href="{target}"/><path d="M0"/></svg>'
    )


@pytest.mark.parametrize(
    "target",
    ["c%20d.jpg", "data:image/jpeg;base64," + b64encode(jpeg(7, 8)).decode(), "\ndata:image/jpeg;base64,!"],
)
def test_a_cover_that_is_drawn_gives_the_image_in_it(target: str) -> None:
    front = jpeg(7, 8)
    files: dict[str, str | bytes] = {"OEBPS/images/cover.svg": drawing(target), "OEBPS/images/c d.jpg": front}
    found = parsed(build_epub(manifest_xml=SVG_ITEM, files=files))
    assert found.load_cover is not None
    if target.endswith("!"):
        with pytest.raises(UnreadableFile):
            found.load_cover()
    else:
        cover = found.load_cover()
        assert cover is not None
        assert cover.data == front


@pytest.mark.parametrize("name", ["back-cover.jpg", "discover.jpg", "covered.jpg"])
def test_an_image_of_another_name_is_no_cover(name: str) -> None:
    item = IMAGE_ITEM.replace("c%20d.jpg", name)
    found = parsed(build_epub(manifest_xml=item, files={f"OEBPS/images/{name}": FRONT}))
    assert found.load_cover is not None
    assert found.load_cover() is None


def test_the_first_cover_that_can_be_read_is_taken() -> None:
    metadata = '<meta name="cover" content="i"/>'
    files = {"OEBPS/images/c d.jpg": b"<svg/>"}
    found = parsed(build_epub(metadata_xml=metadata, manifest_xml=IMAGE_ITEM, files=files, cover=FRONT))
    assert found.load_cover is not None
    cover = found.load_cover()
    assert cover is not None
    assert cover.data == FRONT


@pytest.mark.parametrize(
    ("cover", "limits", "error"),
    [
        (b"no image", LIMITS, UnreadableFile),
        (image("TIFF", 4, 4), LIMITS, UnreadableFile),
        (png(40, 40), Limits(max_cover_pixels=1_000), LimitExceeded),
        (png(40, 40), Limits(max_cover_bytes=50), LimitExceeded),
    ],
)
def test_a_cover_that_cannot_be_read_is_an_error_of_the_cover_alone(
    cover: bytes, limits: Limits, error: type[MediaError]
) -> None:
    found = parsed(build_epub(cover=cover), limits)
    assert found.title == "A Book"
    assert found.load_cover is not None
    with pytest.raises(error, match=r"^/library/book\.epub: "):
        found.load_cover()
