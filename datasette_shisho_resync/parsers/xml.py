"""Bytes -> lxml tree at bounded cost, whatever the bytes are. Knows no format that is written in XML.

Everything that makes XML dangerous is taken out before libxml2 sees the text: the document type
goes, so nothing can be declared, loaded or expanded, and named entities become characters. What is
left is counted by its markup, so that a tree beyond the limits is never built.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from html.entities import html5
from typing import cast

from lxml import etree

from ..errors import LimitExceeded, UnreadableFile
from ..model import Limits
from ..normalize.text import clean

_UTF_32_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF_16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNMARKED = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{1,200}?encoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
# These decode text that isn't XML, or take quadratic time.
_NO_XML_ENCODINGS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
_ASCII_WITH_WIDE_NAME = re.compile(r"utf-(16|32)")

_DOCTYPE = b"<!doctype"
_DOCTYPE_PART = re.compile(rb"""["'\[\]>]|<!--|<\?""")
_CLOSED_BY = {b'"': b'"', b"'": b"'", b"<!--": b"-->", b"<?": b"?>"}

_NAMED_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z_:][\w:.-]*);")
_BARE_AMPERSAND = re.compile(rb"&(?!#\d{1,7};|#x[0-9A-Fa-f]{1,6};|\w{1,40};)")
_CDATA = b"<![CDATA["
_NOT_IN_XML = bytes(code for code in range(32) if code not in b"\t\n\r")

_MAX_REASON_BYTES = 200
_LIBXML_DEPTH = 256  # deeper documents are refused by libxml2 itself


def parse_xml(data: bytes, name: str, limits: Limits, *, recover: bool = False) -> etree._Element:
    """Return the root element of the document in `data`; `name` is its path, for messages.

    With `recover`, make the best of a document that isn't well-formed.

    Raises: UnreadableFile, LimitExceeded.
    """
    _check_bytes(data, name, limits)
    text = _as_utf8(data, name, recover)
    if recover:  # before anything is looked for, which such a character could hide
        text = text.translate(None, _NOT_IN_XML)
    _check_markup(text, name, limits)
    text = _without_doctype(text, name, limits)
    if b"&" in text:
        text = _without_named_entities(text)
    if recover:
        text = _BARE_AMPERSAND.sub(b"&amp;", text)
    root = _parsed(text, name, limits, recover)
    if text.count(b"<") > limits.max_xml_depth and _is_deeper_than(limits.max_xml_depth)(root):
        raise _too_deep(name, limits)
    return root


def _check_bytes(data: bytes, name: str, limits: Limits) -> None:
    if len(data) > limits.max_xml_bytes:
        raise LimitExceeded(
            name, f"an XML document larger than max_xml_bytes ({limits.max_xml_bytes:,} bytes)"
        )


def _check_markup(text: bytes, name: str, limits: Limits) -> None:
    """Bound the tree before it is built: each node of it needs one of these characters in the text.

    Counting characters costs a tenth of the parsing, and nothing for a document of ordinary length;
    counting the parser's events would cost two thirds.
    """
    if len(text) <= limits.max_xml_nodes:
        return
    nodes = text.count(b"<") - text.count(b"</")
    attributes_and_references = max(text.count(b"="), text.count(b"&"))
    # To add one to the namespaces of an element takes libxml2 time that grows with their number.
    if text.count(b"xmlns:") * 10 > limits.max_xml_nodes:
        raise _too_many_nodes(name, limits)
    if nodes > limits.max_xml_nodes or 2 * attributes_and_references > 3 * limits.max_xml_nodes:
        raise _too_many_nodes(name, limits)


def _too_many_nodes(name: str, limits: Limits) -> LimitExceeded:
    return LimitExceeded(name, f"an XML document of more than max_xml_nodes ({limits.max_xml_nodes:,}) nodes")


def _too_deep(name: str, limits: Limits) -> LimitExceeded:
    return LimitExceeded(name, f"an XML document nested deeper than max_xml_depth ({limits.max_xml_depth})")


@lru_cache(maxsize=8)
def _is_deeper_than(depth: int) -> etree.XPath:
    """Compile a test that costs 3 % of the parsing; a walk in Python costs a quarter of it."""
    return etree.XPath("boolean(" + "/*" * (min(depth, _LIBXML_DEPTH) + 1) + ")")


def _parsed(text: bytes, name: str, limits: Limits, recover: bool) -> etree._Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        recover=recover,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
    )
    try:
        root = cast("etree._Element | None", etree.fromstring(text.lstrip(), parser))
    except (etree.LxmlError, ValueError) as error:
        if "Excessive depth" in str(error):
            raise _too_deep(name, limits) from error
        reason = str(error.msg if isinstance(error, etree.XMLSyntaxError) else error)
        # The message may have several lines, and names of the document as they are, at their full length.
        shown = clean(" ".join(reason.split()), _MAX_REASON_BYTES)
        raise UnreadableFile(name, f"not well-formed XML: {shown}") from error
    if root is None:
        raise UnreadableFile(name, "not XML")
    return root


def _as_utf8(data: bytes, name: str, lenient: bool) -> bytes:
    """Return the document in UTF-8. What already is comes back as it is: libxml2 checks it anyway."""
    encoding = _encoding(data)
    if encoding == "utf-8" and not lenient:
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        if not lenient:
            raise UnreadableFile(name, f"text that is not in its encoding: {error}") from error
        text = data.decode("cp1252" if encoding == "utf-8" else encoding, errors="replace")
    return text.removeprefix("\ufeff").encode("utf-8", errors="replace")


def _encoding(data: bytes) -> str:
    start = data[:4]
    if start in _UTF_32_BOMS:
        return "utf-32"
    if start[:2] in _UTF_16_BOMS:
        return "utf-16"
    for opening, encoding in _UNMARKED:
        if start.startswith(opening):
            return encoding
    declared = None if start.startswith(codecs.BOM_UTF8) else _DECLARED.match(data, 0, 1024)
    return _known_encoding(declared[1].decode("ascii")) if declared else "utf-8"


def _known_encoding(declared: str) -> str:
    try:
        encoding = codecs.lookup(declared).name
        b"<".decode(encoding)  # fails for codecs that don't decode text
    except (LookupError, UnicodeError):
        return "utf-8"
    # A byte-wise readable declaration proves that the document is not in UTF-16 or UTF-32.
    if encoding in _NO_XML_ENCODINGS or _ASCII_WITH_WIDE_NAME.match(encoding):
        return "utf-8"
    # Writers that say Latin-1 mean the Windows code page: its dashes and quotes are not controls.
    return "cp1252" if encoding == "iso8859-1" else encoding


def _without_doctype(text: bytes, name: str, limits: Limits) -> bytes:
    """Cut the document type out, with all that it declares."""
    start = _doctype_start(text)
    if start is None:
        return text
    position, depth = start + len(_DOCTYPE), 0
    for _ in range(limits.max_xml_nodes):
        part = _DOCTYPE_PART.search(text, position)
        if part is None:
            raise UnreadableFile(name, "an XML document type without an end")
        mark, position = part[0], part.end()
        if mark in _CLOSED_BY:
            end = text.find(_CLOSED_BY[mark], position)
            position = len(text) if end < 0 else end + len(_CLOSED_BY[mark])
        elif mark == b">" and depth <= 0:
            return text[:start] + text[position:]
        else:
            depth += {b"[": 1, b"]": -1}.get(mark, 0)
    raise _too_many_nodes(name, limits)


def _doctype_start(text: bytes) -> int | None:
    """Return where the prolog's document type starts; comments and instructions may stand before it."""
    position = text.find(b"<")
    while position >= 0:
        if text[position : position + len(_DOCTYPE)].lower() == _DOCTYPE:
            return position
        opening = next((mark for mark in (b"<?", b"<!--") if text.startswith(mark, position)), None)
        end = text.find(_CLOSED_BY[opening], position + len(opening)) if opening else -1
        position = text.find(b"<", end) if end >= 0 else -1
    return None


def _without_named_entities(text: bytes) -> bytes:
    """Turn `&nbsp;` and its like into numbers, and names that nobody knows into plain text."""
    pieces = []
    position = 0
    while (start := text.find(_CDATA, position)) >= 0 and (end := text.find(b"]]>", start)) >= 0:
        pieces += [_NAMED_ENTITY.sub(_numbered, text[position:start]), text[start:end]]
        position = end
    pieces.append(_NAMED_ENTITY.sub(_numbered, text[position:]))
    return b"".join(pieces)


def _numbered(entity: re.Match[bytes]) -> bytes:
    characters = html5.get(entity[1].decode("ascii") + ";")
    if characters is None:
        return b"&amp;" + entity[1] + b";"
    return "".join(f"&#{ord(character)};" for character in characters).encode("ascii")
