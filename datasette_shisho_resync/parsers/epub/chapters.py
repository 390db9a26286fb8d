"""The table of contents of an EPUB -> `Chapter` trees, from the EPUB 3 navigation document or the NCX."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lxml import etree

from ...errors import MediaError
from ...model import Chapter, Limits
from ...normalize.text import clean
from ..archive import Archive, shown_entry
from .package import Item, Package, Warn, load_document, local_name, resolved, unqualified

_NCX_TYPE = "application/x-dtbncx+xml"
_TOC = ("toc", "doc-toc")


def load_chapters(
    archive: Archive, package: Package, name: str, limits: Limits, warn: Warn
) -> tuple[Chapter, ...]:
    """Return the chapters; a navigation document that lists any beats the NCX. Damage is a warning."""
    for find, read in ((_navigation, _Contents.of_navigation), (_ncx, _Contents.of_ncx)):
        root = _document(archive, package, find(package), name, limits, warn)
        if root is None:
            continue
        contents = _Contents(limits)
        chapters = tuple(read(contents, root))
        if contents.is_cut:
            warn(f"Only the first {limits.max_chapters:,} chapters were read (max_chapters).")
        if chapters:
            return chapters
    return ()


def _navigation(package: Package) -> Item | None:
    return next((item for item in package.items if item.has_property("nav")), None)


def _ncx(package: Package) -> Item | None:
    # Differs from Shisho: found by its media type where the spine doesn't name it.
    by_type = (item for item in package.items if item.media_type == _NCX_TYPE)
    return package.item(package.ncx_id) or next(by_type, None)


def _document(
    archive: Archive, package: Package, item: Item | None, name: str, limits: Limits, warn: Warn
) -> etree._Element | None:
    if item is None:
        return None
    entry = resolved(archive, package.path, item.href)
    if entry is None:
        warn(f"The table of contents {shown_entry(item.href)} is not in the archive.")
        return None
    try:
        return load_document(archive, entry, name, limits, warn)
    except MediaError as error:
        warn(f"The table of contents {shown_entry(entry)} could not be read: {error.reason}.")
        return None


class _Contents:
    """Reads one table of contents, and counts its chapters against the limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.max_chapters
        self.is_cut = False

    def of_navigation(self, root: etree._Element) -> Iterator[Chapter]:
        # Differs from Shisho: the list may stand anywhere, not only right below the body.
        toc = next((nav for nav in root.iter("{*}nav") if _is_toc(nav)), None)
        top = None if toc is None else next(toc.iter("{*}ol"), None)
        return iter(()) if top is None else self._listed(top)

    def of_ncx(self, root: etree._Element) -> Iterator[Chapter]:
        nav_map = next(root.iter("{*}navMap"), None)
        return iter(()) if nav_map is None else self._points(nav_map)

    def _listed(self, ordered_list: etree._Element) -> Iterator[Chapter]:
        for entry in ordered_list.iterchildren("{*}li"):
            parts = _parts(entry)
            label = parts.get("a", parts.get("span"))
            href = None if label is None else label.get("href")
            yield from self._chapter(label, href, parts.get("ol"), self._listed)

    def _points(self, parent: etree._Element) -> Iterator[Chapter]:
        for point in parent.iterchildren("{*}navPoint"):
            parts = _parts(point)
            content = parts.get("content")
            href = None if content is None else content.get("src")
            nested = point if "navpoint" in parts else None
            yield from self._chapter(parts.get("navlabel"), href, nested, self._points)

    def _chapter(
        self,
        label: etree._Element | None,
        href: str | None,
        nested: etree._Element | None,
        read: Callable[[etree._Element], Iterator[Chapter]],
    ) -> Iterator[Chapter]:
        if self._left <= 0:
            self.is_cut = True
            return
        most = self._limits.max_scalar_bytes
        title = None if label is None else clean(" ".join(_label_text(label).split()), most)
        # Differs from Shisho: an entry without a title does not take those below it along.
        self._left -= title is not None
        below = () if nested is None else tuple(read(nested))
        if title is None:
            yield from below
        else:
            yield Chapter(title, href=clean(href, most), children=below)


def _parts(entry: etree._Element) -> dict[str, etree._Element]:
    """Return the first child of each name."""
    return {local_name(child): child for child in reversed(entry)}


def _is_toc(nav: etree._Element) -> bool:
    return any(
        word in _TOC
        for name, value in nav.attrib.items()
        if unqualified(str(name)) in ("type", "role")
        for word in str(value).split()
    )


def _label_text(label: etree._Element) -> str:
    text = label.text
    if len(label):
        # Differs from Shisho: text in nested elements belongs to the title, but not how it is pronounced.
        etree.strip_elements(label, "{*}rt", "{*}rp", with_tail=False)
        for line_break in label.iter("{*}br"):
            line_break.text = " "
        text = "".join(map(str, label.itertext()))
    if text and text.strip():
        return text
    image = next(label.iter("{*}img"), None)
    return str((label if image is None else image).get("title" if image is None else "alt", ""))
