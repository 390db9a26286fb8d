"""The JSON API of a resync, by every status it may answer with and every role that may ask."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from datasette import hookimpl
from datasette.database import Database
from datasette.permissions import PermissionSQL
from datasette.plugins import pm
from datasette.utils import StartupError
from library import Library, epub
from web import EDITOR, GRANTS, ROOT, Client, Plain, Served, served

from datasette_shisho_resync.settings import PLUGIN
from datasette_shisho_resync.store.schema import create_history

pytestmark = pytest.mark.asyncio

URL = "/library/books/1/-/resync"
UNDO = "/library/resync_runs/1/-/undo"
JOB = "/library/books/-/resync"


@pytest.fixture
def client(book: Library) -> Client:
    """Root's client of a library whose one book is called Dune by its file."""
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"], language="en"))
    return Client(served(book))


def is_error(response: Any, status: int, *words: str) -> bool:
    """Tell whether an answer is an error in Datasette's shape that holds these words and no traceback."""
    body = response.json()
    assert response.status_code == status, response.text
    assert set(body) >= {"ok", "error", "errors", "status"}
    assert (body["ok"], body["status"]) == (False, status)
    assert "Traceback" not in response.text
    return all(word in response.text for word in words)


# --- what a run answers -------------------------------------------------------------------------


async def test_a_scan_changes_the_row_and_returns_it(client: Client, book: Library) -> None:
    answer = (await client.resync()).json()
    assert answer["ok"] is answer["changed"] is True
    assert (answer["mode"], answer["dry_run"], answer["deleted"]) == ("scan", False, False)
    assert answer["rows"][0]["title"] == book.book()["title"] == "Dune"
    assert answer["files"] == [{"id": 1, "path": str(book.file_path()), "status": "ok", "error": None}]
    title = next(c for c in answer["changes"] if c["field"] == "title")
    assert (title["table"], title["pk"], title["new"], title["new_source"]) == (
        "books", 1, "Dune", "epub_metadata",
    )  # fmt: skip
    assert answer["run"] == 1


async def test_a_second_scan_changes_nothing(client: Client, book: Library) -> None:
    await client.resync()
    before = book.content()
    answer = (await client.resync()).json()
    assert (answer["changed"], answer["run"]) == (False, None)
    assert book.content() == before


async def test_a_dry_run_is_the_plan_and_writes_nothing(client: Client, book: Library) -> None:
    before = book.dump()
    shown = (await client.get(URL, json=True)).json()
    tried = (await client.resync(dry_run=True)).json()
    assert book.dump() == before
    assert (shown["dry_run"], tried["dry_run"], tried["run"]) == (True, True, None)
    done = (await client.resync(plan=shown["plan"])).json()
    for part in ("plan", "changes", "kept", "files"):
        assert shown[part] == tried[part] == done[part]


@pytest.mark.parametrize(
    "body", [{"mode": "refresh"}, {"refresh": True}, {"refresh": True, "mode": "refresh"}]
)
async def test_a_refresh_overwrites_a_manual_value(client: Client, book: Library, body: Any) -> None:
    book.edit("books", title="Mine", title_source="manual")
    assert (await client.resync()).json()["rows"][0]["title"] == "Mine"
    answer = (await client.resync(**body)).json()
    assert (answer["mode"], answer["rows"][0]["title"]) == ("refresh", "Dune")


async def test_a_reset_clears_what_no_file_says(client: Client, book: Library) -> None:
    book.edit("books", subtitle="Mine", subtitle_source="manual")
    assert (await client.resync(mode="reset")).json()["rows"][0]["subtitle"] is None


async def test_a_file_is_a_target_too(client: Client, book: Library) -> None:
    answer = (await client.resync("files")).json()
    assert answer["rows"][0]["language"] == book.file()["language"] == "en"


async def test_only_named_fields_change(client: Client, book: Library) -> None:
    answer = (await client.resync(fields=["title", "sort_title"])).json()
    assert {c["field"] for c in answer["changes"]} == {"title", "sort_title"}
    assert (book.book()["title"], book.genres()) == ("Dune", [])


async def test_no_field_chosen_changes_nothing(client: Client) -> None:
    assert (await client.resync(fields=[])).json()["changed"] is False


async def test_a_book_whose_last_file_vanished_is_removed(client: Client, book: Library) -> None:
    book.add_witness()
    book.remove(1)
    answer = (await client.resync()).json()
    assert (answer["deleted"], answer["book_deleted"], answer["rows"]) == (True, True, [])
    assert any(c["field"] == "row" and c["reason"] == "removed" for c in answer["changes"])
    assert book.rows("books", "id = 1") == []


async def test_a_run_tells_who_asked_and_how(client: Client, book: Library) -> None:
    await client.resync()
    [run] = book.rows("resync_runs")
    assert (run["actor"], run["via"], run["mode"]) == ("root", "api", "scan")


async def test_two_runs_at_once_change_the_row_once(client: Client, book: Library) -> None:
    answers = [r.json() for r in await asyncio.gather(*(client.resync() for _ in range(4)))]
    assert sorted(a["changed"] for a in answers) == [False, False, False, True]
    assert len(book.rows("resync_runs")) == 1


async def test_what_was_scanned_is_not_taken_for_a_manual_edit(client: Client, book: Library) -> None:
    await client.resync()
    book.rewrite(1, epub("Dune Messiah"))
    await client.resync()
    assert (book.book()["title"], book.book()["title_source"]) == ("Dune Messiah", "epub_metadata")


# --- how it may be asked ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"mode": "scan"}', {}),
        (b'{"mode": "scan"}', {"Content-Type": "application/x-www-form-urlencoded"}),
        (b' {"mode": "scan"}', {"Content-Type": "text/plain"}),
        (b"", {}),
        (b"{}", {"Content-Type": "application/json"}),
    ],
)
async def test_json_is_json_whatever_the_content_type(client: Client, content: bytes, headers: Any) -> None:
    response = await client.ds.client.post(URL, actor=ROOT, content=content, headers=headers)
    assert response.json()["ok"] is True


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{nonsense", ["Invalid JSON"]),
        (b"[]", ["JSON must be a dictionary"]),
        (b"[" * 100_000, ["Invalid JSON"]),
        (b'{"a\xff": 1}', ["Invalid JSON"]),
        (b'{"titel": 1, "feld": 2}', ["Invalid keys: feld, titel"]),
        (b'{"mode": "wipe"}', ["mode must be one of"]),
        (b'{"mode": 7}', ["mode must be one of"]),
        (b'{"refresh": "yes"}', ["refresh must be true or false"]),
        (b'{"fields": "title"}', ["fields must be a list"]),
        (b'{"fields": ["titel"]}', ["Unknown field: titel"]),
        (b'{"plan": 1}', ["plan must be"]),
        (b'{"mode": ""}', ["mode must be one of"]),
        (b'{"mode": "scan", "mode": "reset"}', ["Repeated keys: mode"]),
        (b'{"dry_run": NaN}', ["dry_run must be"]),
        (b'{"refresh": true, "mode": "scan"}', ["contradict"]),
        (
            b'{"titel": 1, "mode": "wipe", "dry_run": 1, "fields": ["feld"]}',
            ["Invalid keys: titel", "mode must be one of", "dry_run must be", "Unknown field: feld"],
        ),
    ],
)
async def test_bad_bodies_are_400(client: Client, book: Library, content: bytes, words: list[str]) -> None:
    before = book.dump()
    headers = {"Content-Type": "application/json"}
    response = await client.ds.client.post(URL, actor=ROOT, content=content, headers=headers)
    assert is_error(response, 400, *words)
    assert book.dump() == before


async def test_everything_that_is_wrong_is_said_at_once(client: Client) -> None:
    response = await client.resync(nonsense=1, refresh="x", dry_run="y")
    assert len(response.json()["errors"]) == 3
    assert response.json()["error"] == "; ".join(response.json()["errors"])


async def test_a_body_that_is_too_large_is_413(book: Library) -> None:
    client = Client(served(book, settings=None))
    client.ds._settings["max_post_body_bytes"] = 10
    response = await client.resync(fields=["title"] * 10)
    assert is_error(response, 413)


@pytest.mark.parametrize(
    ("content_type", "answered"),
    [
        (None, "application/json"),
        ("text/plain", "application/json"),
        ("application/x-www-form-urlencoded", "text/html"),
        ("multipart/form-data; boundary=x", "text/html"),
    ],
)
async def test_a_body_that_nobody_could_look_at_is_json_unless_it_says_that_it_is_a_form(
    book: Library, content_type: str | None, answered: str
) -> None:
    client = Client(served(book, settings=None))
    client.ds._settings["max_post_body_bytes"] = 10
    headers = {"content-type": content_type} if content_type else {}
    path = client.path("books", 1)
    response = await client.ds.client.post(path, content=b'{"fields": []}', headers=headers, actor=ROOT)
    assert response.status_code == 413
    assert response.headers["content-type"].startswith(answered)


async def test_a_client_that_goes_away_is_no_error_of_ours(
    client: Client, book: Library, caplog: Any
) -> None:
    await client.ds.invoke_startup()
    before, sent = book.dump(), []
    headers = [(b"host", b"x"), (b"cookie", b"ds_actor=" + client.ds.sign({"a": ROOT}, "actor").encode())]
    scope = {"type": "http", "method": "POST", "path": URL, "raw_path": URL.encode(), "query_string": b""}

    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    await client.ds.app()({**scope, "headers": headers, "http_version": "1.1"}, leave, keep)
    assert (sent[0]["status"], caplog.text, book.dump()) == (400, "", before)


async def test_a_plan_that_no_longer_holds_is_409_with_the_new_one(
    client: Client, book: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    old = (await client.get(URL, json=True)).json()["plan"]
    book.rewrite(1, epub("Another title"))
    for dry_run in (True, False):
        response = await client.resync(plan=old, dry_run=dry_run)
        assert is_error(response, 409)
        titles = [c["new"] for c in response.json()["plan"]["changes"] if c["field"] == "title"]
        assert titles == ["Another title"]
    assert book.book()["title_source"] == "filepath"
    logged = capsys.readouterr().err  # Datasette prints what a write raised
    assert ("Something changed" in logged, "title" in logged) == (True, False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/library/books/99/-/resync", 404),
        ("/library/books/abc/-/resync", 404),
        ("/library/books/99999999999999999999/-/resync", 404),
        ("/library/books/1,2/-/resync", 400),
        ("/nowhere/books/1/-/resync", 404),
        ("/library/books/1/-/resync?mode=wipe", 400),
        ("/library/books/1/-/resync?mode=", 400),
    ],
)
async def test_an_address_that_leads_nowhere(client: Client, path: str, status: int) -> None:
    assert is_error(await client.get(path, json=True), status)
    page = await client.get(path)
    assert (page.status_code, "<h1>" in page.text, "Traceback" in page.text) == (status, True, False)


async def test_other_tables_have_no_resync(client: Client) -> None:
    assert (await client.get("/library/persons/1/-/resync", json=True)).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_405(client: Client, method: str) -> None:
    response = await client.ds.client.request(method, URL, actor=ROOT, headers={"Accept": "application/json"})
    assert is_error(response, 405)
    assert response.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    assert (await client.ds.client.request(method, URL, actor=ROOT)).status_code == 405


async def test_options_and_head_change_nothing(client: Client, book: Library) -> None:
    before = book.dump()
    assert (await client.ds.client.options(URL)).status_code == 200
    head = await client.ds.client.request("HEAD", URL, actor=ROOT)
    assert (head.status_code, head.text) == (200, "")
    assert book.dump() == before


async def test_cors_headers_where_datasette_has_them(book: Library) -> None:
    client = Client(served(book, cors=True))
    for response in (await client.resync(), await client.resync(pk=99), await client.ds.client.options(URL)):
        assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in (await Client(served(book)).resync()).headers


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "status"),
    [(None, 403), ({"id": "nobody"}, 403), ({"id": "upd"}, 403), (EDITOR, 200), ({"id": "blind"}, 200)],
)
@pytest.mark.parametrize("pk", [1, 99])
async def test_who_may_not_resync_learns_nothing(book: Library, actor: Any, status: int, pk: int) -> None:
    client = Client(served(book, permissions={**GRANTS, "view-table": {"id": ["ed", "upd", "nobody"]}}))
    wanted = 404 if (pk, status) == (99, 200) else status
    assert (await client.resync(pk=pk, actor=actor)).status_code == wanted


async def test_resync_row_alone_is_not_enough(book: Library) -> None:
    client = Client(served(book, permissions={"resync-row": {"id": "ed"}}))
    assert is_error(await client.resync(actor=EDITOR), 403, "need resync-row")


async def test_who_may_not_view_the_table_gets_no_values(client: Client, book: Library) -> None:
    client.ds.config["permissions"] = {**GRANTS, "view-table": {"id": ["ed"]}}
    blind = {"id": "blind"}
    answer = (await client.resync(actor=blind)).json()
    assert (answer["changed"], answer["rows"]) == (True, [])
    assert {c["old"] for c in answer["changes"]} == {c["new"] for c in answer["changes"]} == {None}
    assert "Dune" not in json.dumps(answer)
    assert (await client.resync(actor=blind, dry_run=True)).status_code == 403
    for name in ("resync", "explain"):
        response = await client.get(f"/library/books/1/-/{name}", blind, json=True)
        assert is_error(response, 403, "need view-table")


async def test_values_of_a_table_that_may_not_be_viewed_are_left_out(client: Client) -> None:
    tables = {"library": {"tables": {"files": {"permissions": {"view-table": {"id": "other"}}}}}}
    client.ds.config.update({"permissions": GRANTS, "databases": tables})
    answer = (await client.resync(actor=EDITOR)).json()
    assert {c["table"] for c in answer["changes"] if c["new"] is not None} == {"books"}
    assert any(c["table"] == "files" for c in answer["changes"])


async def test_who_may_not_view_files_learns_no_path(client: Client, book: Library) -> None:
    client.ds.config["permissions"] = {**GRANTS, "view-table": {"id": ["ed"]}}
    (book.file_path().parent / "a.epub.metadata.json").write_text("{broken")
    answer = (await client.resync(actor={"id": "blind"})).json()
    assert (answer["changed"], answer["files"][0]["status"]) == (True, "ok")
    book.rewrite(1, b"no zip")
    error = await client.resync(actor={"id": "blind"})
    assert is_error(error, 422)
    for text in (json.dumps(answer), error.text):
        assert "a.epub" not in text
        assert str(book.root) not in text


async def test_removed_rows_of_tables_that_may_not_be_viewed_are_not_shown(
    client: Client, book: Library
) -> None:
    tables = {"authors": {"permissions": {"view-table": {"id": "other"}}}}
    client.ds.config.update({"permissions": GRANTS, "databases": {"library": {"tables": tables}}})
    await client.resync(actor=EDITOR)
    book.add_witness()
    book.remove(1)

    def shown(answer: Any) -> set[str]:
        return {c["table"] for c in answer["changes"] if c["old"] is not None}

    plan = (await client.get(URL, EDITOR, json=True)).json()
    assert {"books", "files"} <= shown(plan)
    assert "authors" in {c["table"] for c in plan["changes"]} - shown(plan)
    assert "Frank Herbert" not in (await client.get(URL, EDITOR)).text
    done = (await client.resync(actor=EDITOR)).json()
    assert shown(done) == shown(plan)
    undo = f"/library/resync_runs/{done['run']}/-/undo"
    back = (await client.get(undo, EDITOR, json=True)).json()
    assert "authors" not in {c["table"] for c in back["changes"] if c["new"] is not None}
    undone = (await client.ds.client.post(undo, actor=EDITOR, json={})).json()
    assert "authors" not in {c["table"] for c in undone["changes"] if c["new"] is not None}


@pytest.mark.parametrize("key", ["Books", "1"])
async def test_a_closed_library_is_403_also_for_a_row_that_is_not_there(book: Library, key: str) -> None:
    client = Client(served(book, {"library_access": {key: {"id": "ed"}}}, GRANTS))
    assert (await client.resync(actor=EDITOR)).status_code == 200
    for pk in (1, 99, "x"):
        for name in ("resync", "explain"):
            response = await client.get(f"/library/books/{pk}/-/{name}", {"id": "blind"}, json=True)
            assert is_error(response, 403)
        assert is_error(await client.resync(pk=pk, actor={"id": "blind"}), 403)
    assert (await client.get("/library/files/1/-/cover", {"id": "blind"})).status_code == 403


async def test_a_restricted_token_needs_both_actions(client: Client) -> None:
    def restricted(*actions: str) -> dict[str, Any]:
        return {"id": "root", "_r": {"r": {"library": {"books": list(actions)}}}}

    assert (await client.resync(actor=restricted("resync-row"))).status_code == 403
    assert (await client.resync(actor=restricted("resync-row", "ur"))).json()["rows"] == []


async def test_a_bad_token_is_401(client: Client) -> None:
    headers = {"Authorization": "Bearer dstok_nonsense"}
    response = await client.ds.client.post(URL, json={}, headers=headers)
    assert response.status_code == 401


# --- what can stand in the way -------------------------------------------------------------------


async def test_an_unreadable_file_is_422_and_names_it(client: Client, book: Library) -> None:
    book.rewrite(1, b"SECRET CONTENT, no zip")
    before = book.dump()
    for response in (await client.resync(), await client.get(URL, json=True)):
        assert is_error(response, 422, "a.epub")
        assert "SECRET" not in response.text
    assert book.dump() == before
    page = await client.get(URL)
    assert (page.status_code, "a.epub" in page.text, "SECRET" in page.text) == (422, True, False)


async def test_a_missing_file_on_a_doubtful_disk_is_409(client: Client, book: Library) -> None:
    book.remove(1)
    response = await client.resync()
    assert is_error(response, 409)
    assert response.json()["root"] == str(book.root)
    assert response.json()["would_remove"] == ["files/1"]
    page = await client.get(f"{URL}?mode=scan")
    assert (page.status_code, "?mode=scan&amp;confirm_missing=1" in page.text) == (409, True)
    assert (await client.resync(confirm_missing=True)).json()["book_deleted"] is True


async def test_a_file_outside_the_roots_is_403(client: Client, book: Library) -> None:
    (book.folder / "secret.epub").write_bytes(epub("Secret"))
    book.edit("files", filepath=str(book.folder / "secret.epub"))
    assert is_error(await client.resync(), 403, "secret.epub")


async def test_a_library_path_added_later_says_what_to_do(client: Client, book: Library) -> None:
    await client.ds.invoke_startup()
    book.add("library_paths", library_id="1", filepath=str(book.folder))
    (book.folder / "new.epub").write_bytes(epub("New"))
    book.edit("files", filepath=str(book.folder / "new.epub"))
    assert is_error(await client.resync(), 403, "restart, or set roots")


async def test_roots_that_are_set_count_instead(book: Library) -> None:
    client = Client(served(book, {"roots": [str(book.folder / "elsewhere")]}))
    assert is_error(await client.resync(), 403)


async def test_a_database_that_is_no_library_is_422(tmp_path: Any) -> None:
    with closing(sqlite3.connect(tmp_path / "library.db")) as conn:
        conn.execute("create table books (id integer primary key)")
    ds = Plain([str(tmp_path / "library.db")])
    ds.root_enabled = True
    assert is_error(await Client(ds).resync(), 422, "files")


async def test_a_locked_database_is_503(client: Client, book: Library) -> None:
    def be_impatient(conn: sqlite3.Connection) -> None:
        conn.execute("pragma busy_timeout = 20")

    await client.resync()
    await client.ds.get_database("library").execute_write_fn(be_impatient, transaction=False)
    book.rewrite(1, epub("Dune Messiah"))
    book.conn.execute("begin immediate")
    response = await client.resync()
    book.conn.execute("rollback")
    assert is_error(response, 503, "try again")
    assert response.headers["retry-after"]
    assert (await client.resync()).json()["rows"][0]["title"] == "Dune Messiah"


async def test_a_question_that_takes_datasette_too_long_is_503(book: Library) -> None:
    class Slow:
        @hookimpl  # type: ignore[untyped-decorator]
        def permission_resources_sql(self, action: str) -> PermissionSQL | None:
            endless = "with recursive n (i) as (select 1 union all select i + 1 from n)"
            answer = "select null as parent, null as child, 1 as allow, '' as reason from n where i < 0"
            sql = f"select * from ({endless} {answer})"
            return PermissionSQL(sql=sql) if action == "resync-row" else None

    client, slow = Client(Served(book, [book.path], settings={"sql_time_limit_ms": 100})), Slow()
    await client.ds.invoke_startup()
    pm.register(slow)
    try:
        assert is_error(await client.resync(), 503, "try again")
    finally:
        pm.unregister(slow)


async def test_datasette_starts_with_no_setting_that_nothing_would_read(book: Library) -> None:
    block = {"plugins": {PLUGIN: {"library_access": {"Books": {"id": "ann"}}}}}
    ds = Plain([book.path], config={"databases": {"library": block}})
    with pytest.raises(StartupError, match="library_access stands in the block of the database 'library'"):
        await ds.invoke_startup()


async def test_an_allow_block_for_no_library_is_told_in_the_log(book: Library, caplog: Any) -> None:
    blocks = {"Books": {"id": "ann"}, "1": True, "Boks": {"id": "ann"}}
    await served(book, {"library_access": blocks}).invoke_startup()
    assert [record.getMessage() for record in caplog.records] == [
        "library_access: there is no library 'Boks' here, so that nothing is closed by this"
    ]


async def test_an_immutable_database_can_only_be_looked_at(book: Library) -> None:
    book.conn.execute("pragma journal_mode = delete")
    client = Client(served(book, immutable=True))
    assert is_error(await client.resync(), 403, "immutable")
    assert (await client.resync(dry_run=True)).json()["dry_run"] is True
    assert (await client.get(URL)).status_code == 200
    assert (await client.get("/library/books/1/-/explain")).status_code == 200
    assert (await client.form(URL, {"mode": "scan"})).status_code == 403


async def test_an_error_nobody_thought_of_tells_nothing(client: Client, monkeypatch: Any) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("datasette_shisho_resync.web.routes.wish_from_json", broken)
    response = await client.resync()
    assert is_error(response, 500)
    assert "secret" not in response.text


# --- where it is -----------------------------------------------------------------------------------


async def test_odd_names_and_base_urls(book: Library, tmp_path: Any) -> None:
    odd = tmp_path / "my.lib~x y.db"
    book.conn.execute("vacuum into ?", (str(odd),))
    ds = Plain([str(odd)], settings={"base_url": "/prefix/"})
    ds.root_enabled = True
    url = ds.urls.row("my.lib~x y", "books", "1") + "/-/resync"
    page = await ds.client.get(url, actor=ROOT)
    assert (page.status_code, f'action="{url}"' in page.text) == (200, True)
    done = await ds.client.post(url, actor=ROOT, data={"mode": "scan"})
    assert (done.status_code, done.headers["location"]) == (303, str(ds.urls.row("my.lib~x y", "books", "1")))


async def test_style_and_script_are_found_under_a_base_url(book: Library) -> None:
    ds = Plain([book.path], settings={"base_url": "/prefix/"})
    ds.root_enabled = True
    page = (await ds.client.get("/library/books/1", actor=ROOT)).text
    addresses = re.findall(r'(?:href|src)="([^"]*/shisho_resync[.][^"]*)"', page)
    assert len(addresses) == 2
    assert [(await ds.client.get(address.removeprefix("/prefix"))).status_code for address in addresses] == [
        200,
        200,
    ]


async def test_a_database_whose_file_was_replaced_is_not_written(client: Client, book: Library) -> None:
    await client.resync()
    book.rewrite(1, epub("Dune Messiah"))
    book.conn.execute("vacuum into ?", (f"{book.path}.copy",))
    os.replace(f"{book.path}.copy", book.path)
    before = book.sidecar()
    assert is_error(await client.resync(), 409, "Restart Datasette")
    assert (await client.form(URL, {"mode": "scan"})).status_code == 409
    assert is_error(await client.ds.client.post(UNDO, actor=ROOT, json={}), 409, "Restart Datasette")
    for filters in ("", "?_where=nonsense"):
        answer = await client.ds.client.post(f"{JOB}{filters}", actor=ROOT, json={})
        assert is_error(answer, 409, "Restart Datasette")
    assert book.sidecar() == before


async def test_a_database_that_was_removed_does_not_spoil_the_end(client: Client, caplog: Any) -> None:
    await client.resync()
    client.ds.remove_database("library")
    await client.ds.invoke_shutdown()
    assert not caplog.records


async def test_a_database_that_became_none_of_ours_does_not_spoil_the_end(
    client: Client, book: Library, caplog: Any
) -> None:
    await client.resync()
    book.conn.execute("alter table files rename to former_files")
    await client.ds.invoke_shutdown()
    assert not caplog.records


async def test_another_database_of_the_same_name_is_another_one(
    client: Client, book: Library, tmp_path: Any
) -> None:
    await client.resync()
    await client.get(URL)
    path = tmp_path / "older.db"
    book.conn.execute("vacuum into ?", (str(path),))
    with closing(sqlite3.connect(path)) as older:
        version = book.conn.execute("pragma schema_version").fetchone()[0]
        older.execute("alter table books drop column subtitle")
        older.execute(f"pragma schema_version = {version}")
    client.ds.remove_database("library")
    client.ds.add_database(Database(client.ds, path=str(path), is_mutable=True), name="library")
    assert (await client.resync(dry_run=True)).status_code == 200


# --- files after the commit, and what is left of them ------------------------------------------------


async def test_covers_and_sidecars_are_written_and_forgotten_with_the_next_write(
    client: Client, book: Library
) -> None:
    first = (await client.resync()).json()["run"]
    assert book.sidecar()["title"] == "Dune"
    assert {row["run_id"] for row in book.rows("resync_pending")} == {first}
    book.rewrite(1, epub("Dune Messiah"))
    second = (await client.resync()).json()["run"]
    assert {row["run_id"] for row in book.rows("resync_pending")} == {second}


async def test_a_stop_leaves_no_pending_row(client: Client, book: Library) -> None:
    await client.resync()
    await client.ds.invoke_shutdown()
    assert book.rows("resync_pending") == []


async def test_what_a_crash_left_unwritten_is_written_by_the_next_run(client: Client, book: Library) -> None:
    await client.resync()
    book.book_sidecar().unlink()
    create_history(book.conn)
    book.edit("resync_pending", old_sha256=None)
    again = Client(served(book))
    await again.resync("files")
    assert book.sidecar()["title"] == "Dune"


# --- events ----------------------------------------------------------------------------------------


async def test_listeners_hear_of_changed_rows_and_of_the_run(client: Client, monkeypatch: Any) -> None:
    heard: list[Any] = []

    async def track(event: Any) -> None:
        heard.append(event)

    monkeypatch.setattr(client.ds, "track_event", track)
    await client.resync()
    rows = {(e.table, tuple(e.pks)) for e in heard if e.name == "update-row"}
    assert rows == {("books", ("1",)), ("files", ("1",))}
    [run] = [e for e in heard if e.name == "resync-row"]
    assert (run.table, run.pks, run.mode, run.run, run.actor) == ("books", [1], "scan", 1, ROOT)
    heard.clear()
    await client.resync()
    assert heard == []
    await client.ds.client.post("/library/books/1/-/update", actor=ROOT, json={"update": {"title": "Mine"}})
    assert [(e.table, tuple(e.pks)) for e in heard] == [("books", ("1",))]  # the same form of ids


async def test_datasette_without_threads(book: Library) -> None:
    ds = Plain([book.path], settings={"num_sql_threads": 0})
    ds.root_enabled = True
    client = Client(ds)
    assert (await client.resync()).json()["changed"] is True
    book.add_witness()
    book.remove(1)
    assert (await client.resync()).json()["book_deleted"] is True
