"""Undo in Datasette, and the tables of the history that only runs may write."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from library import Library, epub
from markupsafe import escape
from web import EDITOR, GRANTS, ROOT, Client, Plain, served

from datasette_shisho_resync.store.schema import create_history, create_library
from datasette_shisho_resync.web.guards import may_look
from datasette_shisho_resync.web.state import state_of

pytestmark = pytest.mark.asyncio

UNDO = "/library/resync_runs/1/-/undo"


@pytest.fixture
def client(book: Library) -> Client:
    """Root's client of a library with one run, that of book 1."""
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"]))
    book.scan()
    return Client(served(book))


async def post(client: Client, path: str = UNDO, actor: Any = EDITOR, **body: Any) -> Any:
    return await client.ds.client.post(path, actor=actor, json=body)


async def test_the_page_shows_what_comes_back_and_what_goes(client: Client) -> None:
    page = (await client.get(UNDO)).text
    for words in ("Undo this run", "Dune", "persons 1: Frank Herbert", 'value="Undo"'):
        assert words in page


async def test_the_form_undoes_and_leads_to_the_row(client: Client, book: Library) -> None:
    response = await client.form(UNDO, {"undo": "Undo"})
    assert (response.status_code, response.headers["location"]) == (303, "/library/books/1")
    assert client.messages(response) == ["Run 1 undone"]
    assert (book.book()["title_source"], book.genres()) == ("filepath", [])


async def test_an_undo_waits_for_a_run_of_its_book_that_still_writes_files(
    client: Client, book: Library
) -> None:
    await client.ds.invoke_startup()
    async with state_of(client.ds).lock("library", "books", 1):
        undoing = asyncio.ensure_future(post(client, actor={"id": "root"}))
        assert await asyncio.wait({undoing}, timeout=0.5) == (set(), {undoing})
    assert (await undoing).status_code == 200
    assert book.book()["title_source"] == "filepath"


async def test_json_undoes_and_answers_with_what_it_put_back(client: Client, book: Library) -> None:
    shown = (await client.get(UNDO, json=True)).json()
    client.ds.config["permissions"] = GRANTS
    answer = (await post(client)).json()
    done = {(c["table"], c["pk"], c["field"]): c for c in answer["changes"]}
    assert [c for c in shown["changes"] if c["field"] == "row"]
    for change in shown["changes"]:
        same = done[change["table"], change["pk"], change["field"]]
        assert change["field"] == "row" or (change["old"], change["new"]) == (same["old"], same["new"])
        assert (type(change["old"]), type(change["new"])) == (type(same["old"]), type(same["new"]))
    assert (answer["ok"], answer["undo_of"], answer["run"]) == (True, 1, 2)
    assert book.rows("resync_runs")[1]["actor"] == "ed"


async def test_a_title_that_looks_like_json_comes_back_as_it_was(client: Client, book: Library) -> None:
    title = '{"name": "Dune"}'
    book.edit("books", title=title, title_source="manual")
    run = (await client.resync(mode="refresh")).json()["run"]
    path = f"/library/resync_runs/{run}/-/undo"
    changes = (await client.get(path, json=True)).json()["changes"]
    assert title in [change["new"] for change in changes]
    assert str(escape(title)) in (await client.get(path)).text


async def test_what_comes_back_beside_values_is_counted(client: Client, book: Library) -> None:
    book.edit("books", title="Mine", title_source="manual", subtitle="Ours", subtitle_source="manual")
    run = (await client.resync(mode="refresh")).json()["run"]
    assert "1 more entry<" in (await client.get(f"/library/resync_runs/{run}/-/undo")).text


async def test_a_removed_book_comes_back(client: Client, book: Library) -> None:
    book.add_witness()
    book.remove(1)
    run = (await client.resync()).json()["run"]
    page = (await client.get(f"/library/resync_runs/{run}/-/undo")).text
    back = page.partition("Comes back")[2]
    assert 0 < back.index("book 1") < back.index("file 1") < back.index("authors 1")
    response = await client.form(f"/library/resync_runs/{run}/-/undo", {"undo": "Undo"})
    assert response.headers["location"] == "/library/books/1"
    assert book.book()["title"] == "Dune"


async def test_the_page_of_an_undo_says_that_it_is_one(client: Client) -> None:
    undone = (await post(client, actor={"id": "root"})).json()["run"]
    page = (await client.get(f"/library/resync_runs/{undone}/-/undo")).text
    assert "Puts back what undoing run 1 of" in page


async def test_a_field_changed_since_is_409_and_named(client: Client, book: Library) -> None:
    book.edit("books", title="Mine")
    client.ds.config["permissions"] = GRANTS
    response = await post(client)
    assert (response.status_code, response.json()["fields"]) == (409, ["books.1.title"])
    page = await client.get(UNDO, EDITOR)
    assert (page.status_code, "books.1.title" in page.text) == (409, True)


async def test_a_run_whose_mode_no_run_wrote_has_its_page(client: Client, book: Library) -> None:
    book.edit("resync_runs", mode=b"\xff")
    assert (await client.get(UNDO)).status_code == 200


async def test_a_run_is_undone_once(client: Client) -> None:
    assert (await post(client, actor={"id": "root"})).status_code == 200
    assert (await post(client, actor={"id": "root"})).status_code == 409


@pytest.mark.parametrize(
    ("run", "actor", "status"),
    [
        (99, {"id": "root"}, 404),
        ("x", {"id": "root"}, 404),
        (1, None, 403),
        (99, None, 403),
        (1, {"id": "upd"}, 403),
    ],
)
async def test_who_may_not_undo_learns_nothing(client: Client, run: Any, actor: Any, status: int) -> None:
    client.ds.config["permissions"] = {
        **GRANTS,
        "resync-row": {"id": ["ed", "root"]},
        "update-row": {"id": ["ed", "root", "upd"]},
    }
    for response in (
        await client.get(f"/library/resync_runs/{run}/-/undo", actor, json=True),
        await post(client, f"/library/resync_runs/{run}/-/undo", actor),
    ):
        assert (response.status_code, response.json()["ok"]) == (status, False)


async def test_undo_needs_resync_row_on_the_table_of_its_run(client: Client) -> None:
    only_files = {"files": {"permissions": {"resync-row": {"id": "ed"}, "update-row": {"id": "ed"}}}}
    client.ds.config["databases"] = {"library": {"tables": only_files}}
    assert (await post(client)).status_code == 403


async def test_undo_of_a_closed_library_is_403(book: Library) -> None:
    book.rewrite(1, epub("Dune"))
    book.scan()
    client = Client(served(book, {"library_access": {"Books": {"id": "other"}}}, GRANTS))
    assert (await post(client)).status_code == 403
    assert (await post(client, "/library/resync_runs/99/-/undo")).status_code == 403


async def test_who_may_not_view_the_tables_undoes_without_seeing_values(
    client: Client, book: Library
) -> None:
    client.ds.config["permissions"] = {**GRANTS, "view-table": {"id": "ed"}}
    blind = {"id": "blind"}
    assert (await client.get(UNDO, blind, json=True)).status_code == 403
    answer = (await post(client, actor=blind)).json()
    assert "Dune" not in str(answer)
    assert {c["new"] for c in answer["changes"]} == {None}
    assert book.book()["title_source"] == "filepath"


async def test_an_unknown_key_is_400(client: Client, book: Library) -> None:
    assert (await post(client, actor={"id": "root"}, force=True)).status_code == 400
    assert book.book()["title"] == "Dune"


async def test_a_run_has_the_action_until_it_is_undone(client: Client) -> None:
    assert "Undo this run" in (await client.get("/library/resync_runs/1")).text
    await post(client, actor={"id": "root"})
    assert (
        'role="menuitem" tabindex="-1">Undo this run' not in (await client.get("/library/resync_runs/1")).text
    )


async def test_listeners_hear_of_an_undo(client: Client, monkeypatch: Any) -> None:
    heard: list[Any] = []

    async def track(event: Any) -> None:
        heard.append(event)

    monkeypatch.setattr(client.ds, "track_event", track)
    await post(client, actor={"id": "root"})
    [undone] = [e for e in heard if e.name == "undo-resync"]
    assert (undone.table, undone.pks, undone.run, undone.undone_by) == ("books", [1], 1, 2)


# --- the history is not for writing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("resync_runs/1/-/update", {"update": {"undone_by": None}}),
        ("resync_changes/1/-/delete", {}),
        ("resync_changes/-/insert", {"row": {"run_id": 1}}),
        ("RESYNC_RUNS/1/-/update", {"update": {"undone_by": None}}),
        ("resync_runs/-/drop", {"confirm": True}),
    ],
)
async def test_nobody_writes_the_history_by_hand(client: Client, book: Library, path: str, body: Any) -> None:
    before = book.dump()
    response = await client.ds.client.post(f"/library/{path}", actor={"id": "root"}, json=body)
    assert response.status_code in (403, 404)
    assert book.dump() == before


async def test_nobody_writes_the_history_by_sql(client: Client, book: Library) -> None:
    before = book.dump()
    for sql in (
        "delete from resync_changes",
        "update resync_runs set undone_by = null",
        "drop table resync_runs",
        "delete from main.[Resync_Changes]",
        "replace into resync_blobs values ('a', 'b')",
        "with x as (select 1) delete from resync_runs",
        "alter table resync_runs rename to mine",
        "create trigger t after update on books begin delete from resync_runs; end",
        "create temp trigger t after update on books begin delete from resync_runs; end",
        "pragma writable_schema = 1",
    ):
        response = await client.ds.client.post(
            "/library/-/execute-write", actor={"id": "root"}, json={"sql": sql}
        )
        assert response.status_code == 403, response.text
    assert book.dump() == before


@pytest.mark.parametrize(
    ("actor", "status"), [(None, 403), ({"id": "upd"}, 403), (EDITOR, 200), ({"id": "root"}, 200)]
)
async def test_the_history_is_seen_by_those_who_may_resync(client: Client, actor: Any, status: int) -> None:
    client.ds.config["permissions"] = GRANTS
    for table in ("resync_runs", "resync_changes", "resync_blobs"):
        assert (await client.get(f"/library/{table}", actor)).status_code == status
    assert (await client.get("/library/books", actor)).status_code == 200


async def test_with_closed_libraries_only_root_sees_the_history(book: Library) -> None:
    book.scan()
    client = Client(served(book, {"library_access": {"Other": {"id": "x"}}}, GRANTS))
    assert (await client.get("/library/resync_runs", EDITOR)).status_code == 403
    assert (await client.get("/library/resync_runs")).status_code == 200


async def test_what_becomes_a_library_later_shows_its_history_to_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "late.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("create table notes (id integer primary key)")
    ds = Plain([str(path)], config={"permissions": GRANTS})
    ds.root_enabled = True
    await ds.invoke_startup()
    with closing(sqlite3.connect(path)) as conn:
        create_library(conn)
        create_history(conn)
        conn.commit()
    for actor, status in ((None, 403), (EDITOR, 403), ({"id": "root"}, 200)):
        for table in ("resync_runs", "resync_changes", "resync_blobs"):
            assert (await ds.client.get(f"/late/{table}", actor=actor)).status_code == status
    assert (await ds.client.get("/late/notes")).status_code == 200


async def test_a_restricted_token_of_root_sees_no_more_than_it_says(client: Client) -> None:
    await client.ds.invoke_startup()
    token = {"id": "root", "_r": {"r": {"library": {"books": ["resync-row", "ur"]}}}}
    assert not await may_look(client.ds, token, "library")
    token["_r"] = {"a": ["resync-row", "ur", "vt", "vd", "vi"]}
    assert await may_look(client.ds, token, "library")


@pytest.mark.parametrize("table", ["books", "files"])
async def test_the_history_needs_view_table_on_both_tables(client: Client, table: str) -> None:
    hidden = {"permissions": {"view-table": {"id": "other"}}}
    client.ds.config.update({"permissions": GRANTS, "databases": {"library": {"tables": {table: hidden}}}})
    other = {"books": "files", "files": "books"}[table]
    for name, status in (("resync_changes", 403), ("resync_runs", 403), (other, 200), (table, 403)):
        assert (await client.get(f"/library/{name}", EDITOR)).status_code == status


@pytest.mark.parametrize(
    "block", [{"allow": {"id": "ed"}}, {"tables": {"resync_runs": {"allow": {"id": "ed"}}}}]
)
async def test_who_may_not_see_the_runs_does_not_see_the_jobs_of_others(
    client: Client, book: Library, block: dict[str, Any]
) -> None:
    both = {"id": ["ed", "root"]}
    grants = {"resync-row": both, "update-row": both}
    client.ds.config.update({"permissions": grants, "databases": {"library": block}})
    book.add("resync_jobs", kind="scan", state="done", started_at="x")
    for page in ("resync_runs", "-/resync/jobs/1"):
        for actor, status in ((EDITOR, 200), (ROOT, 403)):
            assert (await client.get(f"/library/{page}", actor)).status_code == status


@pytest.mark.parametrize("name", ["books", "files", "library"])
async def test_the_history_is_listed_whatever_the_database_is_called(book: Library, name: str) -> None:
    book.scan()
    path = book.folder / f"{name}.db"
    if name != "library":
        book.conn.execute("vacuum into ?", (str(path),))
    ds = Plain([str(path)], config={"permissions": GRANTS}, settings={"base_url": "/books/"})
    for page in (f"/{name}", f"/{name}/resync_runs", f"/{name}/resync_runs/1"):
        response = await ds.client.get(ds.urls.path(page), actor=EDITOR)
        assert (response.status_code, "resync_runs" in response.text) == (200, True)
