"""One library database inside Datasette: what of a run reads, each step in the thread where it belongs.

Rows are read on Datasette's read connections, files in worker processes that a thread of ours waits for.
Nothing here writes, nor waits on the event loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Conflict, FileRefused, UnknownRow
from ..model import Brief, Outcome, Target
from ..resync import Ask, Gathered, Gathering, Planned, find_brief, plan_run, preview
from ..resync.gathering import Reader
from ..resync.roots import with_advice
from ..resync.undoing import load_undo
from ..settings import Settings
from ..store.evidence import KnownBelow
from ..store.history import Run, load_run
from ..store.schema import LibrarySchema, exact_text, translate
from .state import Opened, WebState, file_at

if TYPE_CHECKING:
    from datasette.app import Datasette
    from datasette.database import Database

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LibraryReader:
    """A database of a Datasette instance, to be read; every method raises errors of ours only."""

    datasette: Datasette
    db: Database
    state: WebState

    @property
    def name(self) -> str:
        return str(self.db.name)

    @property
    def settings(self) -> Settings:
        return self.state.settings_for(self.name)

    @property
    def file(self) -> str:
        """Raises Conflict for a database in memory."""
        if self.db.path is None:
            raise Conflict(f"{self.name}: a job needs a database in a file.")
        return str(self.db.path)

    @property
    def opened(self) -> Opened:
        return self.state.opened(self.db)

    @property
    def was_replaced(self) -> bool:
        """Tell whether what Datasette has open is not the file at its path any more."""
        known = self.opened.file
        return known is not None and file_at(self.db.path) != known

    def require_same_file(self) -> None:
        """Raises Conflict where all that is written would be lost; SQLite tells only outside of WAL mode."""
        if self.was_replaced:
            raise Conflict(
                f"{self.name}: its file was replaced or removed since Datasette opened it. Restart Datasette."
            )

    async def read(self, work: Callable[[sqlite3.Connection, LibrarySchema], T]) -> T:
        """Run `work` on a read connection, text exact. Raises NotALibrary, DatabaseBusy, Conflict."""

        def read_library(conn: sqlite3.Connection) -> T:
            schema = self.state.schema(self.db, conn)
            with exact_text(conn):
                return work(conn, schema)

        try:
            result: T = await self.db.execute_fn(read_library)
        except sqlite3.Error as error:
            self.require_same_file()
            raise translate(error, self.name) from error
        return result

    async def schema(self) -> LibrarySchema:
        """Return the library's tables as they are now. Raises NotALibrary, DatabaseBusy."""

        def look_at_schema(conn: sqlite3.Connection, schema: LibrarySchema) -> LibrarySchema:
            return schema

        return await self.read(look_at_schema)

    async def brief(self, target: Target) -> Brief:
        """Return the rows a run is about. Raises UnknownRow."""
        return await self.read(lambda conn, schema: find_brief(conn, target))

    async def present_brief(self, target: Target) -> Brief | None:
        """Return the rows that a run was about, or None when its row is gone."""
        try:
            return await self.brief(target)
        except UnknownRow:
            return None

    async def preview(self, ask: Ask, brief: Brief) -> Outcome:
        """Return what a run would do."""
        gathered = await self._gather(ask, brief)
        return await self.read(lambda conn, schema: preview(conn, schema, ask, gathered, self.settings))

    async def planned(self, ask: Ask, brief: Brief) -> Planned:
        """Return every decision, for `explain`."""
        ask = replace(ask, explains=True)
        gathered = await self._gather(ask, brief)
        return await self.read(lambda conn, schema: plan_run(conn, schema, ask, gathered, self.settings))

    async def recorded_run(self, run_id: int) -> Run:
        """Return a run of the history. Raises UnknownRow."""

        def load(conn: sqlite3.Connection, schema: LibrarySchema) -> Run:
            if not schema.has_history:
                raise UnknownRow(f"There is no run {run_id}.")
            return load_run(conn, run_id)

        return await self.read(load)

    async def check_undo(self, run_id: int) -> None:
        """Return if the run can be undone now. Raises Conflict, UndoConflict."""
        await self.read(lambda conn, schema: load_undo(conn, schema, run_id))

    # --- reading files ------------------------------------------------------------------------

    async def in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Run what waits in a thread of ours."""
        return await asyncio.get_running_loop().run_in_executor(self.state.threads, work, *args)

    async def _gather(self, ask: Ask, brief: Brief, reader: Reader | None = None) -> Gathered:
        loop = asyncio.get_running_loop()

        def ask_database(query: Callable[[sqlite3.Connection], KnownBelow]) -> KnownBelow:
            reading = self.read(lambda conn, schema: query(conn))
            return asyncio.run_coroutine_threadsafe(reading, loop).result()

        gathering = Gathering(ask, brief, self.settings, reader or self.state.pool, ask_database)
        return self._advised(await self.in_thread(gathering.run))

    def _advised(self, gathered: Gathered) -> Gathered:
        if isinstance(gathered.refusal, FileRefused) and self.state.settings.roots is None:
            refusal = with_advice(gathered.refusal, gathered.brief, self.settings)
            return replace(gathered, refusal=refusal)
        return gathered
