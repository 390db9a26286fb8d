"""A program that does something to a library in a child process, and kills the child before a given step.

Steps are every statement that SQLite starts (those of triggers and of full-text tables too), every line of
`files/write.py`, and every other change to a file that Python tells its audit hooks of: they are found by
tracing, so new ones are included. The program reads orders as JSON lines and answers with the steps taken;
what only has to be done is done untraced, in less time.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
import traceback
from contextlib import closing
from functools import partial
from types import FrameType
from typing import Any

from reader import Reader

import datasette_shisho_resync.parsers.epub  # noqa: F401  each child would import it anew
from datasette_shisho_resync.errors import ResyncError
from datasette_shisho_resync.files import write
from datasette_shisho_resync.library_scan import ScanOptions, scan_library
from datasette_shisho_resync.model import Mode, Target
from datasette_shisho_resync.resync import Ask, By, Service
from datasette_shisho_resync.resync.roots import with_default_roots
from datasette_shisho_resync.settings import Settings
from datasette_shisho_resync.store.schema import open_library

_CHANGES = (
    "os.rename",
    "os.remove",
    "os.chmod",
    "os.chown",
    "os.utime",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
)
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_WRITER = write.__file__
BY = By("cli")


class Steps:
    """Counts the steps of this process, and ends it before step `last`, counted from 0."""

    def __init__(self, last: int | None) -> None:
        self.taken: list[str] = []
        self._last = last
        self._lock = threading.Lock()
        self._is_on = True

    def watch(self) -> None:
        sqlite3.connect = partial(self._connect, sqlite3.connect)  # type: ignore[assignment]
        sys.addaudithook(self._on_event)
        threading.settrace(self._on_call)
        sys.settrace(self._on_call)

    def end(self) -> None:
        self._is_on = False
        sys.settrace(None)
        threading.settrace(None)

    def take(self, step: str) -> None:
        with self._lock:
            if self._is_on and len(self.taken) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            self.taken.append(step)

    def _connect(self, connect: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        conn: sqlite3.Connection = connect(*args, **kwargs)
        conn.set_trace_callback(lambda sql: self.take(" ".join(sql.split())[:60]))
        return conn

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event in _CHANGES or (event == "open" and arguments[2] & _FOR_WRITING):
            self.take(f"{event} {arguments[0]!r}")

    def _on_call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._on_line if frame.f_code.co_filename == _WRITER else None

    def _on_line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.take(f"write.py {frame.f_code.co_name}:{frame.f_lineno}")
        return self._on_line


def act(database: str, action: str, number: int = 0) -> None:
    """Do what a command does: what was interrupted is finished first."""
    with closing(open_library(database)) as conn:
        reader, settings = Reader(), with_default_roots(Settings(), conn, ())
        service = Service(conn, database, settings, reader)
        service.recover(BY)
        if action == "undo":
            service.undo(number, BY)
        elif action == "undo_job":
            service.undo_job(number, BY)
        elif action == "scan_library":
            options = ScanOptions(settings.roots or ())
            scan_library(conn, database, options, settings, reader, BY, lambda told: None)  # type: ignore[arg-type]
        elif action != "recover":
            service.run(Ask(Target("books", number), Mode(action)), BY)
        service.close()


def _child(order: dict[str, Any], answers: int) -> None:
    steps = Steps(order["kill_before"])
    if order["is_traced"]:
        steps.watch()
    refusal = None
    try:
        act(order["database"], order["action"], order["number"])
    except ResyncError as error:
        refusal = error.message
    steps.take("the end")
    steps.end()
    os.write(answers, json.dumps({"steps": steps.taken, "refusal": refusal}).encode())


def main() -> None:
    for line in sys.stdin:
        receiving, answering = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiving)
            try:
                _child(json.loads(line), answering)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(answering)
        with os.fdopen(receiving, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed, **json.loads(answer or b"{}")}), flush=True)


if __name__ == "__main__":
    main()
