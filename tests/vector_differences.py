"""The recorded cases in which we differ from Shisho on purpose: rule -> case -> what we say instead, and why.

    python tests/vector_differences.py

prints for each rule how many cases read as in Shisho, and the others with their reasons.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from builders.images import png
from rule_vectors import VECTORS, load

from datasette_shisho_resync.model import Chapter, Identifier

FRONT = png(6, 9)
"""The image that stands for every recorded EPUB cover."""


class Difference(NamedTuple):
    """`ours` in the form of the rule's test; of EPUB and ComicInfo only the fields that differ."""

    ours: Any
    why: str


_NAV = (
    Chapter("One", href="c1.xhtml", children=(Chapter("One A", href="c1.xhtml#a"),)),
    Chapter("Two", href="c2.xhtml"),
    Chapter("Part", children=(Chapter("Three", href="c3.xhtml"),)),
    Chapter("Four bold end", href="c4.xhtml"),
)
_IDS = (
    Identifier("isbn_13", "9780316769488"),
    Identifier("uuid", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
    Identifier("asin", "B08N5WRWNW"),
    Identifier("goodreads", "12"),
)
_UUID_URN = "URN:UUID:A1B2C3D4-E5F6-7890-ABCD-EF1234567890"

DIFFERENCES: dict[str, dict[str, Difference]] = {
    "identifiers": {
        f"detect {_UUID_URN}": Difference("uuid", "a URN is one in any case"),
        "normalize ISBN-10: 0316769487": Difference("0316769487", "the 10 belongs to the label"),
        "normalize ISBN-13: 9780316769488": Difference("9780316769488", "the 13 belongs to the label"),
    },
    "language": {
        "und-US": Difference(None, "an undetermined language is none, wherever it is spoken"),
    },
    "sort_name": {
        "Ursula K. Le Guin": Difference("Le Guin, Ursula K.", "a capitalised Le is part of the surname"),
        "Smith, John": Difference("Smith, John", "it is inverted already"),
        "Henry V": Difference("Henry V", "a regnal number is no suffix of a surname"),
        "Jack Ma": Difference("Ma, Jack", "a surname, not a degree"),
        "Yo-Yo Ma": Difference("Ma, Yo-Yo", "a surname, not a degree"),
        "Kim Do": Difference("Do, Kim", "a surname, not a degree"),
        "John Smith, PhD": Difference("Smith, John", "no comma stays on the surname"),
        "村上 春樹": Difference("村上 春樹", "the family name is in front already"),
    },
    "html_strip": {
        "a < b and c > d": Difference("a < b and c > d", "no tags, so nothing to strip"),
        "&amp;lt;": Difference("&lt;", "entities are decoded once"),
        "<script>alert(1)</script>": Difference("", "a script is no text"),
    },
    "title_number": {
        "Batch 5": Difference(("Batch v005", "volume"), "`ch` inside a word is no chapter"),
        "Search 12": Difference(("Search v012", "volume"), "`ch` inside a word is no chapter"),
        "Mach 5": Difference(("Mach v005", "volume"), "`ch` inside a word is no chapter"),
    },
    "comicinfo": {
        "[A] Baz 12 (2020).cbz": Difference(
            {"series": ()},
            "a number without a series is no series entry; what names say is the path layer's",
        ),
        "q5.cbz": Difference(
            {"page_count": 3, "cover_mime_type": "image/jpeg"},
            "hidden and __MACOSX entries are no pages, so the first page is a JPEG",
        ),
        "q7.cbz": Difference({"release_date": date(2020, 1, 1)}, "blanks around a number are trimmed"),
        "q8.cbz": Difference({"release_date": None}, "there is no such year"),
    },
    "epub_opf": {
        "desc xhtml children": Difference(
            {"description": "lead\ninner\n\ntail"}, "text in nested elements counts"
        ),
        "dates": Difference({"release_date": date(2001, 1, 1)}, "a date of modification is the last resort"),
        "date 2020-05": Difference({"release_date": date(2020, 5, 1)}, "year and month are a date"),
        "date May 2020": Difference({"release_date": date(2020, 5, 1)}, "a month in words is one"),
        "date 2020-5-6": Difference({"release_date": date(2020, 5, 6)}, "digits may be left out"),
        "date 20200506": Difference({"release_date": date(2020, 5, 6)}, "so may hyphens"),
        "date 0101-01-01T00:00:00+00:00": Difference(
            {"release_date": None}, "calibre writes it for a book without a date"
        ),
        "ids": Difference({"identifiers": _IDS}, "identifiers are normalised here, not when they are stored"),
        "cover pct-encoded": Difference({"cover": FRONT}, "percent-encoding in addresses is resolved"),
        "latin1": Difference({"title": "T"}, "every declared encoding is read"),
        "OPF upper": Difference({"title": "T"}, "the container decides, in any letter case"),
        "nav": Difference({"chapters": _NAV}, "titles may have nested elements"),
        "nav in section": Difference({"chapters": _NAV}, "the list may stand anywhere"),
        "nav bad entity": Difference({"chapters": _NAV}, "HTML entities are characters"),
    },
}

BY_RULE = {
    "priority": (
        "a changed sidecar replaces what came from it: equal and different is enough everywhere",
        "equal chapters are left alone",
        "refresh and reset ignore sidecars, so that no case with both is about anything",
    ),
    "priority_series": (
        "names that differ in case mean one row",
        "the name_source that books share is only ever improved",
        "a malformed number group does not keep the better source out",
    ),
}
"""Decisions that differ by a rule, not in single cases: `test_decide.py` names the rule for each case."""


def ours(rule: str, case: str, recorded: Any) -> Any:
    """Return what we say in a recorded case."""
    difference = DIFFERENCES[rule].get(case)
    return recorded if difference is None else difference.ours


def main() -> None:
    for path in sorted(VECTORS.glob("*.json")):
        rule, count = path.stem, len(load(path.stem))
        listed = DIFFERENCES.get(rule, {})
        differing = "by rule" if rule in BY_RULE else len(listed)
        print(f"{rule}: {count} cases, {differing} differ")
        for case, difference in listed.items():
            print(f"    {case}: {difference.why}")
        for why in BY_RULE.get(rule, ()):
            print(f"    {why}")


if __name__ == "__main__":
    main()
