"""How values of a field compare and which spelling will be stored. Pure.

Lists are compared by the rows that their names mean (aliases included) and by roles, never by text,
so nothing is rewritten needlessly and nothing that differs is missed.
Differs from Shisho: it compares names only, so role changes go unseen and aliases rewrite for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from .fields import FIELDS, Field, Kind
from .model import Author, CoverImage, Identifier, Identities, SeriesEntry, Value
from .normalize.identifiers import merged_identifiers, normalize_identifier
from .normalize.numbers import is_valid_group
from .values import is_empty

T = TypeVar("T")


def comparison_key(field: Field, value: Value, identities: Identities) -> Hashable:
    """Return what two equal values of this field have in common."""
    if is_empty(value):
        return None
    keyed = _KEYED.get(field.name)
    return keyed(field, value, identities) if keyed else value


def _table(field: Field) -> str:
    assert field.entity is not None
    return field.entity.table


def _author_keys(field: Field, value: Any, identities: Identities) -> Hashable:
    return tuple((identities.key("persons", a.name), a.role or None) for a in value)


def _name_keys(field: Field, value: Any, identities: Identities) -> Hashable:
    return tuple(identities.key(_table(field), name) for name in value)


def _term_keys(field: Field, value: Any, identities: Identities) -> Hashable:
    return frozenset(identities.key(_table(field), name) for name in value)


def _series_keys(field: Field, value: Any, identities: Identities) -> Hashable:
    return tuple((identities.key("series", s.name), s.number, s.number_end, s.unit) for s in value)


_KEYS: dict[Kind, Callable[[Field, Any, Identities], Hashable]] = {
    Kind.AUTHORS: _author_keys,
    Kind.PEOPLE: _name_keys,
    Kind.TERMS: _term_keys,
    Kind.SERIES: _series_keys,
    Kind.PUBLISHER: lambda field, value, identities: identities.key("publishers", value),
    Kind.IDENTIFIERS: lambda field, value, identities: frozenset(
        (i.type, normalize_identifier(i.type, i.value)) for i in value
    ),
    Kind.COVER: lambda field, value, identities: value.sha256 if isinstance(value, CoverImage) else value,
}
_KEYED = {field.name: _KEYS[field.kind] for field in FIELDS if field.kind in _KEYS}


def prepared(field: Field, value: Any, stored: Any, identities: Identities, *, keep_numbers: bool) -> Value:
    """Return a candidate as it would be stored: duplicates gone, rows' own spelling, sound numbers.

    Differs from Shisho: duplicates are found by the row that a name means, before anything is written.
    """
    if field.kind is Kind.AUTHORS:
        authors = [_prepared_author(a, identities) for a in value]
        return _unique(authors, lambda a: (identities.key("persons", a.name), a.role))
    if field.kind in (Kind.PEOPLE, Kind.TERMS):
        table = _table(field)
        names = [identities.spelling(table, name) for name in value]
        return _unique(names, lambda name: identities.key(table, name))
    if field.kind is Kind.SERIES:
        return _prepared_series(value, stored or (), identities, keep_numbers)
    if field.kind is Kind.PUBLISHER:
        return identities.spelling("publishers", value)
    if field.kind is Kind.IDENTIFIERS:
        return merged_identifiers(Identifier(i.type, normalize_identifier(i.type, i.value)) for i in value)
    return value  # type: ignore[no-any-return]


def _prepared_author(author: Author, identities: Identities) -> Author:
    name, role = identities.spelling("persons", author.name), author.role or None
    if (name, role) == (author.name, author.role):
        return author  # as nearly always: a copy takes longer than this look
    return replace(author, name=name, role=role)


def _unique(items: Iterable[T], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    kept: dict[Hashable, T] = {}
    for item in items:
        kept.setdefault(key(item), item)
    return tuple(kept.values())


def _prepared_series(
    value: Iterable[SeriesEntry], stored: Iterable[SeriesEntry], identities: Identities, keep_numbers: bool
) -> tuple[SeriesEntry, ...]:
    """A malformed number group never replaces a stored one; in scan a missing one does not either."""
    present = {identities.key("series", s.name): s for s in stored}

    def sound(entry: SeriesEntry) -> SeriesEntry:
        spelling = identities.spelling("series", entry.name)
        entry = entry if spelling == entry.name else replace(entry, name=spelling)
        before = present.get(identities.key("series", entry.name))
        is_valid = is_valid_group(entry.number, entry.number_end, entry.unit)
        if is_valid and (entry.number is not None or not keep_numbers):
            return entry
        if before is None:
            return SeriesEntry(entry.name)
        return replace(before, name=entry.name)

    return _unique([sound(e) for e in value], lambda e: identities.key("series", e.name))
