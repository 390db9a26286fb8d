"""The cover of an EPUB, found by each way in which files name one. Opens entries only when asked to."""

from __future__ import annotations

import posixpath
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice

from lxml import etree

from ...errors import MediaError, UnreadableFile
from ...model import CoverImage, Limits
from ..archive import Archive, shown_entry
from ..image import read_cover
from ..xml import parse_xml
from .package import Item, Package, resolved, unqualified

_COVER_IDS = ("cover", "cover-image", "coverimage")
_MAX_CLAIMS = 10
_INSIDE = re.compile(r"\s*data:image/[a-z]+;base64,", re.IGNORECASE)
_COVER_NAME = re.compile(
    r"(?:front|book|img|image)?[\s._-]*cover[\s._-]*(?:img|image|art|page|front)?", re.IGNORECASE
)
_PAGE_ENDINGS = (".xhtml", ".html", ".htm", ".xml")
_MAX_PAGE_BYTES = 64 * 1024  # a page that only shows an image needs no more


def load_cover(archive: Archive, package: Package, name: str, limits: Limits) -> CoverImage | None:
    """Return the first cover that can be read; None when the EPUB names none.

    Raises: UnreadableFile, LimitExceeded, for the first of them, when it names some and none can be read.
    """
    failure: MediaError | None = None
    missing: list[str] = []
    for entry in _unique(_named(archive, package, name, limits, missing)):
        try:
            return _image(archive, entry, name, limits)
        except MediaError as error:
            failure = failure or error
    if failure:
        raise failure
    guess = _only_image_of_first_page(archive, package, name, limits)
    with suppress(MediaError):
        if guess:
            return _image(archive, guess, name, limits)
    if missing:
        raise UnreadableFile(name, f"{shown_entry(missing[0])} is not in the archive")
    return None


def _unique(entries: Iterable[str]) -> Iterator[str]:
    """Yield each entry once, and look for the next one only when it is asked for."""
    seen: set[str] = set()
    for entry in entries:
        if entry not in seen:
            seen.add(entry)
            yield entry


def _image(archive: Archive, entry: str, name: str, limits: Limits) -> CoverImage:
    if entry.lower().endswith(".svg"):
        return _image_in_drawing(archive, entry, name, limits)
    return read_cover(archive.read(entry, limits.max_cover_bytes), name, limits)


def _image_in_drawing(archive: Archive, drawing: str, name: str, limits: Limits) -> CoverImage:
    """Return the image that an SVG cover puts its letters on, from within it or from beside it."""
    root = parse_xml(archive.read(drawing, limits.max_xml_bytes), name, limits, recover=True)
    for target in _image_targets(root):
        inside = _INSIDE.match(target)
        if inside:
            with suppress(ValueError):
                return read_cover(b64decode(target[inside.end() :]), name, limits)
        elif entry := resolved(archive, drawing, target):
            return read_cover(archive.read(entry, limits.max_cover_bytes), name, limits)
    raise UnreadableFile(name, "its cover is a drawing (SVG) without an image")


def _named(
    archive: Archive, package: Package, name: str, limits: Limits, missing: list[str]
) -> Iterator[str]:
    """Yield the entries that are called the cover, the plainest claim first; note what is not there."""
    claims = chain(
        _named_by_meta(package),
        _named_by_item(package),
        _named_by_guide(package),
        (item.href for item in package.items if _is_image_called_cover(item)),
    )
    for href in islice(claims, _MAX_CLAIMS):
        entry = resolved(archive, package.path, href)
        if entry is None:
            missing += [href] if href.strip() else []
        elif entry.lower().endswith(_PAGE_ENDINGS):
            yield from _images_on_page(archive, entry, name, limits)[:1]
        else:
            yield entry


def _named_by_meta(package: Package) -> Iterator[str]:
    for meta in package.all_meta("cover"):
        item = package.item(meta.text.strip())
        yield item.href if item else meta.text.strip()


def _named_by_item(package: Package) -> Iterator[str]:
    for is_cover in (_has_cover_property, _is_image_with_cover_id, _is_page_with_cover_id):
        yield from (item.href for item in package.items if is_cover(item))


def _has_cover_property(item: Item) -> bool:
    return item.has_property("cover-image")


def _is_image(item: Item) -> bool:
    return item.media_type.lower().startswith("image/")


def _is_image_with_cover_id(item: Item) -> bool:
    return _is_image(item) and item.id.lower() in _COVER_IDS


def _is_page_with_cover_id(item: Item) -> bool:
    return not _is_image(item) and item.id.lower() in _COVER_IDS


def _is_image_called_cover(item: Item) -> bool:
    """Tell images like `images/front_cover.jpg`, which nothing but their names says to be the cover."""
    stem = posixpath.splitext(posixpath.basename(item.href))[0]
    return _is_image(item) and any(_COVER_NAME.fullmatch(name) for name in (item.id, stem))


def _named_by_guide(package: Package) -> Iterator[str]:
    return (reference.href for reference in package.guide if "cover" in reference.type)


def _only_image_of_first_page(archive: Archive, package: Package, name: str, limits: Limits) -> str | None:
    first = package.item(package.spine[0]) if package.spine else None
    entry = resolved(archive, package.path, first.href) if first else None
    images = _images_on_page(archive, entry, name, limits) if entry else []
    return images[0] if len(images) == 1 else None


def _images_on_page(archive: Archive, page: str, name: str, limits: Limits) -> list[str]:
    """List the images in the archive that the page shows; none when it can't be read."""
    try:
        if archive.size(page) > _MAX_PAGE_BYTES:
            return []
        root = parse_xml(archive.read(page, limits.max_xml_bytes), name, limits, recover=True)
    except MediaError:
        return []
    targets = (resolved(archive, page, target) for target in _image_targets(root))
    return list(dict.fromkeys(target for target in targets if target))


def _image_targets(root: etree._Element) -> Iterator[str]:
    for element in root.iter("{*}img", "{*}image"):
        for attribute, value in element.attrib.items():
            if unqualified(str(attribute)) in ("src", "href"):
                yield str(value)
