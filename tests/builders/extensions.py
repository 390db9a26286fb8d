"""Parsers and enrichers as another plugin might bring them: good, slow, greedy and broken ones."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from datasette_shisho_resync.model import CoverImage, Limits, ParsedFile
from datasette_shisho_resync.workers.extensions import Extensions


def parse_text(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return ParsedFile("file_metadata", title=file.read().decode())


def parse_printing(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    print("printed by a parser", flush=True)
    print("printed by a parser", file=sys.stderr, flush=True)
    os.write(1, b"written by a parser")
    os.write(2, b"written by a parser")
    return ParsedFile("file_metadata", title=f"read {len(sys.stdin.read())} from standard input")


def parse_sleeping(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    time.sleep(float(file.read() or 60))
    return ParsedFile("file_metadata", title="awake")


def parse_awaited(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    """Add a byte to the file that this one names, and wait until somebody lets go on who has seen it."""
    reads = Path(os.fsdecode(file.read()))
    with reads.open("ab") as count:
        count.write(b".")
    while not reads.with_suffix(".seen").exists():
        time.sleep(0.005)
    return ParsedFile("file_metadata", title="awaited")


def parse_greedy(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    hoard = [bytearray(16 * 1024**2) for _ in range(1000)]
    return ParsedFile("file_metadata", title=str(len(hoard)))


def parse_hoarding(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    hoard = bytearray(300 * 1024**2)
    return ParsedFile("file_metadata", title=f"{len(hoard) // 1024**2} MiB")


def parse_exiting(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    os._exit(3)


def parse_leaving(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    raise SystemExit(file.read().decode())


def parse_crashing(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("unreachable")


def parse_raising(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    raise KeyError(file.read().decode())


def parse_recursing(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return parse_recursing(file, name, limits)


def parse_opening(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    with open("/nowhere/at/all", "rb"):
        return ParsedFile("file_metadata")


def parse_covered(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    size = int(file.read())
    return ParsedFile("file_metadata", title="covered", load_cover=lambda: _cover(size))


def parse_badly_covered(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    def load_cover() -> CoverImage | None:
        raise KeyError(file.read().decode())

    return ParsedFile("file_metadata", title="covered", load_cover=load_cover)


def parse_to_unpicklable(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return ParsedFile("file_metadata", title=(lambda: "text"))  # type: ignore[arg-type]


class Foreign(str):
    """A text of a class that whoever has loaded Datasette does not know."""

    def __reduce__(self) -> tuple[object, ...]:
        return _found_in_a_worker, (str(self),)


def _found_in_a_worker(text: str) -> Foreign:
    if "datasette" in sys.modules:
        raise AttributeError("Foreign")
    return Foreign(text)


def parse_to_foreign(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return ParsedFile("file_metadata", title=Foreign("text"))


def parse_to_dict(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return {"title": "text"}  # type: ignore[return-value]


def parse_pid(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return ParsedFile("file_metadata", title=str(os.getpid()), page_count=os.nice(0))


def parse_modules(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    return ParsedFile("file_metadata", tags=tuple(sorted(sys.modules)))


def _cover(size: int) -> CoverImage:
    return CoverImage("0" * 64, "image/jpeg", 1, 1, data=b"x" * size)


def enrich_with_genres(parsed: ParsedFile) -> Mapping[str, object]:
    return {"genres": ["Space opera", f"About {parsed.title}"], "subtitle": ""}


def enrich_with_nonsense(parsed: ParsedFile) -> Mapping[str, object]:
    return {"genres": 7, "colour": "red", "language": "en"}


def enrich_raising(parsed: ParsedFile) -> Mapping[str, object]:
    raise RuntimeError(parsed.title)


EXTENSIONS = Extensions(
    {
        "text": parse_text,
        "printing": parse_printing,
        "sleeping": parse_sleeping,
        "awaited": parse_awaited,
        "greedy": parse_greedy,
        "hoarding": parse_hoarding,
        "exiting": parse_exiting,
        "leaving": parse_leaving,
        "crashing": parse_crashing,
        "raising": parse_raising,
        "recursing": parse_recursing,
        "opening": parse_opening,
        "covered": parse_covered,
        "badlycovered": parse_badly_covered,
        "unpicklable": parse_to_unpicklable,
        "foreign": parse_to_foreign,
        "dict": parse_to_dict,
        "pid": parse_pid,
        "modules": parse_modules,
    }
)
