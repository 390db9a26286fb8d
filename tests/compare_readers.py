"""Compares what this package reads in media files with what `ebook-meta` and `ffprobe` read.

    python tests/compare_readers.py FOLDER

Prints how many files of each type were read or refused and why, a line for each field, and every
disagreement with its reason; ends with 1 when one has none. A tool that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lxml import etree

from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import FileReading, FileStatus, ParsedFile, ReadRequest
from datasette_shisho_resync.normalize.dates import parse_date
from datasette_shisho_resync.normalize.identifiers import identifier
from datasette_shisho_resync.normalize.language import language_tag
from datasette_shisho_resync.normalize.names import split_names
from datasette_shisho_resync.normalize.text import html_to_text
from datasette_shisho_resync.reading import read_file

PARSERS = default_extensions().parsers
AUDIO = ("m4b", "m4a", "mp4")
EXTENSIONS = replace(default_extensions(), parsers={**PARSERS, **dict.fromkeys(AUDIO, PARSERS["m4b"])})
CODECS = {"aac": "AAC", "alac": "ALAC", "ac3": "AC3", "eac3": "EAC3", "mp3": "MP3"}
UNKNOWN = "Unknown"  # what calibre says where a book says nothing

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """One field of one file. `theirs` has no value where the tool does not look for one."""

    path: Path
    tool: str
    field: str
    ours: Any
    theirs: Any

    @property
    def is_same(self) -> bool:
        if self.field == "duration":
            return _is_near(self.ours, self.theirs)
        return bool(self.ours == self.theirs)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("folder", type=Path, metavar="FOLDER")
    folder = arguments.parse_args().folder.resolve()
    suffixes = tuple(f".{name}" for name in EXTENSIONS.parsers)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in suffixes)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        readings = dict(zip(files, threads.map(read, files), strict=True))
        theirs = dict(zip(files, threads.map(asked, files), strict=True))
    print_files(readings, theirs)
    fields = list(compared(readings, theirs))
    print_fields(fields)
    return print_differences([f for f in fields if not f.is_same])


def read(path: Path) -> FileReading:
    return read_file(ReadRequest(str(path), (str(path.parent),)), EXTENSIONS)


def tool_for(path: Path) -> str:
    return "ffprobe" if path.suffix.lower()[1:] in AUDIO else "ebook-meta"


# --- what the other tools say ---------------------------------------------------------------------


def asked(path: Path) -> Values | None:
    """Return what the other tool read: None when it could not, nothing when it is not installed."""
    tool = tool_for(path)
    if not shutil.which(tool):
        return {}
    return ffprobe(path) if tool == "ffprobe" else ebook_meta(path)


def ffprobe(path: Path) -> Values | None:
    wanted = ["-show_format", "-show_streams", "-show_chapters", "-of", "json"]
    answer = subprocess.run(["ffprobe", "-v", "quiet", *wanted, str(path)], capture_output=True, check=False)
    if answer.returncode:
        return None
    found = json.loads(answer.stdout)
    tags = {key.lower(): value for key, value in found["format"].get("tags", {}).items()}
    sound: dict[str, Any] = next((s for s in found["streams"] if s.get("codec_type") == "audio"), {})
    return {
        "title": tags.get("title"),
        "authors": split_names(tags.get("artist") or tags.get("album_artist") or ""),
        "narrators": split_names(tags.get("composer") or ""),
        "genres": split_names(tags.get("genre") or ""),
        "description": html_to_text(tags.get("description") or tags.get("synopsis") or ""),
        "release_date": parse_date(tags.get("date")),
        "duration": float(sound.get("duration") or found["format"].get("duration") or 0),
        "codec": CODECS.get(sound.get("codec_name", "")),
        "chapters": tuple(
            (round(float(c["start_time"]) * 1000), c.get("tags", {}).get("title", ""))
            for c in found["chapters"]
        ),
        "cover": any(s.get("disposition", {}).get("attached_pic") for s in found["streams"]),
    }


_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


def ebook_meta(path: Path) -> Values | None:
    with tempfile.TemporaryDirectory() as folder:
        opf = Path(folder) / "metadata.opf"
        subprocess.run(["ebook-meta", f"--to-opf={opf}", str(path)], capture_output=True, check=False)
        if not opf.exists():
            return None
        root = etree.fromstring(opf.read_bytes())
    meta = {m.get("name"): m.get("content") for m in root.iter(_OPF + "meta")}
    creators = [e for e in root.iter(_DC + "creator") if e.get(_OPF + "role") == "aut"]
    return {
        "title": _first(root, "title"),
        "authors": tuple(e.text for e in creators if e.text != UNKNOWN),
        "publisher": _first(root, "publisher"),
        "description": html_to_text(_first(root, "description") or ""),
        "language": language_tag(_first(root, "language")),
        "release_date": parse_date(_first(root, "date")),
        "genres": tuple(e.text for e in root.iter(_DC + "subject")),
        "series": meta.get("calibre:series"),
        "series_number": float(meta.get("calibre:series_index") or 0),
        "identifiers": tuple(sorted(_identifiers(root))),
    }


def _identifiers(root: etree._Element) -> Iterator[str]:
    for element in root.iter(_DC + "identifier"):
        scheme = element.get(_OPF + "scheme", "")
        found = identifier(element.text or "", scheme)
        if found and scheme.lower() not in ("calibre", "uuid"):  # calibre makes these itself
            yield found.value


def _first(root: etree._Element, term: str) -> str | None:
    return next((e.text for e in root.iter(_DC + term) if e.text and e.text != UNKNOWN), None)


# --- comparing ------------------------------------------------------------------------------------


def ours(parsed: ParsedFile, tool: str) -> Values:
    series = parsed.series[0] if parsed.series else None
    codec = (parsed.audiobook_codec or "").removesuffix("v2").removesuffix("-LC").rpartition("-")[2]
    return {
        "title": parsed.title,
        "authors": tuple(a.name for a in parsed.authors),
        "narrators": parsed.narrators,
        "genres": parsed.genres if tool == "ffprobe" else (*parsed.genres, *parsed.tags),
        "description": parsed.description,
        "publisher": parsed.publisher,
        "language": parsed.language,
        "release_date": parsed.release_date,
        "series": series.name if series else None,
        "series_number": series.number if series else None,
        "identifiers": tuple(sorted(i.value for i in parsed.identifiers if i.type != "uuid")),
        "duration": parsed.audiobook_duration_seconds,
        "codec": codec,
        "chapters": tuple((c.start_timestamp_ms, c.title) for c in parsed.chapters),
        "cover": parsed.cover is not None,
    }


def compared(
    readings: Mapping[Path, FileReading], theirs: Mapping[Path, Values | None]
) -> Iterator[Compared]:
    for path, reading in readings.items():
        if reading.parsed is not None:
            tool = tool_for(path)
            values = ours(reading.parsed, tool)
            for field, value in (theirs[path] or {}).items():
                yield Compared(path, tool, field, _folded(values[field]), _folded(value))


def _is_near(ours: float | None, theirs: float | None) -> bool:
    return abs((ours or 0) - (theirs or 0)) <= 0.1


def _folded(value: Any) -> Any:
    """Return a value in the form in which equal ones are equal; None where there is none."""
    if isinstance(value, tuple):
        return tuple(_folded(entry) for entry in value) or None
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).split()) or None
    return value or None


# --- why they differ ------------------------------------------------------------------------------


def _joined(value: Any) -> str:
    return ",".join(value or ()).replace(" ", "")


def _is_file_name(c: Compared) -> bool:
    return bool(c.theirs == _folded(c.path.stem.replace("_", " ")))


def _is_the_day_beside(c: Compared) -> bool:
    return bool(c.ours and c.theirs and abs(c.ours - c.theirs) <= timedelta(days=1))


def _is_in_november(c: Compared) -> bool:
    return bool(c.theirs and (c.theirs.month, c.theirs.day) == (11, 15))


Explains = Callable[[Compared], bool]
EXPLANATIONS: tuple[tuple[str, str, Explains], ...] = (
    (
        "title authors description genres series series_number publisher release_date language",
        "ebook-meta reads no ComicInfo: its title is the file's name, its language the reader's",
        lambda c: c.path.suffix.lower() == ".cbz",
    ),
    (
        "title authors",
        "ebook-meta believes a PDF's XMP and splits no authors at commas; we do as Shisho",
        lambda c: c.path.suffix.lower() == ".pdf",
    ),
    (
        "description genres",
        "ebook-meta takes a PDF's subject for a tag; for Shisho it is the description",
        lambda c: c.path.suffix.lower() == ".pdf",
    ),
    ("language", "ebook-meta takes the reader's for a PDF that names none", lambda c: c.ours is None),
    ("language", "ebook-meta drops the region", lambda c: str(c.ours).partition("-")[0] == c.theirs),
    ("title", "ebook-meta finds no package and shows the file's name", _is_file_name),
    (
        "title",
        "ebook-meta joins the subtitle to the title",
        lambda c: str(c.theirs).startswith(f"{c.ours}: "),
    ),
    ("genres", "ebook-meta splits subjects at commas", lambda c: _joined(c.ours) == _joined(c.theirs)),
    ("series", "ebook-meta knows no collection without a type", lambda c: c.theirs is None),
    ("authors", "ebook-meta takes no creator with another role than `aut`", lambda c: c.theirs is None),
    (
        "release_date",
        "ebook-meta shows what calibre writes for no date",
        lambda c: c.ours is None and c.theirs is not None and c.theirs.year == 101,
    ),
    ("release_date", "ebook-meta turns a day into local time", _is_the_day_beside),
    ("release_date", "ebook-meta puts a lone year into November", _is_in_november),
    (
        "duration",
        "ffprobe measures the fragments that are there; we believe the header",
        lambda c: bool(c.ours) and not c.theirs,
    ),
    ("codec", "ffprobe does not say `Unknown`, as Shisho does", lambda c: c.ours == "Unknown"),
    (
        "authors genres",
        "ffprobe reads the first of several values",
        lambda c: c.tool == "ffprobe" and (c.ours or ())[: len(c.theirs or ())] == c.theirs,
    ),
)


def reason_for(difference: Compared) -> str | None:
    for fields, why, explains in EXPLANATIONS:
        if difference.field in fields.split() and explains(difference):
            return why
    return None


# --- printing -------------------------------------------------------------------------------------


def print_files(readings: Mapping[Path, FileReading], theirs: Mapping[Path, Values | None]) -> None:
    print(f"{'type':6}{'files':>7}{'read':>7}{'refused':>9}{'they refuse':>13}")
    for suffix in sorted({path.suffix.lower() for path in readings}):
        paths = [path for path in readings if path.suffix.lower() == suffix]
        count = sum(readings[path].status is FileStatus.OK for path in paths)
        refused = sum(theirs[path] is None for path in paths)
        print(f"{suffix[1:]:6}{len(paths):7}{count:7}{len(paths) - count:9}{refused:13}")
    for path, reading in readings.items():
        shown = f"{path}: "
        if reading.status is not FileStatus.OK:
            they = "reads it" if theirs[path] else "refuses it too"
            reason = (reading.error or "").removeprefix(shown)
            print(f"refused {path.name}\n    {reason} ({tool_for(path)} {they})")
        for warning in (*reading.warnings, *(reading.parsed.warnings if reading.parsed else ())):
            print(f"warning {path.name}\n    {warning.removeprefix(shown)}")


def print_fields(fields: list[Compared]) -> None:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for f in fields:
        kind = "same" if f.is_same else "differ" if f.ours and f.theirs else "ours" if f.ours else "theirs"
        counts[f.tool, f.field].update([kind if f.ours or f.theirs else "neither"])
    print(f"\n{'tool':12}{'field':16}{'same':>7}{'differ':>8}{'only ours':>11}{'only theirs':>13}")
    for (tool, field), count in counts.items():
        values = f"{count['same']:7}{count['differ']:8}{count['ours']:11}{count['theirs']:13}"
        print(f"{tool:12}{field:16}{values}")


def print_differences(differences: list[Compared]) -> int:
    by_reason: dict[str | None, list[Compared]] = defaultdict(list)
    for difference in differences:
        by_reason[reason_for(difference)].append(difference)
    unexplained = by_reason.pop(None, [])
    for why, explained in by_reason.items():
        print(f"\n{len(explained)} x {why}")
        _print_values(explained)
    print(f"\n{len(unexplained)} disagreements without a reason")
    _print_values(unexplained)
    return 1 if unexplained else 0


def _print_values(differences: list[Compared]) -> None:
    for d in differences:
        print(f"    {d.field} {d.path.name}")
        print(f"        ours   {d.ours!r:.150}\n        theirs {d.theirs!r:.150}")


if __name__ == "__main__":
    sys.exit(main())
