"""`Package` -> the values of a book. Pure: it opens nothing.

Source: spec 4.1, with the improvements of the design's section 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import TypeVar

from ...model import Author, Identifier, Limits, SeriesEntry
from ...normalize.dates import parse_date
from ...normalize.identifiers import identifier, merged_identifiers
from ...normalize.language import language_tag
from ...normalize.numbers import is_valid_group, parse_number_range
from ...normalize.text import clean, html_to_text
from .package import Package, Statement, Warn

_Value = TypeVar("_Value")

_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")
_WEB_ADDRESS = re.compile(r"https?://\S", re.IGNORECASE)
_ONIX_CODES = {"02": "ISBN", "15": "ISBN"}
_DATE_RANKS = {"publication": 0, "": 1, "modification": 3}
_OTHER_DATE_RANK = 2
_NO_DATE = date(101, 1, 1)
_AUTHOR = frozenset({"aut", "author"})  # the word is no code, but some write it
_BETWEEN_SORT_NAMES = " & "
_NO_SORT_NAME = "Unknown"  # as calibre says it
_TITLE_IDS = {"title-main": "main", "subtitle": "subtitle"}


class BookMetadata:
    """What the package document says about the book, one method a field, one rule a method."""

    def __init__(self, package: Package, limits: Limits, warn: Warn) -> None:
        self._package = package
        self._limits = limits
        self._warn = warn

    def titles(self) -> tuple[str | None, str | None]:
        """Return title and subtitle; EPUB 3 says which is which by type, older habits by id."""
        titles = [title for title in self._package.all("title") if self._line(title.text)]
        if not titles:
            return None, None
        kinds = [self._title_kind(title) for title in titles]
        untyped = next((place for place, kind in enumerate(kinds) if not kind), 0)
        main = max((place for place, kind in enumerate(kinds) if kind == "main"), default=untyped)
        subtitles = (place for place, kind in enumerate(kinds) if kind == "subtitle" and place != main)
        subtitle = next(subtitles, None)
        return self._line(titles[main].text), None if subtitle is None else self._line(titles[subtitle].text)

    def _title_kind(self, title: Statement) -> str:
        kind = self._refinement(title, "title-type").lower()
        return kind or _TITLE_IDS.get(title.attributes.get("id", ""), "")

    def authors(self) -> tuple[Author, ...]:
        """Return the creators with role `aut` or without a role; a single creator in any case."""
        creators = [creator for creator in self._package.all("creator") if self._line(creator.text)]
        # Differs from Shisho: two creators without roles are two authors, not none.
        authors = [creator for creator in creators if self._is_author(creator)]
        if not authors and len(creators) == 1:
            authors = creators
        authors.sort(key=self._display_place)
        sort_names = self._sort_names(authors)
        named = zip(authors, sort_names, strict=True)
        return self._cut("authors", (Author(self._line(a.text) or "", sort_name=s) for a, s in named))

    def _is_author(self, creator: Statement) -> bool:
        roles = {role.lower().rpartition("/")[2] for role in self._package.refined(creator, "role")}
        return not roles or not roles.isdisjoint(_AUTHOR)

    def _display_place(self, creator: Statement) -> float:
        place = _decimal(self._refinement(creator, "display-seq"))
        return float("inf") if place is None else place

    def _sort_names(self, authors: list[Statement]) -> list[str | None]:
        """Return each author's `file-as`; calibre writes those of all authors into the first one's."""
        found = [self._line(self._refinement(author, "file-as")) for author in authors]
        joined = next((text for text in found if text and _BETWEEN_SORT_NAMES in text), None)
        if joined and not any(_BETWEEN_SORT_NAMES in author.text for author in authors):
            parts: list[str | None] = [*joined.split(_BETWEEN_SORT_NAMES)]
            found = parts if len(parts) == len(authors) else [None if t == joined else t for t in found]
        return [None if text == _NO_SORT_NAME else text for text in found]

    def series(self) -> tuple[SeriesEntry, ...]:
        # Differs from Shisho: EPUB 3 collections count, and before calibre's own way of saying it.
        return self._cut("series", self._collections()) or self._cut("series", self._calibre_series())

    def _collections(self) -> Iterator[SeriesEntry]:
        for collection in self._package.all_meta("belongs-to-collection"):
            name = self._line(collection.text)
            kind = self._refinement(collection, "collection-type").lower()
            if name and kind in ("", "series"):
                position = self._refinement(collection, "group-position")
                yield SeriesEntry(name, *(parse_number_range(position) or (_series_number(position), None)))

    def _calibre_series(self) -> Iterator[SeriesEntry]:
        name = self._line(self._first_property("calibre:series"))
        if name:
            yield SeriesEntry(name, _series_number(self._first_property("calibre:series_index")))

    def genres(self) -> tuple[str, ...]:
        return self._cut("genres", (self._line(subject.text) for subject in self._package.all("subject")))

    def tags(self) -> tuple[str, ...]:
        tags = self._first_property("calibre:tags").split(",")
        return self._cut("tags", (self._line(tag) for tag in tags))

    def description(self) -> str | None:
        texts = (html_to_text(description.text) for description in self._package.all("description"))
        return _last(clean(text, self._limits.max_description_bytes) for text in texts)

    def publisher(self) -> str | None:
        imprint = self._first_property("ibooks:imprint") or self._first_property("imprint")
        return self._line(imprint) or _last(
            self._line(publisher.text) for publisher in self._package.all("publisher")
        )

    def url(self) -> str | None:
        links = (*self._package.all("relation"), *self._package.all("source"))
        texts = (link.text.strip() for link in links)
        return next((self._line(text) for text in texts if _WEB_ADDRESS.match(text)), None)

    def language(self) -> str | None:
        return _last(language_tag(language.text) for language in self._package.all("language"))

    def release_date(self) -> date | None:
        """Return the date of publication, else one that doesn't say what it is, else any other."""
        # Differs from Shisho: the last date wins only among those of one kind.
        dates = sorted(
            (*self._package.all_meta("dcterms:issued"), *self._package.all("date")),
            key=lambda statement: -_date_rank(statement),
        )
        found = (parse_date(statement.text) for statement in dates)
        # Differs from Shisho: what calibre writes for a book without a date is none.
        return _last(day for day in found if day != _NO_DATE)

    def identifiers(self) -> tuple[Identifier, ...]:
        found = (
            identifier(clean(statement.text, self._limits.max_scalar_bytes) or "", self._scheme(statement))
            for statement in self._package.all("identifier")
        )
        return merged_identifiers(self._cut("identifiers", found))

    def _scheme(self, statement: Statement) -> str:
        own = statement.attributes.get("scheme", "").strip()
        if own:
            return own
        kind = self._refinement(statement, "identifier-type")
        return _ONIX_CODES.get(kind, kind)

    def _refinement(self, statement: Statement, name: str) -> str:
        return next(iter(self._package.refined(statement, name)), "")

    def _first_property(self, name: str) -> str:
        return next((meta.text for meta in self._package.all_meta(name) if meta.text.strip()), "")

    def _line(self, text: str) -> str | None:
        return clean(" ".join(text.split()), self._limits.max_scalar_bytes)

    def _cut(self, what: str, values: Iterable[_Value | None]) -> tuple[_Value, ...]:
        """Collect what is there, once each, up to the limit."""
        found = dict.fromkeys(value for value in values if value is not None)
        most = self._limits.max_list_entries
        if len(found) > most:
            self._warn(f"Only the first {most:,} of {len(found):,} {what} were read (max_list_entries).")
        return tuple(found)[:most]


def _series_number(text: str) -> float | None:
    number = _decimal(text)
    return number if is_valid_group(number, None, None) else None


def _decimal(text: str) -> float | None:
    return float(text) if _DECIMAL.fullmatch(text.strip()) else None


def _date_rank(statement: Statement) -> int:
    event = statement.attributes.get("event", "").strip().lower()
    return _DATE_RANKS.get(event, _OTHER_DATE_RANK)


def _last(values: Iterable[_Value | None]) -> _Value | None:
    """Return the last value that is there, as Shisho does for repeated elements."""
    found = None
    for value in values:
        found = value if value is not None else found
    return found
