from __future__ import annotations

from dataclasses import replace

from datasette_shisho_resync.decide import Record, decide_record
from datasette_shisho_resync.explain import explain
from datasette_shisho_resync.model import (
    Author,
    BookRow,
    Brief,
    Identities,
    Layer,
    Mode,
    Plan,
    Snapshot,
    Stored,
    Target,
)
from datasette_shisho_resync.resync import Planned

TARGET = Target("books", 1)
EPUB = Layer("epub_metadata", {"title": "Embedded", "authors": (Author("Ann"),)}, "/b/a.epub")
OLD = Stored("Old", "epub_metadata")
SIDECAR = Layer("sidecar", {"title": "Beside"}, "/b/b.metadata.json")


def planned(*layers: Layer, title: Stored = OLD) -> Planned:
    record = Record("books", 1, {"title": title, "authors": Stored(())}, layers)
    decisions = decide_record(record, Mode.SCAN, Identities())
    brief = Brief(TARGET, BookRow(1, 1, "/b"), (), ("/b",), 1, "L")
    snapshot = Snapshot(brief, record.stored, {}, Identities())
    return Planned(Plan(TARGET, Mode.SCAN, (), (), (), (), ""), snapshot, decisions, ())


def test_every_layer_is_told_with_the_one_that_wins() -> None:
    answer = explain(planned(EPUB, SIDECAR))

    assert answer["ok"] is True
    assert answer["fields"][0] == {
        "table": "books",
        "pk": 1,
        "field": "title",
        "stored": "Old",
        "source": "epub_metadata",
        "winner": "sidecar",
        "reason": "better_source",
        "candidates": [
            {"value": "Embedded", "source": "epub_metadata", "path": "/b/a.epub"},
            {"value": "Beside", "source": "sidecar", "path": "/b/b.metadata.json"},
        ],
    }


def test_a_stored_value_that_stays_is_its_own_winner() -> None:
    title = explain(planned(EPUB, title=Stored("Mine", "manual")))["fields"][0]

    assert (title["source"], title["winner"], title["reason"]) == ("manual", "manual", "lower_priority")


def test_a_noted_edit_counts_as_manual() -> None:
    title = explain(planned(EPUB, title=Stored("Mine", None, marked=True)))["fields"][0]

    assert (title["source"], title["winner"]) == ("manual", "manual")


def test_an_echo_is_listed_and_never_wins() -> None:
    title = explain(planned(replace(SIDECAR, echo=True)))["fields"][0]

    assert (title["winner"], title["reason"]) == ("epub_metadata", "sidecar_echo")
    assert [c["value"] for c in title["candidates"]] == ["Beside"]


def test_only_a_sort_title_that_follows_from_a_file_names_that_file() -> None:
    def path_of_sort_title(title: Stored) -> object:
        stored = {"title": title, "sort_title": Stored("")}
        record = Record("books", 1, stored, (EPUB,))
        [candidate] = decide_record(record, Mode.SCAN, Identities())[1].candidates
        return candidate.path

    assert path_of_sort_title(OLD) == "/b/a.epub"
    assert path_of_sort_title(Stored("Embedded", "manual")) == "/b/a.epub"
    assert path_of_sort_title(Stored("Mine", "manual")) is None


def test_lists_have_the_shape_of_the_contract() -> None:
    authors = explain(planned(EPUB))["fields"][1]

    assert authors["stored"] == []
    assert authors["candidates"][0]["value"] == [{"name": "Ann", "role": None}]
