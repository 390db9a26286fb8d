"""The stored queries of each library, and who may ask them: those who may see every table that they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ResyncError
from ..settings import PLUGIN
from ..store.questions import Question, questions
from .access import Actor, visible_tables
from .library import libraries_of

if TYPE_CHECKING:
    from datasette.app import Datasette


async def store_questions(datasette: Datasette) -> None:
    """Store the queries where nobody has one of that name.

    They are trusted, which spares people the permission to run any SQL; who may see them is said by
    `closed_questions`.
    """
    for library in libraries_of(datasette):
        for question in questions(await library.schema()):
            await _store(datasette, library.name, question)


async def _store(datasette: Datasette, database: str, question: Question) -> None:
    present = await datasette.get_query(database, question.name)
    if present is not None and present.source != PLUGIN:
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


async def closed_questions(datasette: Datasette, actor: Actor) -> list[tuple[str, str]]:
    """Return the queries, by database, that read a table which the actor may not see or that is not there."""
    closed: list[tuple[str, str]] = []
    for library in libraries_of(datasette):
        try:
            asked = questions(await library.schema())
        except ResyncError:  # no library any more, or busy: asking fails just so
            continue
        tables = frozenset[str]().union(*(question.tables for question in asked))
        seen = await visible_tables(datasette, actor, library.name, tables)
        closed += [(library.name, question.name) for question in asked if not question.tables <= seen]
    return closed
