"""Titles: their sort form, the numbers that comics carry in them, and names made from them."""

from __future__ import annotations

import re

from ..model import SeriesEntry
from .numbers import CHAPTER, VOLUME, padded_number, parse_number_range
from .text import cut_to_bytes

_ARTICLES = ("the ", "a ", "an ")
_LETTERS = {VOLUME: "v", CHAPTER: "c"}
_MAX_LENGTH = 1_000  # of a title that is searched for numbers

_NUMBER_FOLLOWS = r"\s*(?=[+-]?[0-9])"
# Differs from Shisho: a word boundary before `chapter`, `ch` and `vol`, so Mach 5 is no chapter.
_WORD_START = r"(?<![^\W_])"
_MARKED_NUMBERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(mark + _NUMBER_FOLLOWS, re.IGNORECASE), unit)
    for mark, unit in (
        (rf"{_WORD_START}chapter", CHAPTER),
        (rf"{_WORD_START}ch\.?", CHAPTER),
        (r"\sc", CHAPTER),
        (r"#", VOLUME),
        (r"\sv", VOLUME),
        (rf"{_WORD_START}volume", VOLUME),
        (rf"{_WORD_START}vol\.?", VOLUME),
    )
)
_BARE_NUMBER = re.compile(r"\s(?=[+-]?[0-9][0-9.]*(?:[ \t]*[-–—][ \t]*[+-]?[0-9.]+)*$)")
_SERIES_NUMBER = re.compile(r"\s([vc])(?=[+-]?[0-9.])")

_NUMBERISH = r"[-+0-9.–—\s]"
_GROUPINGS = tuple(
    re.compile(rf"(?P<name>.+?)\s*{rest}", re.DOTALL)
    for rest in (
        rf"#(?P<number>{_NUMBERISH}*)",
        rf",\s*[Bb]ook\s+(?P<number>{_NUMBERISH}+)",
        rf"[-–]\s*[Vv]ol(?:ume)?\.?(?P<number>{_NUMBERISH}+)",
        rf"\([Bb]ook\s+(?P<number>{_NUMBERISH}+)\)",
        rf"\((?P<number>{_NUMBERISH}+)\)",
    )
)

_BETWEEN_GROUPINGS = re.compile(r";|(?<=[0-9]),(?=[^#;]*#)")

# What stands before a part's number is cut off apart: two runs of blanks in one search cost cubic time.
_BEFORE_PART = re.compile(r"[\s,:._-]+\Z")
_PART = re.compile(
    rf"[(\[]?{_WORD_START}(?P<mark>part|pt|disc|disk|cd|track|chapter|teil|kapitel)?[\s._#-]*"
    r"(?P<number>\d+)(?P<total>\s*(?:of|/)\s*\d+)?[)\]]?\s*$",
    re.IGNORECASE,
)
_LEADING_NUMBER = re.compile(r"^\s*(?P<number>\d+)[\s._-]+")

_MAX_FOLDER_PART_BYTES = 200
_UNSAFE_IN_PATHS = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')


def sort_title(title: str) -> str:
    """Put a leading English article behind: `Hobbit, The`.

    Source: spec 6.1. Series names are sorted by the same rule.
    """
    title = title.strip()
    for article in _ARTICLES:
        if title[: len(article)].lower() == article:
            return f"{title[len(article) :].strip()}, {title[: len(article) - 1]}"
    return title


def normalize_comic_title(title: str) -> tuple[str, str | None]:
    """Write the number at the end of a comic's title as ` v001` or ` c001`.

    Returns the title and the unit found; the title as it was and None when there is no number.
    Source: spec 6.4.
    """
    text = title.strip()
    if len(text) > _MAX_LENGTH:
        return title, None
    start, end, unit = _find_trailing_number(text)
    base, numbers = text[:start].rstrip(), parse_number_range(text[end:])
    if not base or numbers is None:
        return title, None
    return base + _number_suffix(SeriesEntry(base, *numbers, unit)), unit


def series_from_title(title: str) -> SeriesEntry | None:
    """Read series, number and unit from a title that ends in ` v001` or ` c001`.

    Source: spec 5.4.
    """
    title = title.strip()
    match = _last(_SERIES_NUMBER, title)
    numbers = parse_number_range(title[match.end() :]) if match else None
    if match is None or numbers is None:
        return None
    name = title[: match.start()].rstrip()
    return SeriesEntry(name, *numbers, VOLUME if match[1] == "v" else CHAPTER) if name else None


def m4b_groupings(text: str) -> tuple[SeriesEntry, ...]:
    """Read all series of a grouping, such as `Mistborn #4; Cosmere #16`, as Audiobookshelf writes them."""
    if len(text) > _MAX_LENGTH:
        return ()
    parts = [part for part in _BETWEEN_GROUPINGS.split(text) if part.strip()]
    found = [m4b_grouping(part) for part in parts]
    if not any(found):
        return ()
    return tuple(entry or SeriesEntry(part.strip()) for part, entry in zip(parts, found, strict=True))


def m4b_grouping(text: str) -> SeriesEntry | None:
    """Read a series and its number from an audiobook's grouping, such as `Name, Book 2`.

    Source: spec 4.3.
    """
    text = text.strip()
    if len(text) > _MAX_LENGTH:
        return None
    for pattern in _GROUPINGS:
        if match := pattern.fullmatch(text):
            numbers = parse_number_range(match["number"]) or (None, None)
            return SeriesEntry(match["name"].strip(), *numbers)
    return None


def without_part_number(text: str) -> str:
    """Cut off what numbers the parts of one work: `Dune part 2`, `02 - Dune`, `Dune (2 of 3)` are `Dune`."""
    if len(text) > _MAX_LENGTH:
        return text.strip()
    text = _LEADING_NUMBER.sub("", text)
    part = _PART.search(text)
    return _without_part(text, part) if part else text.strip()


def title_of_whole(title: str, file_name: str) -> str | None:
    """Return what the title of one part says about the whole; None when it only counts.

    A bare number is the part's where the file's name counts alike: `Catch 22` is not part 22.
    """
    part = _PART.search(title) if len(title) <= _MAX_LENGTH else None
    if part is None:
        return title
    is_marked = part["mark"] or part["total"]
    if not is_marked and int(part["number"]) not in _numbers_of_part(file_name):
        return title
    return _without_part(title, part) or None


def _without_part(text: str, part: re.Match[str]) -> str:
    return _BEFORE_PART.sub("", text[: part.start()]).strip()


def _numbers_of_part(file_name: str) -> set[int]:
    stem = without_extension(file_name)
    found = (_LEADING_NUMBER.search(stem), _PART.search(stem))
    return {int(match["number"]) for match in found if match}


def comic_display_name(title: str | None, series: SeriesEntry | None, file_name: str) -> str:
    """Return the name shown for a CBZ file; empty when nothing is left of its file name.

    Source: spec 6.5.
    """
    title = (title or "").strip()
    if title and not has_bracketed(title, "[", "]"):
        return title
    if series and series.name.strip():
        return series.name.strip() + _number_suffix(series)
    name = without_bracketed(without_extension(file_name), "[", "]")
    name = " ".join(without_bracketed(name, "(", ")").split())
    return normalize_comic_title(name)[0]


def organized_folder_name(title: str, author: str | None, series: SeriesEntry | None, file_type: str) -> str:
    """Return `[Author] Title` as Shisho names the folder of a book that lies in a library's root.

    Source: spec 6.6.
    """
    suffix = _number_suffix(series) if series and file_type == "cbz" else ""
    numbered = series_from_title(title) if suffix else None
    folder = _folder_part((numbered.name if numbered else title) + suffix)
    return f"[{_folder_part(author)}] {folder}" if author and author.strip() else folder


def without_extension(file_name: str) -> str:
    """Return the name up to its last dot."""
    return file_name.rpartition(".")[0] if "." in file_name else file_name


def has_bracketed(text: str, opening: str, closing: str) -> bool:
    start = text.find(opening)
    return start >= 0 and text.find(closing, start) >= 0


def without_bracketed(text: str, opening: str, closing: str) -> str:
    """Cut out everything from each opening bracket to the next closing one."""
    pieces, position = [], 0
    while (start := text.find(opening, position)) >= 0 and (end := text.find(closing, start)) >= 0:
        pieces.append(text[position:start])
        position = end + 1
    return "".join([*pieces, text[position:]])


def without_people(name: str) -> str:
    """Cut the authors in `[]` and the narrators in `{}` out of the name of a file or folder."""
    return without_bracketed(without_bracketed(name, "[", "]"), "{", "}").strip()


def _find_trailing_number(text: str) -> tuple[int, int, str]:
    """Return where the mark starts, where the number does, and the unit; the first mark decides."""
    for pattern, unit in _MARKED_NUMBERS:
        if match := _last(pattern, text):
            return match.start(), match.end(), unit
    bare = _BARE_NUMBER.search(text)
    return (bare.start(), bare.end(), VOLUME) if bare else (0, 0, VOLUME)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    match = None
    for match in pattern.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return match


def _number_suffix(series: SeriesEntry) -> str:
    if series.number is None:
        return ""
    end = "" if series.number_end is None else f"-{padded_number(series.number_end)}"
    return f" {_LETTERS.get(series.unit or VOLUME, 'v')}{padded_number(series.number)}{end}"


def _folder_part(text: str) -> str:
    text = " ".join(_UNSAFE_IN_PATHS.sub("", text).split()).strip(" .")
    return cut_to_bytes(text, _MAX_FOLDER_PART_BYTES).strip(" .") or "Unknown"
