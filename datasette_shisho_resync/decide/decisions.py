"""Decides each field: what is stored, what is offered, who wins. Pure.

The one priority rule is `judge`; how two values of a field compare is in `comparison`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..comparison import comparison_key, prepared
from ..fields import FIELDS, Field
from ..model import (
    Change,
    Identities,
    Layer,
    Mode,
    Reason,
    SeriesEntry,
    Stored,
    Value,
)
from ..model.portable import portable
from ..normalize.titles import sort_title
from ..sources import FILEPATH, MANUAL, SIDECAR, rank
from ..values import is_empty

_NEVER_CLEARED = frozenset({"title", "sort_title"})


@portable
@dataclass(frozen=True, slots=True)
class Candidate:
    """A value for a field, with its source and the file it came from; see `Layer` for `echo`."""

    value: Value
    source: str
    path: str | None = None
    echo: bool = False


@portable
@dataclass(frozen=True, slots=True)
class Decision:
    """One field: what is stored, what was offered, who won and what follows.

    `value` and `source` are the field as it will be; they equal the stored ones unless `changes`.
    """

    table: str
    pk: int
    field: Field
    stored: Stored
    candidates: tuple[Candidate, ...]
    winner: Candidate | None
    changes: bool
    reason: Reason
    value: Value
    source: str | None


@portable
@dataclass(frozen=True, slots=True)
class Record:
    """A book or file to decide: its stored fields by name and the layers that speak about it."""

    table: str
    pk: int
    stored: Mapping[str, Stored]
    layers: tuple[Layer, ...]


def judge(
    mode: Mode, *, differs: bool, new_source: str | None, stored_source: str | None
) -> tuple[bool, Reason]:
    """Return whether a candidate replaces the stored value, and why (design section 3).

    Differs from Shisho: one rule for scalars, lists, chapters and sidecars; equal priority and a
    different value is enough everywhere.
    """
    if not differs:
        corrects = mode is not Mode.SCAN and new_source != stored_source
        return (True, Reason.SOURCE_CORRECTED) if corrects else (False, Reason.SAME)
    new_rank, stored_rank = rank(new_source), rank(stored_source)
    if new_rank < stored_rank:
        return True, Reason.BETTER_SOURCE
    if new_rank == stored_rank:
        return True, Reason.NEW_VALUE
    return (False, Reason.LOWER_PRIORITY) if mode is Mode.SCAN else (True, Reason.FORCED)


def effective_source(stored: Stored) -> str | None:
    """Return the source that ranks: a noted edit by a person counts before the column."""
    return MANUAL if stored.marked else stored.source


def decide_record(
    record: Record, mode: Mode, identities: Identities, *, with_echoes: bool = False
) -> tuple[Decision, ...]:
    """Decide every field that `record.stored` names, in the order of the field table.

    `with_echoes`: list what holds no news too, as unedited sidecars do, though it never counts.
    """
    decisions: dict[str, Decision] = {}
    admitted = record.layers if with_echoes else tuple(layer for layer in record.layers if not layer.echo)
    for field in FIELDS:
        if field.name not in record.stored:
            continue
        stored = record.stored[field.name]
        if field.name == "sort_title":
            decisions[field.name] = _decide_sort_title(record, field, stored, mode, decisions["title"])
            continue
        candidates = _candidates(field, admitted, stored.value, mode, identities)
        if mode is Mode.SCAN and _says_the_same(candidates, stored):
            decisions[field.name] = _same(record, field, stored, candidates)
        else:
            decisions[field.name] = _decide(record, field, stored, mode, identities, candidates)
    return tuple(decisions.values())


def _candidates(
    field: Field, layers: Iterable[Layer], stored: Value, mode: Mode, identities: Identities
) -> tuple[Candidate, ...]:
    """Return what the layers offer, each value as it would be stored."""
    name, keep_numbers = field.name, mode is Mode.SCAN
    found = []
    for layer in layers:
        value = layer.values.get(name)
        if value is not None and not is_empty(value):  # most say nothing of most fields
            value = prepared(field, value, stored, identities, keep_numbers=keep_numbers)
            found.append(Candidate(value, layer.source, layer.path, layer.echo))
    return tuple(found)


def _says_the_same(candidates: Sequence[Candidate], stored: Stored) -> bool:
    """Tell whether one file says what is stored already: so it is with most fields of most runs."""
    if len(candidates) != 1:
        return False
    only = candidates[0]
    return only.value == stored.value and only.source != SIDECAR and not only.echo


def _same(record: Record, field: Field, stored: Stored, candidates: tuple[Candidate, ...]) -> Decision:
    winner, source = candidates[0], effective_source(stored)
    return Decision(
        record.table, record.pk, field, stored, candidates, winner, False, Reason.SAME, stored.value, source
    )


def _decide(
    record: Record,
    field: Field,
    stored: Stored,
    mode: Mode,
    identities: Identities,
    candidates: tuple[Candidate, ...],
) -> Decision:
    if not candidates and not is_empty(stored.value):  # then an echo may be why nothing speaks
        candidates = _candidates(field, record.layers, stored.value, mode, identities)
    stored_key = comparison_key(field, stored.value, identities)
    source = effective_source(stored)
    winner = _winner(field, candidates, stored_key, source, identities)

    def decision(changes: bool, reason: Reason, value: Value, new_source: str | None) -> Decision:
        return Decision(
            record.table, record.pk, field, stored, candidates, winner, changes, reason, value, new_source
        )

    if winner is None:
        if mode is Mode.RESET and _is_cleared(field, stored):
            return decision(True, Reason.CLEARED, None, _cleared_source(field))
        return decision(False, _why_unheard(field, candidates, stored_key, identities), stored.value, source)
    if stored_key is None:
        differs = not is_empty(winner.value)
    else:
        differs = comparison_key(field, winner.value, identities) != stored_key
    new_source = winner.source if differs else _source_of_same(field, winner, stored, identities)
    changes, reason = judge(mode, differs=differs, new_source=new_source, stored_source=source)
    if changes:
        return decision(True, reason, winner.value, winner.source)
    return decision(False, reason, stored.value, source)


def _why_unheard(
    field: Field, echoes: Sequence[Candidate], stored_key: object, identities: Identities
) -> Reason:
    """Return why a field stays about which nothing but echoes, if anything, speaks."""
    others = [c for c in echoes if comparison_key(field, c.value, identities) != stored_key]
    if any(c.source == SIDECAR for c in others):
        return Reason.SIDECAR_ECHO
    if others:
        return Reason.LOWER_PRIORITY
    return Reason.SAME if any(c.source != SIDECAR for c in echoes) else Reason.EMPTY_CANDIDATE


def _winner(
    field: Field,
    candidates: Sequence[Candidate],
    stored_key: object,
    stored_source: str | None,
    identities: Identities,
) -> Candidate | None:
    """Return the candidate of the best rank; among equals the later file's.

    A sidecar value that equals the stored one, or the one that would win without it, is only its echo
    and holds no news, so that an old sidecar never freezes a field.
    """

    if len(candidates) == 1 and candidates[0].source != SIDECAR:
        return None if candidates[0].echo else candidates[0]

    def key(candidate: Candidate) -> object:
        return comparison_key(field, candidate.value, identities)

    sidecar = _best(c for c in candidates if c.source == SIDECAR and not c.echo and key(c) != stored_key)
    other = _best(c for c in candidates if c.source != SIDECAR and not c.echo)
    if sidecar is None or other is None:
        return sidecar or other
    if rank(other.source) < rank(SIDECAR):
        return other
    is_echo = key(sidecar) == key(other) and rank(other.source) <= rank(stored_source)
    return other if is_echo else sidecar


def _best(candidates: Iterable[Candidate]) -> Candidate | None:
    best: Candidate | None = None
    for candidate in candidates:
        if best is None or rank(candidate.source) <= rank(best.source):
            best = candidate
    return best


def _source_of_same(field: Field, winner: Candidate, stored: Stored, identities: Identities) -> str | None:
    """Return the source that a value would have if it were written again."""
    if stored.shares_source:
        return _series_source(winner, identities)
    if field.source_column is None and not stored.marked:
        return stored.source  # nothing to correct: there is no column for it
    return winner.source


def _series_source(winner: Candidate, identities: Identities) -> str:
    """Return what `name_source` of the first series will be: it is shared, and only ever improved."""
    entries = winner.value
    assert isinstance(entries, tuple)
    first = entries[0]
    assert isinstance(first, SeriesEntry)
    identity = identities.find("series", first.name)
    if identity and rank(identity.source) <= rank(winner.source):
        return identity.source or winner.source
    return winner.source


def _is_cleared(field: Field, stored: Stored) -> bool:
    if not field.reset or field.name in _NEVER_CLEARED:
        return False
    source_left = bool(stored.source) and field.source_column and stored.source != _cleared_source(field)
    return not is_empty(stored.value) or stored.marked or bool(source_left)


def _cleared_source(field: Field) -> str | None:
    return FILEPATH if field.source_column == "author_source" else None  # that column is NOT NULL


def derived_source(source: str | None) -> str:
    """Return the source of what follows from a value: nobody set it by hand."""
    return source if source and source != MANUAL else FILEPATH


def _decide_sort_title(record: Record, field: Field, stored: Stored, mode: Mode, title: Decision) -> Decision:
    """The sort title follows the title as it will be, unless a person set it: then only scan keeps it."""
    derived, source = sort_title(str(title.value or "")), derived_source(title.source)
    is_offered = title.winner is not None and title.winner.value == title.value
    candidate = Candidate(derived or None, source, title.winner.path if title.winner and is_offered else None)
    differs = derived != (stored.value or "")
    kept_for_a_person = effective_source(stored) == MANUAL and (mode is Mode.SCAN or title.winner is None)
    changes, reason = differs, Reason.DERIVED
    if not derived:
        changes, reason = False, Reason.EMPTY_CANDIDATE
    elif kept_for_a_person:
        changes, reason = False, Reason.LOWER_PRIORITY if differs else Reason.SAME
    elif not differs:
        changes, reason = judge(
            mode, differs=False, new_source=source, stored_source=effective_source(stored)
        )
    return Decision(
        record.table,
        record.pk,
        field,
        stored,
        (candidate,) if derived else (),
        candidate if derived else None,
        changes,
        reason,
        derived if changes else stored.value,
        source if changes else effective_source(stored),
    )


def as_change(decision: Decision) -> Change:
    """Return a decision as the contract shows it; of a kept field, `new` is what was offered."""
    if decision.changes:
        new, source = decision.value, decision.source
    elif decision.winner is not None:
        new, source = decision.winner.value, decision.winner.source
    else:
        new, source = None, None
    return Change(
        decision.table,
        decision.pk,
        decision.field.name,
        decision.stored.value,
        effective_source(decision.stored),
        new,
        source,
        decision.reason,
    )
