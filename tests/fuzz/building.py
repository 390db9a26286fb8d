"""A tree of texts -> the bytes of a file in which everything counted is right: sizes, offsets, checksums.

Texts stand for bytes by Latin-1. Objects are records with fixed keys, lists may have any length. What should
be wrong in a file is changed in its bytes afterwards, by a case's edits.
"""

from __future__ import annotations

import bz2
import json
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Tree = Any
"""What JSON can hold."""

_LENGTH = re.compile(rb"/Length\s+\d+(?!\s+\d+\s+R)")
_ALL = 0xFFFFFFFF


def build(kind: str, tree: Tree) -> bytes:
    """Return the file. Raises: ValueError, TypeError, LookupError, struct.error when it can't be built."""
    return _BUILDERS[kind](tree)


def _latin_1(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _archive(tree: Mapping[str, Any]) -> bytes:
    """Build a ZIP archive; `how` and `end` name, in any order, what is unusual about an entry or the end."""
    data = bytearray(_latin_1(tree["prefix"]))
    directory = bytearray()
    for entry in tree["entries"]:
        record, body = _entry(entry, len(data))
        directory += record
        data += body
    start, count = len(data), len(tree["entries"])
    data += directory
    data += _wide_end(start, len(directory), count) if "wide" in tree["end"].split() else b""
    comment = _latin_1(tree["comment"])
    sizes = struct.pack("<HHLLH", count & 0xFFFF, count & 0xFFFF, len(directory), start, len(comment))
    return bytes(data + b"PK\5\6\0\0\0\0" + sizes + comment)


def _entry(entry: Mapping[str, str], offset: int) -> tuple[bytes, bytes]:
    """Return an entry's record in the directory, and its header with its content."""
    how, name, content = entry["how"].split(), _latin_1(entry["name"]), _latin_1(entry["content"])
    method, packed = _packed(how, content)
    flags, crc = int("encrypted" in how), zlib.crc32(content) ^ ("corrupt" in how)
    extra = b"UT\4\0\0\0\0\0" if "timed" in how else b""
    sizes = [len(packed), len(content)]
    if "wide" in how:
        extra += struct.pack("<HHQQ", 1, 16, len(content), len(packed))
        sizes = [_ALL, _ALL]
    head = struct.pack("<HHHHHLLL", 20, flags, method, 0, 33, crc, *sizes)
    lengths = struct.pack("<HH", len(name), len(extra))
    record = b"PK\1\2\x14\0" + head + lengths + struct.pack("<HHHLL", 0, 0, 0, 0, offset) + name + extra
    return record, b"PK\3\4" + head + lengths + name + extra + packed


def _packed(how: Sequence[str], content: bytes) -> tuple[int, bytes]:
    if "deflated" in how:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return 8, packer.compress(content) + packer.flush()
    if "bzip2" in how:
        return 12, bz2.compress(content)
    return 99 if "strange" in how else 0, content


def _wide_end(start: int, directory_bytes: int, count: int) -> bytes:
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, directory_bytes, start)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, start + directory_bytes, 1)


def _boxes(tree: Sequence[Any]) -> bytes:
    """Build boxes of an MP4 file; a text among them is content as it is."""
    return b"".join(_latin_1(part) if isinstance(part, str) else _box(part) for part in tree)


def _box(box: Mapping[str, Any]) -> bytes:
    content = _boxes(box["content"])
    return struct.pack(">I4s", 8 + len(content), _latin_1(box["box"])) + content


def _pdf(tree: Mapping[str, Any]) -> bytes:
    """Build a PDF of objects that are numbered from 1."""
    data = bytearray(b"%PDF-1.4\n")
    places = []
    for number, item in enumerate(tree["objects"], 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, _pdf_object(item))
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start, count = len(data), len(places) + 1
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    return bytes(data + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (_latin_1(tree["trailer"]), start))


def _pdf_object(item: Mapping[str, str]) -> bytes:
    text, stream = _latin_1(item["text"]), _latin_1(item["stream"])
    if not stream:
        return text
    return _LENGTH.sub(b"/Length %d" % len(stream), text) + b"\nstream\n" + stream + b"\nendstream"


def _xml(tree: Mapping[str, str]) -> bytes:
    try:
        text = tree["text"].encode(tree["encoding"], "xmlcharrefreplace")
    except LookupError:
        text = tree["text"].encode("utf-8", "replace")
    return _latin_1(tree["mark"]) + text


_BUILDERS: Mapping[str, Callable[[Any], bytes]] = {
    "epub": _archive,
    "cbz": _archive,
    "archive": _archive,
    "m4b": _boxes,
    "pdf": _pdf,
    "image": _latin_1,
    "xml": _xml,
    "sidecar": lambda tree: json.dumps(tree).encode(),
    "filename": lambda tree: tree.encode(errors="surrogateescape"),
}
KINDS = tuple(_BUILDERS)
