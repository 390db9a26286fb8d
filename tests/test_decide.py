from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rule_vectors import load

from datasette_shisho_resync.decide import (
    Decision,
    Record,
    as_change,
    change_to_json,
    decide_record,
    judge,
    limited,
    make_plan,
)
from datasette_shisho_resync.fields import BOOK_FIELDS
from datasette_shisho_resync.model import (
    EMPTY,
    Author,
    Change,
    Chapter,
    Identities,
    Identity,
    Layer,
    Mode,
    Reason,
    RowImage,
    SeriesEntry,
    Stored,
    Target,
    Value,
)
from datasette_shisho_resync.sources import SIDECAR, rank

Case = dict[str, Any]
EPUB = "epub_metadata"


def decided(
    field: str,
    stored: Stored,
    *layers: tuple[str, Value],
    mode: Mode = Mode.SCAN,
    echo: bool = False,
    identities: Identities | None = None,
    **others: Stored,
) -> Decision:
    """Decide one field of a book or file from (source, value) pairs."""
    table = "books" if field in {f.name for f in BOOK_FIELDS} else "files"
    found = tuple(Layer(source, {field: value}, source, echo) for source, value in layers)
    record = Record(table, 1, {field: stored, **others}, found)
    decisions = decide_record(record, mode, identities or Identities())
    return next(d for d in decisions if d.field.name == field)


# --- Shisho's rules, case by case -----------------------------------------------------------------

CASES = [(i, e) for rule in ("priority", "priority_series") for i, e in load(rule)]
MODES = {True: Mode.REFRESH, False: Mode.SCAN}


def cases(function: str) -> list[Any]:
    """Return one function's cases; no sidecar speaks in refresh, so none of those with force."""
    rows = [(case, expected) for case, expected in CASES if case["function"] == function]
    rows = [row for row in rows if not (function.startswith("apply_sidecar") and row[0]["force"])]
    assert rows
    return [pytest.param(case, expected, id=f"{function}-{i}") for i, (case, expected) in enumerate(rows)]


def names(texts: list[str]) -> tuple[Author, ...]:
    return tuple(Author(text) for text in texts)


def entries(items: list[dict[str, Any]]) -> tuple[SeriesEntry, ...]:
    return tuple(
        SeriesEntry(i["name"], i.get("number"), i.get("end"), i.get("unit")) for i in items if i["name"]
    )


def series_rows(case: Case) -> Identities:
    """Return the stored series as rows; the first one's `name_source` is the list's source."""
    rows = {
        ("series", s["name"].lower()): Identity(number, s["name"], case["existing_source"])
        for number, s in enumerate(case["existing"], 1)
    }
    return Identities(rows)


def difference(case: Case) -> str | None:
    """Name the point in which we decide otherwise on purpose, if the case is about one."""
    same = case.get("existing") == case.get("new", case.get("incoming"))
    if case["function"].startswith("apply_sidecar") and case["existing_source"] == SIDECAR:
        return None if same else "a changed sidecar replaces what came from it"
    if case["function"] == "update_series" and case["incoming"]["name"] == "s":
        return "names that differ in case mean one row"
    return None


@pytest.mark.parametrize(("case", "expected"), cases("priority"))
def test_sources_rank_as_in_shisho(case: Case, expected: int) -> None:
    assert rank(case["source"]) == expected


@pytest.mark.parametrize(("case", "expected"), cases("update_scalar"))
def test_scalars_from_a_file(case: Case, expected: bool) -> None:
    stored = Stored(case["existing"], case["existing_source"])
    decision = decided("subtitle", stored, (case["new_source"], case["new"]), mode=MODES[case["force"]])
    assert decision.changes is expected


@pytest.mark.parametrize(("case", "expected"), cases("update_relationship"))
def test_lists_from_a_file(case: Case, expected: bool) -> None:
    stored = Stored(names(case["existing"]), case["existing_source"])
    new = (case["new_source"], names(case["new"]))
    assert decided("authors", stored, new, mode=MODES[case["force"]]).changes is expected


@pytest.mark.parametrize(("case", "expected"), cases("update_chapters"))
def test_chapters_from_a_file_that_differ(case: Case, expected: bool) -> None:
    """Differs from Shisho: it compares nothing; equal chapters are left alone, which is tested below."""
    new = tuple(Chapter(f"New {number}") for number in range(case["count"]))
    stored = Stored((Chapter("Old"),), case["existing_source"])
    decision = decided("chapters", stored, (case["new_source"], new), mode=MODES[case["force"]])
    is_forced_sidecar = case["force"] and case["new_source"] == SIDECAR
    assert decision.changes is (bool(new) if is_forced_sidecar else expected)


@pytest.mark.parametrize(("case", "expected"), cases("apply_sidecar_scalar"))
def test_scalars_from_a_sidecar(case: Case, expected: bool) -> None:
    stored = Stored(case["existing"], case["existing_source"])
    decision = decided("subtitle", stored, (SIDECAR, case["new"]))
    assert decision.changes is (expected or (difference(case) is not None and bool(case["new"])))


@pytest.mark.parametrize(("case", "expected"), cases("apply_sidecar_relationship"))
def test_lists_from_a_sidecar(case: Case, expected: bool) -> None:
    stored = Stored(names(case["existing"]), case["existing_source"])
    decision = decided("authors", stored, (SIDECAR, names(case["new"])))
    assert decision.changes is (expected or (difference(case) is not None and bool(case["new"])))


@pytest.mark.parametrize(("case", "expected"), cases("update_series"))
def test_series_from_a_file(case: Case, expected: bool) -> None:
    stored = Stored(entries(case["existing"]), case["existing_source"])
    new = (case["new_source"], entries([case["incoming"]]))
    decision = decided("series", stored, new, mode=MODES[case["force"]], identities=series_rows(case))
    reason = difference(case) or series_difference(case, expected, decision)
    assert reason or decision.changes is expected


def series_difference(case: Case, expected: bool, decision: Decision) -> str | None:
    same = entries(case["existing"]) == entries([case["incoming"]])
    if expected and case["force"] and same and not decision.changes:
        assert rank(case["existing_source"]) <= rank(case["new_source"])
        return "the shared name_source is only ever improved"
    if not expected and case["force"] and decision.reason is Reason.SOURCE_CORRECTED:
        return "a malformed group does not keep the better source out"
    return None


@pytest.mark.parametrize(("case", "expected"), cases("apply_sidecar_series"))
def test_series_from_a_sidecar(case: Case, expected: bool) -> None:
    stored = Stored(entries(case["existing"]), case["existing_source"])
    new = (SIDECAR, entries(case["incoming"]))
    decision = decided("series", stored, new, identities=series_rows(case))
    is_differing = difference(case) is not None and bool(case["incoming"]) and not malformed(case)
    assert decision.changes is (expected or is_differing)


def malformed(case: Case) -> bool:
    return any("end" in entry and entry["end"] <= entry["number"] for entry in case["incoming"])


# --- our own rules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "differs", "new", "stored", "expected"),
    [
        (Mode.SCAN, True, EPUB, "filepath", (True, Reason.BETTER_SOURCE)),
        (Mode.SCAN, True, EPUB, "pdf_metadata", (True, Reason.NEW_VALUE)),
        (Mode.SCAN, True, EPUB, "manual", (False, Reason.LOWER_PRIORITY)),
        (Mode.SCAN, False, EPUB, "filepath", (False, Reason.SAME)),
        (Mode.REFRESH, True, EPUB, "manual", (True, Reason.FORCED)),
        (Mode.REFRESH, True, EPUB, None, (True, Reason.BETTER_SOURCE)),
        (Mode.REFRESH, False, EPUB, "manual", (True, Reason.SOURCE_CORRECTED)),
        (Mode.RESET, False, EPUB, EPUB, (False, Reason.SAME)),
    ],
)
def test_the_priority_rule(
    mode: Mode, differs: bool, new: str, stored: str | None, expected: tuple[bool, Reason]
) -> None:
    assert judge(mode, differs=differs, new_source=new, stored_source=stored) == expected


@pytest.mark.parametrize("mode", [Mode.SCAN, Mode.REFRESH])
@pytest.mark.parametrize(
    ("field", "value"),
    [("abridged", False), ("page_count", 7), ("chapters", (Chapter("One"),)), ("genres", ("B", "A"))],
)
def test_what_is_equal_is_never_written_again(mode: Mode, field: str, value: Value) -> None:
    source = None if field == "page_count" else EPUB
    assert not decided(field, Stored(value, source), (EPUB, value), mode=mode).changes


def test_the_order_of_genres_means_nothing() -> None:
    assert not decided("genres", Stored(("A", "B"), EPUB), (EPUB, ("b", "a"))).changes


def test_no_candidate_is_no_change_but_in_reset() -> None:
    stored = Stored("Words", EPUB)
    assert decided("subtitle", stored).reason is Reason.EMPTY_CANDIDATE
    cleared = decided("subtitle", stored, mode=Mode.RESET)
    assert (cleared.value, cleared.source, cleared.reason) == (None, None, Reason.CLEARED)


@pytest.mark.parametrize(
    ("field", "stored", "source"),
    [
        ("authors", Stored((Author("A"),), EPUB), "filepath"),
        ("series", Stored((SeriesEntry("S"),), EPUB), None),
        ("url", Stored(None, "manual"), None),
        ("series", Stored((), None, marked=True), None),
    ],
)
def test_reset_clears_value_source_and_mark(field: str, stored: Stored, source: str | None) -> None:
    decision = decided(field, stored, mode=Mode.RESET)
    assert (decision.changes, decision.value, decision.source) == (True, None, source)


@pytest.mark.parametrize(
    ("field", "stored"),
    [
        ("title", Stored("T", "manual")),
        ("page_count", Stored(7, None)),
        ("authors", Stored((), "filepath")),
        ("url", EMPTY),
    ],
)
def test_reset_leaves_titles_measurements_and_what_is_empty(field: str, stored: Stored) -> None:
    assert not decided(field, stored, mode=Mode.RESET).changes


def test_the_best_source_wins_and_the_later_of_equals() -> None:
    winner = decided(
        "title", EMPTY, ("filepath", "P"), (EPUB, "One"), (EPUB, "Two"), ("filepath", "Q")
    ).winner
    assert winner is not None
    assert winner.value == "Two"


def test_an_echo_is_listed_and_never_wins() -> None:
    decision = decided("subtitle", Stored("Now", EPUB), (SIDECAR, "Before"), echo=True)
    assert (decision.changes, decision.reason) == (False, Reason.SIDECAR_ECHO)
    assert [c.value for c in decision.candidates] == ["Before"]


def test_a_sidecar_that_says_what_is_stored_freezes_nothing() -> None:
    decision = decided("subtitle", Stored("Old", EPUB), (EPUB, "New"), (SIDECAR, "Old"))
    assert (decision.value, decision.source) == ("New", EPUB)


def test_a_sidecar_that_says_what_the_file_says_leaves_it_its_source() -> None:
    assert decided("subtitle", EMPTY, (EPUB, "Same"), (SIDECAR, "Same")).source == EPUB


def test_a_sidecar_wins_where_the_file_that_says_the_same_may_not() -> None:
    decision = decided("subtitle", Stored("Old", "plugin:x"), (EPUB, "New"), (SIDECAR, "New"))
    assert (decision.value, decision.source) == ("New", SIDECAR)


def test_a_series_takes_the_source_that_is_better() -> None:
    rows = Identities({("series", "s"): Identity(1, "S", "manual")})
    decision = decided("series", EMPTY, (EPUB, (SeriesEntry("s", 1.0),)), identities=rows)
    assert (decision.value, decision.source) == ((SeriesEntry("S", 1.0),), EPUB)


def test_a_refresh_does_not_lower_the_source_of_a_series() -> None:
    rows = Identities({("series", "s"): Identity(1, "S", "manual")})
    entries = (SeriesEntry("S"),)
    shared = Stored(entries, "manual", shares_source=True)
    assert not decided("series", shared, (EPUB, entries), mode=Mode.REFRESH, identities=rows).changes
    own = Stored(entries, "manual")
    lowered = decided("series", own, (EPUB, entries), mode=Mode.REFRESH, identities=rows)
    assert (lowered.source, lowered.reason) == (EPUB, Reason.SOURCE_CORRECTED)


def test_a_mark_counts_as_manual_until_refresh_takes_it() -> None:
    stored = Stored(5, None, marked=True)
    assert not decided("page_count", stored, (EPUB, 7)).changes
    forced = decided("page_count", stored, (EPUB, 7), mode=Mode.REFRESH)
    assert (as_change(forced).old_source, forced.reason) == ("manual", Reason.FORCED)
    assert decided("page_count", stored, (EPUB, 5), mode=Mode.REFRESH).reason is Reason.SOURCE_CORRECTED


@pytest.mark.parametrize(
    ("mode", "title", "sort_title", "new", "expected"),
    [
        (Mode.SCAN, Stored("x", "filepath"), Stored("x", "filepath"), "The New", ("New, The", EPUB)),
        (Mode.SCAN, Stored("The Old", EPUB), Stored("Old, The", EPUB), None, ("Old, The", EPUB)),
        (Mode.SCAN, Stored("x", "filepath"), Stored("Mine", "manual"), "The New", ("Mine", "manual")),
        (Mode.REFRESH, Stored("x", "filepath"), Stored("Mine", "manual"), "The New", ("New, The", EPUB)),
        (Mode.REFRESH, Stored("x", "manual"), Stored("Mine", "manual"), None, ("Mine", "manual")),
        (Mode.REFRESH, Stored("Same", EPUB), Stored("Same", "filepath"), "Same", ("Same", EPUB)),
        (Mode.SCAN, Stored("", "filepath"), Stored("", "filepath"), None, ("", "filepath")),
    ],
)
def test_the_sort_title_follows_the_title(
    mode: Mode, title: Stored, sort_title: Stored, new: str | None, expected: tuple[str, str]
) -> None:
    layers = (Layer(EPUB, {"title": new}),) if new else ()
    record = Record("books", 1, {"title": title, "sort_title": sort_title}, layers)
    decision = decide_record(record, mode, Identities())[1]
    assert (decision.value, decision.source) == expected


# --- plans ----------------------------------------------------------------------------------------

BOOK = Target("books", 1)


def plan_of(*decisions: Decision, changes: tuple[Change, ...] = (), mode: Mode = Mode.SCAN) -> Any:
    return make_plan(BOOK, mode, decisions, changes, (), ())


def test_a_plan_lists_what_changes_and_what_stays() -> None:
    plan = plan_of(
        decided("title", Stored("Old", EPUB), (EPUB, "New")),
        decided("subtitle", Stored("Mine", "manual"), (EPUB, "Theirs")),
        decided("description", EMPTY),
    )
    assert [(c.field, c.old, c.new) for c in plan.changes] == [("title", "Old", "New")]
    assert [(c.field, c.old, c.new) for c in plan.kept] == [("subtitle", "Mine", "Theirs")]


def test_the_digest_tells_plans_apart() -> None:
    one, two = decided("title", EMPTY, (EPUB, "One")), decided("title", EMPTY, (EPUB, "Two"))
    digests = {plan_of(one).digest, plan_of(two).digest, plan_of(one, mode=Mode.RESET).digest}
    assert len(digests) == 3
    assert plan_of(one).digest == plan_of(one).digest


def removal(columns: Mapping[str, Any]) -> Change:
    return Change("books", 1, "row", RowImage(tuple(columns.items())), None, None, None, Reason.REMOVED)


def test_a_removed_row_is_shown_whole_bytes_too() -> None:
    change = removal({"id": 1, "thumb": b"\xff"})
    assert plan_of(changes=(change,)).removes(BOOK)
    assert change_to_json(change)["old"] == {"id": 1, "thumb": {"$base64": True, "encoded": "/w=="}}


def test_a_limited_plan_keeps_its_digest_and_removes_nothing() -> None:
    whole = plan_of(decided("title", EMPTY, (EPUB, "New")), changes=(removal({"id": 1}),))
    part = limited(whole, ("title",))
    assert (part.digest, [c.field for c in part.changes]) == (whole.digest, ["title"])
    assert limited(whole, None) is whole
    assert [c.reason for c in limited(whole, ("genres",)).kept] == [Reason.NOT_SELECTED]


def test_a_limited_plan_takes_nothing_from_a_supplement_that_stays_one() -> None:
    role = Change("files", 2, "file_role", "supplement", None, "main", None, Reason.DERIVED)
    whole = plan_of(decided("title", EMPTY, (EPUB, "New")), changes=(role,))
    assert limited(whole, ("title",)).changes == ()
