"""Questions that only SQL over provenance answers, as queries that Datasette stores for a library.

Written from the field table, so that a new field is asked about too. Each reads a table of books or files
once: Datasette stops a query after a second.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from ..fields import BOOK_FIELDS, BY_NAME, FILE_FIELDS, Field, Kind
from ..sources import MANUAL
from .browsing import present_source
from .schema import LibrarySchema


@dataclass(frozen=True, slots=True)
class Question:
    """`tables` are all that the query reads: who may not see one of them may not ask."""

    name: str
    title: str
    description: str
    sql: str
    tables: frozenset[str]


def forget_questions(conn: sqlite3.Connection, source: str) -> None:
    """Delete the stored queries of one source, which Datasette has no call for, from its own database."""
    conn.execute("delete from queries where source = ?", (source,))


def questions(schema: LibrarySchema) -> tuple[Question, ...]:
    """Return the questions that this library can answer."""
    return (
        _manual_values(schema),
        _fields_by_source(schema),
        *_HISTORY,
        *([_WITHOUT_COVER] if schema.has("files", "cover_image_filename") else []),
    )


_HISTORY = (
    Question(
        "runs_of_the_last_day",
        "Runs of the last 24 hours",
        "What changed since yesterday, who asked for it, and what it changed. Open a run to undo it.",
        """
select
  r.id as run,
  r.finished_at,
  coalesce(r.actor, '') as actor,
  r.via,
  r.mode,
  coalesce(b.title, r.target_table || ' ' || r.target_pk) as book,
  r.changed,
  r.removed,
  r.undone_by
from resync_runs as r
left join files as f on r.target_table = 'files' and f.id = r.target_pk
left join books as b on b.id = case r.target_table when 'books' then r.target_pk else f.book_id end
where r.started_at >= datetime('now', '-1 day')
order by r.id desc
""".strip(),
        frozenset({"resync_runs", "books", "files"}),
    ),
    Question(
        "files_that_failed",
        "Files that could not be read",
        "Each file that a scan of the whole library could not read, and why; the latest scan comes first.",
        """
select
  j.id as scan,
  j.finished_at,
  json_extract(e.value, '$.path') as path,
  replace(json_extract(e.value, '$.error'), json_extract(e.value, '$.path') || ': ', '') as error
from resync_jobs as j
join json_each(j.errors) as e
order by j.id desc, path
""".strip(),
        frozenset({"resync_jobs"}),
    ),
    Question(
        "overwritten_manual_values",
        "Values set by a person that a run overwrote",
        "What a person had set and a refresh or reset replaced. Undo the run to get it back.",
        """
select
  c.run_id as run,
  r.finished_at,
  r.mode,
  c.table_name as "table",
  c.row_pk as id,
  c.field,
  c.old_value as was,
  c.new_value as became
from resync_changes as c
join resync_runs as r on r.id = c.run_id
where c.old_source = 'manual'
  and c.new_source is not 'manual'
  and r.undone_by is null
order by c.run_id desc, c.id
""".strip(),
        frozenset({"resync_runs", "resync_changes"}),
    ),
)
_WITHOUT_COVER = Question(
    "books_without_cover",
    "Books without a cover",
    "Books none of whose files has a cover, inside or beside it.",
    """
select
  b.id,
  b.title,
  group_concat(f.file_type, ', ') as formats
from books as b
left join files as f on f.book_id = b.id and f.file_role = 'main'
group by b.id
having count(f.cover_image_filename) = 0
order by b.id
""".strip(),
    frozenset({"books", "files"}),
)


def _fields_by_source(schema: LibrarySchema) -> Question:
    """Each table is grouped by all its source columns at once, and the few groups are counted."""
    levels = list(_levels(schema))
    groups = ",\n".join(
        f"{table}_groups as (\n"
        f"  select {', '.join(present_source(f) for f in fields)}, count(*) as n\n"
        f"  from {table}\n"
        f"  group by {', '.join(str(number) for number in range(1, len(fields) + 1))}\n)"
        for table, fields in levels
    )
    parts = "\n  union all\n".join(
        f"  select '{table}', '{f.label}', {f.source_column}, n from {table}_groups"
        for table, fields in levels
        for f in fields
    )
    return Question(
        "fields_by_source",
        "Where the metadata comes from",
        "How many values of each field come from a person, a sidecar, the files, or their names.",
        f"""
with {groups},
counted("table", field, source, n) as (
{parts}
)
select "table", field, source, sum(n) as "values"
from counted
where source is not null
group by 1, 2, 3
order by 1, 2, 4 desc
""".strip(),
        frozenset(
            {"books", "files", "authors"} if BY_NAME["authors"] in schema.fields else {"books", "files"}
        ),
    )


def _manual_values(schema: LibrarySchema) -> Question:
    levels = list(_levels(schema))
    edited = ",\n".join(
        f"edited_{table} as materialized (\n"
        f"  select * from {table}\n"
        f"  where '{MANUAL}' in ({', '.join(str(f.source_column) for f in fields)})\n)"
        for table, fields in levels
    )
    selected = [
        f"{_selected(f)} from edited_{table} as t where t.{f.source_column} = '{MANUAL}'"
        for table, fields in levels
        for f in fields
    ]
    parts = "\n  union all\n".join([*selected, *_marked(schema)])
    tables = {"books", "files"}.union(*(_tables_of(f) for f in schema.fields))
    if schema.has_history:
        tables.add("resync_manual")
    return Question(
        "manual_values",
        "Values set by a person",
        "What a scan keeps and a refresh would overwrite, if the file says something else.",
        f"""
with {edited},
manual("table", id, book_id, field, value) as (
{parts}
)
select distinct m."table", m.id, b.title as book, m.field, m.value
from manual as m
join books as b on b.id = m.book_id
order by b.title, m."table", m.id, m.field
""".strip(),
        frozenset(tables),
    )


def _marked(schema: LibrarySchema) -> Iterator[str]:
    """Yield parts for the fields without a source column: marks of ours, also those from before there was
    one, and the name of a series."""
    for field in schema.fields:
        if field.source_column is not None and not field.shares_source:
            continue
        table = field.level.value
        if schema.has_history:
            yield (
                f"{_selected(field)} from resync_manual as k join {table} as t on t.id = k.row_pk"
                f" where k.table_name = '{table}' and k.field = '{field.name}'"
            )
        is_shared = field.shares_source and schema.source_column(field) is None
        if is_shared and schema.has("series", "name_source"):
            yield (
                f"{_selected(field)} from series as s join book_series as m on m.series_id = s.id"
                f" join books as t on t.id = m.book_id where s.name_source = '{MANUAL}'"
            )


def _selected(field: Field) -> str:
    table = field.level.value
    book_id = "t.id" if table == "books" else "t.book_id"
    return f"  select '{table}', t.id, {book_id}, '{field.label}', {_value_sql(field)}\n "


def _levels(schema: LibrarySchema) -> Iterator[tuple[str, list[Field]]]:
    """Yield each table with the fields that have a source column there."""
    for table, fields in (("books", BOOK_FIELDS), ("files", FILE_FIELDS)):
        yield table, [f for f in fields if f in schema.fields and schema.source_column(f)]


def _tables_of(field: Field) -> set[str]:
    return {table for table in (field.link_table, field.entity and field.entity.table) if table}


def _value_sql(field: Field) -> str:
    """Return a field's value as text: of a list, its entries."""
    if field.kind is Kind.CHAPTERS:
        return f"(select count(*) || ' chapters' from chapters as l where l.{field.owner_column} = t.id)"
    if field.kind is Kind.IDENTIFIERS:
        return (
            f"(select group_concat(l.type || ' ' || l.value, ', ') from {field.link_table} as l"
            f" where l.{field.owner_column} = t.id)"
        )
    if field.entity and field.link_table is None:
        return f"(select e.name from {field.entity.table} as e where e.id = t.{field.column})"
    if field.entity:
        order = "e.name" if field.kind is Kind.TERMS else "l.sort_order, l.id"
        return (
            f"(select group_concat(name, ', ') from (select e.name from {field.link_table} as l"
            f" join {field.entity.table} as e on e.id = l.{field.entity.id_column}"
            f" where l.{field.owner_column} = t.id order by {order}))"
        )
    return f"cast(t.{field.column} as text)"
