"""Shows the eight scenarios of a resync, by request and response, on a real `datasette serve`.

Run it with `python tests/show_scenarios.py`: it builds a library in a temporary folder, serves it, prints
each request with its answer, and checks each answer. The exit code is 1 if one is not what it should be.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from library import Library, epub
from serving import Answer, Caller, serving

from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.workers import WorkerPool

_MOST_ENTRIES = 3


@dataclass
class Show:
    """The library of the scenarios, somebody who asks its server, and what was not as it should be."""

    library: Library
    caller: Caller
    failures: int = 0

    def post(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.caller.ask("POST", path, body, Content_Type="application/json")
        print(f"\n  POST {path}\n       {json.dumps(body)}")
        return self._told(answer)

    def _told(self, answer: Answer) -> dict[str, Any]:
        told: dict[str, Any] = answer.json()
        print(f"  {answer.status}  {json.dumps(_shortened(told), ensure_ascii=False, indent=2)}")
        return {**told, "status": answer.status}

    def check(self, what: str, is_so: object) -> None:
        self.failures += not is_so
        print(f"  {'yes' if is_so else 'NO '}  {what}")


def _shortened(answer: dict[str, Any]) -> dict[str, Any]:
    """Leave the long lists of an answer at what tells most."""
    told = dict(answer)
    for part in ("changes", "kept"):
        entries = told.get(part, [])
        if len(entries) > _MOST_ENTRIES:
            told[part] = [*entries[:_MOST_ENTRIES], f"... and {len(entries) - _MOST_ENTRIES} more"]
    told["rows"] = [{k: v for k, v in row.items() if v is not None} for row in told.get("rows", ())]
    return told


def _entry(answer: dict[str, Any], part: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = next((e for e in answer.get(part, ()) if e["field"] == field), {})
    return found


def scan_a_book(show: Show) -> None:
    answer = show.post("/library/books/1/-/resync", {})
    show.check("the title is the file's", answer["rows"][0]["title"] == "Dune")
    show.check("it is said where it comes from", answer["rows"][0]["title_source"] == "epub_metadata")
    again = show.post("/library/books/1/-/resync", {})
    show.check("a second scan changes nothing", (again["changed"], again["run"]) == (False, None))


def refresh_a_book(show: Show) -> None:
    show.library.rewrite(1, epub("Dune", ["Frank Herbert", "Brian Herbert"], genres=["SF"]))
    preview = show.post("/library/books/1/-/resync", {"refresh": True, "dry_run": True})
    show.check("the dry run wrote nothing", preview["run"] is None)
    answer = show.post("/library/books/1/-/resync", {"refresh": True, "plan": preview["plan"]})
    show.check("what was shown was done", answer["changes"] == preview["changes"] != [])
    show.check("the mode is refresh", answer["mode"] == "refresh")


def scan_a_file(show: Show) -> None:
    show.library.rewrite(2, epub("Emma", ["Jane Austen"], language="en"))
    answer = show.post("/library/files/2/-/resync", {"mode": "scan"})
    show.check("the file's language is known", answer["rows"][0]["language"] == "en")
    show.check("its book follows", show.library.book(2)["title"] == "Emma")


def refresh_a_file(show: Show) -> None:
    show.library.rewrite(2, epub("Emma", ["Jane Austen"], language="fr"))
    answer = show.post("/library/files/2/-/resync", {"mode": "refresh", "fields": ["language"]})
    show.check("only the language changed", [c["field"] for c in answer["changes"]] == ["language"])
    show.check("it is the file's", answer["rows"][0]["language"] == "fr")


def a_manual_edit_is_kept_by_a_scan(show: Show) -> None:
    edited = show.post("/library/books/1/-/update", {"update": {"title": "My Dune"}, "return": True})
    show.check("Datasette's own update marks it", edited["rows"][0]["title_source"] == "manual")
    answer = show.post("/library/books/1/-/resync", {})
    show.check("the scan keeps it", answer["rows"][0]["title"] == "My Dune")
    show.check("and says why", _entry(answer, "kept", "title").get("reason") == "lower_priority")


def a_manual_edit_is_overwritten_by_a_refresh(show: Show) -> None:
    answer = show.post("/library/books/1/-/resync", {"mode": "refresh"})
    change = _entry(answer, "changes", "title")
    show.check("the title is the file's again", answer["rows"][0]["title"] == "Dune")
    show.check("as the answer tells", (change["old"], change["reason"]) == ("My Dune", "forced"))
    undone = show.post(f"/library/resync_runs/{answer['run']}/-/undo", {})
    show.check("undo brings it back", undone["ok"] and show.library.book()["title"] == "My Dune")


def a_file_that_is_gone(show: Show) -> None:
    show.library.remove(2)
    answer = show.post("/library/files/2/-/resync", {})
    show.check(
        "its record is removed", (answer["deleted"], show.library.rows("files", "id = 2")) == (True, [])
    )
    show.check("and its book, which has no other", answer["book_deleted"])
    undone = show.post(f"/library/resync_runs/{answer['run']}/-/undo", {})
    show.check("undo brings both back", undone["ok"] and show.library.book(2)["title"] == "Emma")
    root = show.library.root
    root.rename(root.with_name("elsewhere"))
    refused = show.post("/library/files/1/-/resync", {})
    root.with_name("elsewhere").rename(root)
    show.check("without its disk nothing is removed", refused["status"] == 409 and show.library.file())


def a_book_without_files(show: Show) -> None:
    book_id = show.library.add_book("Bare")
    answer = show.post(f"/library/books/{book_id}/-/resync", {})
    show.check(
        "it is removed", (answer["deleted"], answer["book_deleted"], answer["rows"]) == (True, True, [])
    )
    gone = show.post(f"/library/books/{book_id}/-/resync", {})
    show.check("and then it is not there", gone["status"] == 404)


SCENARIOS: tuple[Callable[[Show], None], ...] = (
    scan_a_book,
    refresh_a_book,
    scan_a_file,
    refresh_a_file,
    a_manual_edit_is_kept_by_a_scan,
    a_manual_edit_is_overwritten_by_a_refresh,
    a_file_that_is_gone,
    a_book_without_files,
)


@contextmanager
def show_of(folder: Path) -> Iterator[Show]:
    """Build the library of the scenarios, two books with an EPUB each, and serve it."""
    with WorkerPool(1, Limits(), default_extensions()) as pool:
        library = Library(folder, pool)
        for name, data in (
            ("dune", epub("Dune", ["Frank Herbert"], genres=["SF", "Classics"])),
            ("emma", epub("Emma", ["Jane Austen"])),
        ):
            library.add_file(library.add_book(name), f"{name}.epub", data)
        library.add_witness()
        with serving(library.path) as port, Caller(port, {"id": "root"}) as caller:
            yield Show(library, caller)
        library.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, show_of(Path(folder)) as show:
        for number, scenario in enumerate(SCENARIOS, 1):
            print(f"\n{number}. {scenario.__name__.replace('_', ' ')}")
            scenario(show)
        print(f"\n{len(SCENARIOS)} scenarios, {show.failures} answers that are not what they should be")
        return 1 if show.failures else 0


if __name__ == "__main__":
    sys.exit(main())
