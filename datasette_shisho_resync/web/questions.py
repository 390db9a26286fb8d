"""The stored queries of each library, and who may ask them: those who may see every table that they read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..errors import ResyncError
from ..settings import PLUGIN
from ..store.questions import Question, forget_questions, questions
from .access import Actor, visible_tables
from .library import WebLibrary, libraries_of
from .state import started_state, state_of

if TYPE_CHECKING:
    from datasette.app import Datasette


async def store_questions(datasette: Datasette) -> None:
    """Store the queries where nobody has one of that name.

    They are trusted, which spares people the permission to run any SQL; who may see them is said by
    `closed_questions`. So none may stay that was stored for what is no library any more.
    """
    await datasette.get_internal_database().execute_write_fn(partial(forget_questions, source=PLUGIN))
    for library in libraries_of(datasette):
        for question in questions(await library.schema()):
            await _store(datasette, library.name, question)


async def _store(datasette: Datasette, database: str, question: Question) -> None:
    present = await datasette.get_query(database, question.name)
    if present is not None:
        return
    await datasette.add_query(
        database,
        question.name,
        question.sql,
        title=question.title,
        description=question.description,
        hide_sql=True,
        is_trusted=True,
        source=PLUGIN,
    )
    state_of(datasette).questions.add((database, question.name))


async def closed_questions(datasette: Datasette, actor: Actor) -> list[tuple[str, str]]:
    """Return the queries, by database, that read a table which the actor may not see or that is not there.

    Of a database that can't be looked at, all: a moment later it may answer.
    """
    state = started_state(datasette)
    open_ones = {pair for library in libraries_of(datasette) for pair in await _open_ones(library, actor)}
    return sorted(state.questions - open_ones) if state else []


async def _open_ones(library: WebLibrary, actor: Actor) -> list[tuple[str, str]]:
    try:
        asked = questions(await library.schema())
    except ResyncError:
        return []
    tables = frozenset[str]().union(*(question.tables for question in asked))
    seen = await visible_tables(library.datasette, actor, library.name, tables)
    return [(library.name, question.name) for question in asked if question.tables <= seen]
