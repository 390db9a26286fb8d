"""The bytes of a sound file -> the tree that `building` makes such a file of."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from .building import Tree

_CONTAINERS = frozenset(
    (
        "moov", "mvex", "moof", "traf", "trak", "tref", "mdia", "minf", "stbl", "udta", "meta", "ilst",
        "----", "©nam", "covr", "trkn", "disk",
    )
)  # fmt: skip
_OBJECT = re.compile(rb"\n\d+ 0 obj\s*(.*?)\s*endobj", re.DOTALL)
_TRAILER = re.compile(rb"trailer\s*(<<.*>>)\s*startxref", re.DOTALL)


def take_apart(kind: str, data: bytes) -> Tree:
    """Raises: KeyError for a kind whose trees are texts."""
    return _PARTS[kind](data)


def _entries(data: bytes) -> Tree:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [
            {"name": name, "content": archive.read(name).decode("latin-1"), "how": "stored"}
            for name in archive.namelist()
        ]
    return {"prefix": "", "entries": entries, "end": "plain", "comment": ""}


def _boxes(data: bytes) -> list[Any]:
    boxes: list[Any] = []
    while data:
        size, raw_name = struct.unpack_from(">I4s", data)
        name, content, data = raw_name.decode("latin-1"), data[8:size], data[size:]
        version_bytes = 4 if name == "meta" else 0 if name in _CONTAINERS else len(content)
        head = [content[:version_bytes].decode("latin-1")] if version_bytes else []
        boxes.append({"box": name, "content": head + _boxes(content[version_bytes:])})
    return boxes


def _objects(data: bytes) -> Tree:
    trailer = _TRAILER.search(data)
    assert trailer, "no PDF as pypdf writes it"
    parts = [match[1].partition(b"\nstream\n") for match in _OBJECT.finditer(data)]
    objects = [
        {
            "text": text.decode("latin-1"),
            "stream": stream.removesuffix(b"endstream").removesuffix(b"\n").decode("latin-1"),
        }
        for text, _, stream in parts
    ]
    return {"objects": objects, "trailer": trailer[1].decode("latin-1")}


_PARTS: Mapping[str, Callable[[bytes], Tree]] = {
    "epub": _entries,
    "cbz": _entries,
    "archive": _entries,
    "m4b": _boxes,
    "pdf": _objects,
}
