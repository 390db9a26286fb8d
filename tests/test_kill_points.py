"""Whatever a run, scan or undo was doing when it was killed: the library is as before or as after, covers
and sidecars are whole, no media file was touched, and the next run finishes what was begun.

By default a sample of the steps is tried; `--every-kill-point` tries all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders.images import png
from library import Dump, Library, epub

SAMPLE = 4
RED, BLUE = png(3, 4, "red"), png(3, 4, "blue")
NEW = epub("New", ["Ann", "Bob"], genres=["SF"], series="Saga", number=2, cover=BLUE, publisher="P")


class Killer:
    """The program of `killed.py`."""

    def __init__(self) -> None:
        path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killed.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def do(
        self,
        library: Library,
        action: str,
        number: int,
        kill_before: int | None = None,
        *,
        is_traced: bool = True,
    ) -> dict[str, Any]:
        order = {"database": library.path, "action": action, "number": number}
        order |= {"kill_before": kill_before, "is_traced": is_traced}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert answer["killed"] == (kill_before is not None), answer
        return answer

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    made = Killer()
    yield made
    made.close()


@dataclass
class State:
    """All that counts in the end: rows, companions, media; and what must have gone by then."""

    rows: Dump
    companions: dict[str, bytes]
    media: dict[str, bytes]
    leftovers: list[str]

    @classmethod
    def of(cls, library: Library) -> State:
        files = {str(p.relative_to(library.root)): p for p in library.root.rglob("*") if p.is_file()}
        companions = {n: p.read_bytes() for n, p in files.items() if ".metadata.json" in n or ".cover." in n}
        media = {n: p.read_bytes() for n, p in files.items() if n.endswith(".epub")}
        library.reopen()
        assert library.conn.execute("pragma integrity_check").fetchone()[0] == "ok"
        rows = {
            table: [tuple((k, v) for k, v in row if not k.endswith("_at")) for row in rows]
            for table, rows in library.content().items()
        }
        return cls(rows, companions, media, sorted(set(files) - set(companions) - set(media)))


def refreshed(library: Library) -> tuple[str, int]:
    library.rewrite(1, NEW)
    return "refresh", 1


def reset(library: Library) -> tuple[str, int]:
    library.rewrite(1, NEW)
    return "reset", 1


def scanned(library: Library) -> tuple[str, int]:
    library.rewrite(1, NEW)
    library.edit_sidecar(library.book_sidecar(), title="Edited")
    return "scan", 1


def removed(library: Library) -> tuple[str, int]:
    library.add_witness()
    library.remove(1)
    return "scan", 1


def undone(library: Library) -> tuple[str, int]:
    library.rewrite(1, NEW)
    run = library.refresh()
    return "undo", run.run_id or 0


def removal_undone(library: Library) -> tuple[str, int]:
    library.add_witness()
    library.remove(1)
    return "undo", library.scan().run_id or 0


def library_scanned(library: Library) -> tuple[str, int]:
    library.rewrite(1, NEW)
    library.add_file(library.add_book("Moving"), "moving.epub", epub("Moving"))
    library.scan(pk=2)
    (library.root / "Moving").rename(library.root / "Moved")
    for name in ("One", "Two"):
        (library.root / name).mkdir()
        library.write(library.root / name / f"{name}.epub", epub(name, cover=RED, series="Saga", number=1))
    return "scan_library", 0


def library_scan_undone(library: Library) -> tuple[str, int]:
    library_scanned(library)
    report = library.scan_all()
    return "undo_job", report.job_id or 0


def names_swapped(library: Library) -> tuple[str, int]:
    """Of two files that have their own sidecars and covers, which stay where they are."""
    one, two, aside = (library.root / name for name in ("a.epub", "b.epub", "aside"))
    for path, cover in ((one, RED), (two, BLUE)):
        library.write(path, epub(path.stem, cover=cover))
    library.scan_all()
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    return "scan_library", 0


SCENARIOS = (
    refreshed, reset, scanned, removed, undone, removal_undone, library_scanned, library_scan_undone,
    names_swapped,
)  # fmt: skip


def steps_to_try(steps: list[str], every: bool) -> list[int]:
    """Return all steps, or a sample of them with those around each commit."""
    if every:
        return list(range(len(steps)))
    stride = max(1, len(steps) // SAMPLE)
    return sorted({*range(0, len(steps), stride), *(i - d for i in after_commits(steps) for d in (0, 1))})


def after_commits(steps: list[str]) -> list[int]:
    """Return the step after each commit, which has steps of its own: of the full-text tables."""
    is_inner = [step.startswith("--") for step in steps]
    return [is_inner.index(False, i + 1) for i, step in enumerate(steps) if step.lower() == "commit"]


@pytest.mark.parametrize("prepare", SCENARIOS)
def test_what_is_killed_at_any_step_is_as_before_or_as_after_and_finished_by_the_next_run(
    book: Library,
    killer: Killer,
    prepare: Callable[[Library], tuple[str, int]],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> None:
    book.rewrite(1, epub("Old", cover=RED))
    book.scan()
    action, number = prepare(book)
    book.close()
    backup = tmp_path_factory.mktemp("backup") / "as it was"
    shutil.copytree(book.folder, backup)

    def do(kill_before: int | None = None) -> dict[str, Any]:
        book.conn.close()
        shutil.rmtree(book.folder)
        shutil.copytree(backup, book.folder)
        return killer.do(book, action, number, kill_before)

    before = State.of(book)
    steps = do()["steps"]
    after = State.of(book)
    assert after.leftovers == []
    tried = steps_to_try(steps, pytestconfig.getoption("every_kill_point"))
    states = {}
    print(f"{prepare.__name__}: killed before {len(tried)} of {len(steps)} steps")
    for step in tried:
        where = f"killed before step {step}: {steps[step]}"
        assert do(step)["killed"], where
        found = states[step] = State.of(book)
        assert found.media == before.media, where
        for name, data in found.companions.items():
            assert data in (before.companions.get(name), after.companions.get(name)), f"{where}: {name}"
        book.conn.close()
        again = killer.do(book, action, number, is_traced=False)
        assert again["refusal"] is None or found.rows == after.rows, where
        finished = State.of(book)
        wrong = {name for name, _ in finished.companions.items() ^ after.companions.items()}
        assert not wrong, f"{where}: {wrong}"
        assert finished == after, where
        assert book.rows("resync_pending") == [], where
    committed = [before.rows, *(states[step].rows for step in after_commits(steps))]
    assert committed[-1] == after.rows
    for step, found in states.items():
        assert found.rows in committed, f"killed before step {step}: {steps[step]}"
