"""Archive -> `Package`: what the package document of an EPUB says, in one form for all dialects.

Owns where the package document is and how its parts are addressed; what they mean for a book is
`metadata`'s business. ebooklib is not used to read: it loads every item of the book, fails on an
eighth of real ones, loses nested text, and takes six times as long to collect the metadata.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast
from urllib.parse import unquote

from lxml import etree

from ...errors import MediaError, UnreadableFile
from ...model import Limits
from ..archive import Archive, shown_entry
from ..xml import parse_xml

Warn = Callable[[str], None]

_CONTAINER = "META-INF/container.xml"
_PACKAGE_TYPE = "application/oebps-package+xml"
_WRAPPERS = ("dc-metadata", "x-metadata")
_MAX_REFINEMENTS = 5  # of one kind for one element; without a limit they would cost quadratic time

_Terms = Mapping[str, Sequence[etree._Element]]
_Refinements = Mapping[tuple[str, str], Sequence[etree._Element]]


class Statement(NamedTuple):
    """One metadata element: its text, and its attributes by local name."""

    text: str
    attributes: Mapping[str, str]


class Item(NamedTuple):
    """One entry of the manifest; `href` is relative to the package document."""

    id: str
    href: str
    media_type: str
    properties: str

    def has_property(self, name: str) -> bool:
        return name in self.properties.split()


class Reference(NamedTuple):
    """One entry of the EPUB 2 guide."""

    type: str
    href: str


@dataclass(frozen=True, slots=True)
class Package:
    """`path` is the document's own name in the archive. Metadata elements become text when asked for."""

    path: str
    elements: _Terms  # by local name
    properties: _Terms  # `meta` elements by property or name
    refinements: _Refinements  # `meta` elements by the id that they speak of, and by property
    items: tuple[Item, ...]
    spine: tuple[str, ...]
    ncx_id: str
    guide: tuple[Reference, ...]

    def all(self, term: str) -> list[Statement]:
        """Return the Dublin Core elements named `term`, or the EPUB 3 properties that stand for them."""
        found = self.elements.get(term)
        return [_statement(element) for element in found] if found else self.all_meta(f"dcterms:{term}")

    def all_meta(self, name: str) -> list[Statement]:
        """Return the `meta` elements with this property or name that speak of the whole book."""
        return [_statement(element) for element in self.properties.get(name, ())]

    def refined(self, statement: Statement, name: str) -> list[str]:
        """Return what `name` says about `statement`: as its own attribute (EPUB 2), else in refining ones."""
        own = statement.attributes.get(name, "").strip()
        if own:
            return [own]
        refining = self.refinements.get((statement.attributes.get("id", ""), name), ())
        texts = (_statement(element).text.strip() for element in refining[:_MAX_REFINEMENTS])
        return [text for text in texts if text]

    def item(self, item_id: str) -> Item | None:
        return next((item for item in self.items if item.id == item_id), None) if item_id else None


def load_package(archive: Archive, name: str, limits: Limits, warn: Warn) -> Package:
    """Find and read the package document of the EPUB whose path is `name`.

    Raises: UnreadableFile, LimitExceeded.
    """
    path = _package_path(archive, name, limits, warn)
    root = load_document(archive, path, name, limits, warn)
    sections = {local_name(section): section for section in reversed(root)}
    if local_name(root) != "package" and "metadata" not in sections:
        raise UnreadableFile(name, f"{shown_entry(path)} is not a package document")
    elements, properties, refinements = _collected(sections.get("metadata", ()))
    spine = sections.get("spine")
    return Package(
        path=path,
        elements=elements,
        properties=properties,
        refinements=refinements,
        items=tuple(_items(sections.get("manifest", ()))),
        spine=() if spine is None else tuple(itemref.get("idref") or "" for itemref in spine),
        ncx_id="" if spine is None else spine.get("toc") or "",
        guide=tuple(_references(sections.get("guide", ()))),
    )


def load_document(archive: Archive, entry: str, name: str, limits: Limits, warn: Warn) -> etree._Element:
    """Return the root of the XML document `entry`, as well as it can be read.

    Raises: UnreadableFile, LimitExceeded.
    """
    data = archive.read(entry, limits.max_xml_bytes)
    try:
        return parse_xml(data, name, limits)
    except UnreadableFile as error:
        root = parse_xml(data, name, limits, recover=True)
        warn(f"{shown_entry(entry)} is damaged and was read as far as possible ({error.reason}).")
        return root


def resolved(archive: Archive, base: str, href: str) -> str | None:
    """Return the name of the entry that `href`, written in the entry `base`, points to.

    None when it is not in the archive. `..` stops at the archive's root, as EPUB 3.3 says.
    """
    target = href.strip().partition("#")[0]
    if not target:
        return None
    # Differs from Shisho: percent-encoding and `..` are resolved, as writers mean them.
    for path in dict.fromkeys((unquote(target), target)):
        absolute = posixpath.normpath(posixpath.join("/", posixpath.dirname(base), path))
        entry = archive.find(absolute.lstrip("/"))
        if entry is not None:
            return entry
    return None


def local_name(element: etree._Element) -> str:
    """Return the element's name without namespace or prefix, in lower case; none for a comment."""
    tag = element.tag
    return unqualified(tag).lower() if isinstance(tag, str) else ""


def unqualified(name: str) -> str:
    """Return a name without its namespace, or without a prefix that nobody declared."""
    return name[max(name.rfind("}"), name.rfind(":")) + 1 :]


def _package_path(archive: Archive, name: str, limits: Limits, warn: Warn) -> str:
    """Return the package document that the container names, else the first one there is."""
    # Differs from Shisho: the container decides, not the order of the archive.
    try:
        container = load_document(archive, archive.find(_CONTAINER) or _CONTAINER, name, limits, warn)
    except MediaError as error:
        warn(f"{_CONTAINER} could not be used: {error.reason}.")
    else:
        for href in _root_files(container):
            entry = resolved(archive, "", href)
            if entry is not None:
                return entry
        warn(f"{_CONTAINER} names no package document that exists.")
    found = next((entry for entry in archive.names if entry.lower().endswith(".opf")), None)
    if found is None:
        raise UnreadableFile(name, "not an EPUB: it has no package document")
    return found


def _root_files(container: etree._Element) -> Iterator[str]:
    files = [element for element in container.iter("*") if local_name(element) == "rootfile"]
    for file in sorted(files, key=lambda file: file.get("media-type") != _PACKAGE_TYPE):
        yield str(file.get("full-path", ""))


def _collected(metadata: Iterable[etree._Element]) -> tuple[_Terms, _Terms, _Refinements]:
    """Sort the metadata into elements, properties of the book and properties of other elements."""
    found: dict[str, list[etree._Element]] = {}
    properties: dict[str, list[etree._Element]] = {}
    refinements: dict[tuple[str, str], list[etree._Element]] = {}
    for term, element in _flattened(metadata):
        if term != "meta":
            found.setdefault(term, []).append(element)
            continue
        name = (element.get("property") or element.get("name") or "").strip()
        target = (element.get("refines") or "").strip().removeprefix("#")
        if target:
            refinements.setdefault((target, name), []).append(element)
        else:
            properties.setdefault(name, []).append(element)
    return found, properties, refinements


def _flattened(metadata: Iterable[etree._Element]) -> Iterator[tuple[str, etree._Element]]:
    """Yield the elements with their local names; the drafts before EPUB 2 had one more level."""
    for element in metadata:
        term = local_name(element)
        if term in _WRAPPERS:
            yield from _flattened(element)
        elif term:
            yield term, element


def _statement(element: etree._Element) -> Statement:
    attributes = {unqualified(name): value for name, value in _attributes(element)}
    return Statement(attributes.get("content") or _text(element), attributes)


def _attributes(element: etree._Element) -> list[tuple[str, str]]:
    return cast("list[tuple[str, str]]", element.items())


def _text(element: etree._Element) -> str:
    """Return what the element says, with nested elements; where HTML is expected, as HTML."""
    if not len(element):
        return element.text or ""
    # Differs from Shisho: text in nested elements counts.
    if local_name(element) == "description":
        # Once for all children: each by itself would repeat every namespace that the document declares.
        markup = etree.tostring(element, encoding="unicode", with_tail=False)
        return markup[markup.index(">") + 1 : markup.rindex("<")]
    return str(element.xpath("string()"))


def _items(manifest: Iterable[etree._Element]) -> Iterator[Item]:
    for element in manifest:
        get = element.get
        yield Item(get("id") or "", get("href") or "", get("media-type") or "", get("properties") or "")


def _references(guide: Iterable[etree._Element]) -> Iterator[Reference]:
    for element in guide:
        yield Reference((element.get("type") or "").lower(), element.get("href") or "")
