"""What a PDF says about itself in its two places, and which place is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from lxml import etree
from pypdf import apply_configuration
from pypdf.errors import LimitReachedError
from pypdf.generic import DictionaryObject, StreamObject

from ...errors import LimitExceeded
from ...model import Limits
from ..xml import parse_xml
from .document import entry, raw_entry, text

_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DEFAULT_LANGUAGE = "x-default"

# Both forms of a date: `D:20240131235959+01'00'` and `2024-01-31T23:59:59+01:00`.
_MOMENT = re.compile(
    r"\s*(?:D:)?(?P<year>[0-9]{4})(?:-?(?P<month>[0-9]{2}))?(?:-?(?P<day>[0-9]{2}))?"
    r"(?:[T ]?(?P<hour>[0-9]{2}))?(?::?(?P<minute>[0-9]{2}))?(?::?(?P<second>[0-9]{2}))?(?:\.[0-9]+)?"
    r"\s*(?:(?P<sign>[+-])(?P<zone_hour>[0-9]{2})(?:[':]?(?P<zone_minute>[0-9]{2}))?)?"
)


@dataclass(frozen=True, slots=True)
class Properties:
    """Texts as written; empty where there is none."""

    title: str = ""
    authors: str = ""
    description: str = ""
    keywords: str = ""
    modified: datetime | None = None


def read_info(trailer: DictionaryObject) -> Properties | None:
    """Read the information dictionary; None when there is none."""
    info = entry(trailer, "/Info")
    if not isinstance(info, DictionaryObject):
        return None
    return Properties(
        title=text(raw_entry(info, "/Title")).strip(),
        authors=text(raw_entry(info, "/Author")).strip(),
        description=text(raw_entry(info, "/Subject")).strip(),
        keywords=text(raw_entry(info, "/Keywords")),
        modified=parse_moment(text(raw_entry(info, "/ModDate"))),
    )


def read_xmp(catalog: DictionaryObject, name: str, limits: Limits) -> Properties | None:
    """Read the document's XMP packet; None when there is none. Raises: UnreadableFile, LimitExceeded."""
    stream = entry(catalog, "/Metadata")
    if not isinstance(stream, StreamObject):
        return None
    with apply_configuration(zlib_maximum_output_length=limits.max_xml_bytes):
        try:
            data = stream.get_data()
        except LimitReachedError as error:
            raise LimitExceeded(
                name, f"larger than max_xml_bytes ({limits.max_xml_bytes:,} bytes)"
            ) from error
    root = parse_xml(data, name, limits, recover=True)
    return Properties(
        title=_joined(root, _DC + "title"),
        authors=_joined(root, _DC + "creator"),
        description=_joined(root, _DC + "description"),
        modified=parse_moment(_joined(root, _XMP + "ModifyDate")),
    )


def _joined(root: etree._Element, tag: str) -> str:
    return ", ".join(dict.fromkeys(value for raw in _values(root, tag) if (value := raw.strip())))


def _values(root: etree._Element, tag: str) -> Iterator[str]:
    """Yield a property's values: list items, plain text, or an attribute of the description."""
    for element in root.iter(tag):
        items = list(element.iter(_RDF + "li")) or [element]
        texts = [("".join(map(str, item.itertext())), item.get(_LANGUAGE)) for item in items]
        translations = [entry for entry in texts if entry[0].strip() and entry[1]]
        # Differs from Shisho: it joins the translations of a text.
        if translations and element.find(_RDF + "Alt") is not None:
            texts = [min(translations, key=lambda entry: entry[1] != _DEFAULT_LANGUAGE)]
        yield from (value for value, _ in texts)
    for description in root.iter(_RDF + "Description"):
        yield description.get(tag) or ""


def merged(info: Properties | None, xmp: Properties | None) -> Properties:
    """Fill each property from the place written last, else from the other; keywords stand in Info alone.

    Source: spec 4.4.
    """
    if info is None or xmp is None:
        return info or xmp or Properties()
    first, second = (xmp, info) if _is_newer(xmp, info) else (info, xmp)
    return Properties(
        title=first.title or second.title,
        authors=first.authors or second.authors,
        description=first.description or second.description,
        keywords=info.keywords,
    )


def _is_newer(xmp: Properties, info: Properties) -> bool:
    if info.modified is None:
        return True
    return xmp.modified is not None and info.modified < xmp.modified


def parse_moment(written: str) -> datetime | None:
    """Read a PDF or XMP date leniently, UTC where it has no zone; None when it is no date."""
    match = _MOMENT.match(written)
    if match is None:
        return None
    part = {key: int(value) for key, value in match.groupdict("0").items() if key != "sign"}
    offset = timedelta(hours=part["zone_hour"], minutes=part["zone_minute"])
    try:
        zone = timezone(-offset if match["sign"] == "-" else offset)
        return datetime(
            part["year"],
            part["month"] or 1,
            part["day"] or 1,
            part["hour"],
            part["minute"],
            part["second"],
            tzinfo=zone,
        )
    except ValueError:
        return None
