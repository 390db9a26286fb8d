"""Tells Datasette's listeners what a run or an undo changed, after the commit."""

from __future__ import annotations

from datasette.events import UpdateRowEvent

from ..library_scan.done import RowDone
from ..model import ROW, TABLES
from ..resync import Undone
from .access import Actor
from .events import ResyncRowEvent, UndoResyncEvent
from .library import WebLibrary


async def tell_resync(library: WebLibrary, actor: Actor, done: RowDone | None) -> None:
    if done is None:
        return
    track = library.datasette.track_event
    for table, pk in done.rows:
        await track(_updated(library, actor, table, pk))
    await track(
        ResyncRowEvent(
            actor=actor,
            database=library.name,
            table=done.target.table,
            pks=[done.target.pk],
            mode=done.mode.value,
            run=done.run_id,
        )
    )


async def tell_undo(library: WebLibrary, actor: Actor, undone: Undone) -> None:
    track, target = library.datasette.track_event, undone.target
    rows = dict.fromkeys((e.table, e.pk) for e in undone.entries if e.table in TABLES and e.field != ROW)
    for table, pk in rows:
        await track(_updated(library, actor, table, pk))
    await track(
        UndoResyncEvent(
            actor=actor,
            database=library.name,
            table=target.table,
            pks=[target.pk],
            run=undone.undo_of,
            undone_by=undone.run_id,
        )
    )


def _updated(library: WebLibrary, actor: Actor, table: str, pk: int) -> UpdateRowEvent:
    """Return Datasette's own event, the id in it as Datasette tells it: the text of the address."""
    return UpdateRowEvent(actor=actor, database=library.name, table=table, pks=[str(pk)])
