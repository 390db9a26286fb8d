from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from datasette_shisho_resync.errors import (
    BadRequest,
    DatabaseBusy,
    ResyncError,
    RootUnavailable,
    StalePlan,
    UndoConflict,
    UnreadableFile,
)
from datasette_shisho_resync.json_output import (
    encoded_outcome,
    error_to_json,
    job_undone_to_json,
    outcome_to_json,
    sendable,
    undone_to_json,
)
from datasette_shisho_resync.model import (
    Author,
    Change,
    FileState,
    FileStatus,
    Mode,
    Outcome,
    Plan,
    Reason,
    RowImage,
    Target,
)
from datasette_shisho_resync.resync import Undone
from datasette_shisho_resync.store.history import Entry

BOOK = Target("books", 7)
PLAN = Plan(
    BOOK,
    Mode.REFRESH,
    changes=(Change("books", 7, "authors", (), None, (Author("Ann"),), "epub_metadata", Reason.FORCED),),
    kept=(Change("books", 7, "title", "T", "manual", "T", "epub_metadata", Reason.SAME),),
    files=(FileState(3, "/b/caf\udce9.epub", FileStatus.ERROR, "is damaged"),),
    warnings=("a warning",),
    digest="d1",
)


def test_an_outcome_has_the_shape_of_the_contract() -> None:
    row = RowImage((("id", 7), ("filepath", "/b/caf\udce9"), ("blob", b"\xff")))
    outcome = Outcome(PLAN, False, 4, deleted=False, book_deleted=False, rows=(row,), warnings=("w",))

    assert outcome_to_json(outcome) == {
        "ok": True,
        "mode": "refresh",
        "dry_run": False,
        "plan": "d1",
        "changed": True,
        "deleted": False,
        "book_deleted": False,
        "rows": [{"id": 7, "filepath": "/b/caf\\xe9", "blob": {"$base64": True, "encoded": "/w=="}}],
        "changes": [
            {
                "table": "books",
                "pk": 7,
                "field": "authors",
                "old": [],
                "old_source": None,
                "new": [{"name": "Ann", "role": None}],
                "new_source": "epub_metadata",
                "reason": "forced",
            }
        ],
        "kept": [
            {
                "table": "books",
                "pk": 7,
                "field": "title",
                "old": "T",
                "old_source": "manual",
                "new": "T",
                "new_source": "epub_metadata",
                "reason": "same",
            }
        ],
        "files": [{"id": 3, "path": "/b/caf\\xe9.epub", "status": "error", "error": "is damaged"}],
        "warnings": ["w"],
        "run": 4,
    }


@pytest.mark.parametrize("cell", [1, "é", "/b/caf\udce9", b"\xff", math.inf, -math.inf, math.nan, None, 0.5])
def test_an_outcome_is_encoded_as_it_is_told(cell: Any) -> None:
    rows = (RowImage((("id", 7), ("cell", cell))),)
    for plan in (PLAN, replace(PLAN, files=())):
        outcome = Outcome(plan, False, 4, deleted=False, book_deleted=False, rows=rows)
        told = json.loads(json.dumps(outcome_to_json(outcome)))
        assert json.loads(encoded_outcome(outcome), parse_constant=pytest.fail) == told


def test_a_removed_row_is_told_completely() -> None:
    image = RowImage((("id", 7), ("title", "T")))
    change = Change("books", 7, "row", image, None, None, None, Reason.REMOVED)
    plan = Plan(BOOK, Mode.SCAN, (change,), (), (), (), "d2")

    answer = outcome_to_json(Outcome(plan, True, None, deleted=True, book_deleted=True))

    assert answer["changes"][0]["old"] == {"id": 7, "title": "T"}
    assert answer["changes"][0]["new"] is None
    assert (answer["deleted"], answer["book_deleted"], answer["run"]) == (True, True, None)


@pytest.mark.parametrize(
    ("error", "status", "more"),
    [
        (BadRequest("Unknown field 'x'."), 400, {}),
        (UnreadableFile("/b/a.epub", "is damaged"), 422, {}),
        (DatabaseBusy("busy"), 503, {}),
        (
            RootUnavailable("gone", "/b", ("files/3",)),
            409,
            {"root": "/b", "would_remove": ["files/3"]},
        ),
        (UndoConflict("changed", ("books.7.title",)), 409, {"fields": ["books.7.title"]}),
        (StalePlan("moved", None), 409, {}),
    ],
)
def test_errors_have_datasettes_shape_and_what_they_know(
    error: ResyncError, status: int, more: dict[str, Any]
) -> None:
    base = {"ok": False, "error": error.message, "errors": [error.message], "status": status}

    assert error_to_json(error) == {**base, **more}


def test_a_stale_plan_comes_with_the_new_one() -> None:
    plan = error_to_json(StalePlan("Something changed.", PLAN))["plan"]

    assert (plan["plan"], plan["mode"], plan["changed"]) == ("d1", "refresh", True)
    assert [c["field"] for c in plan["changes"]] == ["authors"]
    assert plan["files"][0]["path"] == "/b/caf\\xe9.epub"


def test_an_undo_tells_its_run_and_what_it_put_back() -> None:
    entry = Entry("books", 7, "title", "New", "epub_metadata", "Old", "manual", "forced")
    undone = Undone(9, 4, BOOK, (entry,), warnings=("w",))

    answer = undone_to_json(undone)

    assert (answer["ok"], answer["run"], answer["undo_of"], answer["table"], answer["pk"]) == (
        True,
        9,
        4,
        "books",
        7,
    )
    assert answer["changes"][0]["new"] == "Old"
    assert job_undone_to_json(2, [undone]) == {"ok": True, "job": 2, "undone": [answer]}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("café", "café"),
        ("\udcff\ud800", "\\xff\\ud800"),
        ("line\nbreak", "line\nbreak"),
        ({"a\udcff": (1, 2.5, None, True)}, {"a\\xff": [1, 2.5, None, True]}),
        (math.inf, None),
        (math.nan, None),
        (b"ab", {"$base64": True, "encoded": "YWI="}),
    ],
)
def test_every_value_can_be_sent_as_strict_json(value: object, sent: object) -> None:
    assert sendable(value) == sent
    json.dumps(sendable(value), allow_nan=False, ensure_ascii=False).encode()
