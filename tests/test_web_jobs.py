"""Jobs in Datasette: which rows, who may, the pages, JSON statuses, cancel, and one job at a time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from library import Library, epub
from web import EDITOR, GRANTS, ROOT, Client, served

from datasette_shisho_resync.files import take_job_lock
from datasette_shisho_resync.jobs.selection import Selection

pytestmark = pytest.mark.asyncio

BOOKS = "/library/books/-/resync"
JOBS = "/library/-/resync/jobs"


@pytest.fixture
def shelf(library: Library) -> Library:
    """Eight books with one EPUB each; the even ones are about ships."""
    for number in range(1, 9):
        title = f"Book {number}" if number % 2 else f"Ship {number}"
        library.add_file(library.add_book(title), f"{number}.epub", epub(title, genres=[f"G{number}"]))
    return library


@pytest.fixture
def client(shelf: Library) -> Client:
    """Root's client; the process of each job starts one more."""
    return Client(served(shelf, {"workers": 1}))


async def start(client: Client, query: str = "", actor: Any = ROOT, table: str = "books", **body: Any) -> Any:
    path = f"/{client.database}/{table}/-/resync{'?' if query else ''}{query}"
    return await client.ds.client.post(path, actor=actor, json=body)


async def status(client: Client, job: int, actor: Any = ROOT) -> Any:
    return (await client.get(f"/{client.database}/-/resync/jobs/{job}", actor, json=True)).json()


async def ended(client: Client, job: int, actor: Any = ROOT) -> Any:
    """Wait until a job is over; returns its status."""
    for _ in range(600):
        told = await status(client, job, actor)
        if told["state"] != "running":
            return told
        await asyncio.sleep(0.05)
    raise TimeoutError(told)


async def run(client: Client, query: str = "", **options: Any) -> Any:
    response = await start(client, query, **options)
    assert response.status_code == 202, response.text
    return await ended(client, response.json()["job"])


# --- a job ----------------------------------------------------------------------------------------


async def test_a_job_runs_and_its_status_is_what_the_contract_says(client: Client, shelf: Library) -> None:
    response = await start(client)
    assert (response.status_code, response.json()) == (202, {"ok": True, "job": 1, "url": f"{JOBS}/1"})
    assert await ended(client, 1) == {
        "ok": True,
        "job": 1,
        "state": "done",
        "total": 8,
        "done": 8,
        "changed": 8,
        "removed": 0,
        "failed": 0,
        "skipped": 0,
        "errors": [],
    }
    assert {r["job_id"] for r in shelf.rows("resync_runs")} == {1}
    assert shelf.rows("resync_jobs")[0]["actor"] == "root"


async def test_a_job_of_an_earlier_version_is_shown_and_others_follow_it(
    client: Client, shelf: Library
) -> None:
    first = await run(client)
    shelf.conn.execute("alter table resync_jobs drop column would_remove")
    assert await status(client, first["job"]) == first
    assert (await client.get(f"{JOBS}/{first['job']}")).status_code == 200
    assert (await run(client))["state"] == "done"
    assert {row["would_remove"] for row in shelf.rows("resync_jobs")} == {0}


async def test_refresh_over_json_is_its_own_confirmation(client: Client, shelf: Library) -> None:
    shelf.edit("books", 3, title="Mine", title_source="manual")
    await run(client, "id=3")
    assert shelf.book(3)["title"] == "Mine"
    await run(client, "id=3", refresh=True)
    assert shelf.book(3)["title"] == "Book 3"


async def test_the_mode_of_a_single_row_is_no_filter_on_many(client: Client) -> None:
    response = await client.get(f"{BOOKS}?mode=refresh", json=True)
    assert (response.status_code, "Ask for the mode with _mode=" in response.json()["error"]) == (400, True)


async def test_a_job_can_be_limited_to_fields(client: Client, shelf: Library) -> None:
    shelf.rewrite(1, epub("New", genres=["New"]))
    await run(client, "id=1", fields=["genres"])
    assert (shelf.book(1)["title"], shelf.genres()) == ("Book 1", ["New"])


async def test_what_fails_is_told_with_a_link(client: Client, shelf: Library) -> None:
    shelf.rewrite(2, b"no zip")
    told = await run(client)
    [error] = told["errors"]
    assert (told["failed"], error["table"], error["pk"], error["path"]) == (
        1,
        "books",
        2,
        str(shelf.file_path(2)),
    )
    page = (await client.get(f"{JOBS}/1")).text
    assert 'href="/library/books/2"' in page
    assert "What failed" in page
    assert page.count(error["path"]) == 1
    assert "started by root" in page


async def test_the_table_of_jobs_counts_their_errors(client: Client, shelf: Library) -> None:
    for number in (1, 2):
        shelf.rewrite(number, b"no zip")
    await run(client)
    shelf.rewrite(1, epub("Book 1"))
    shelf.rewrite(2, epub("Ship 2"))
    await run(client)
    for path in ("/library/resync_jobs", "/library/resync_jobs/1"):
        page = (await client.get(path)).text
        assert re.findall(r"<a[^>]*>\d+ errors?</a>", page) == [f'<a href="{JOBS}/1">2 errors</a>']
        assert "no ZIP" not in page
    [told] = (await client.get("/library/resync_jobs.json?_shape=array&id=1")).json()
    assert len(json.loads(told["errors"])) == 2


@pytest.mark.parametrize("are_set", [False, True])
async def test_a_library_path_added_later_says_what_to_do(shelf: Library, are_set: bool) -> None:
    client = Client(served(shelf, {"workers": 1, **({"roots": [str(shelf.root)]} if are_set else {})}))
    await client.ds.invoke_startup()
    shelf.add("library_paths", library_id="1", filepath=str(shelf.folder))
    (shelf.folder / "new.epub").write_bytes(epub("New"))
    shelf.edit("files", filepath=str(shelf.folder / "new.epub"))
    [error] = (await run(client, "id=1"))["errors"]
    reason = error["error"]
    assert ("lies outside" in reason, "restart, or set roots" in reason) == (True, not are_set)


# --- which rows -----------------------------------------------------------------------------------

FILTERS = [
    "",
    "title=Ship+2",
    "title__contains=Ship",
    "title__not=Ship+2",
    "title__startswith=B&id__gt=3",
    "id__in=1,2,99",
    "title__in=%5B%22Book+1%22%5D",
    "title__isnull=1",
    "subtitle__isnull=1",
    "id__lte=3&_sort_desc=title&_size=2&_next=x",
    "_where=id+>+4",
    "_where=id+=+1+or+id+=+2&title__startswith=Ship",
    "_facet=library_id&library_id=1",
    "_filter_column=id&_filter_op=gte&_filter_value=7",
    "_filter_column_1=title&_filter_op_1=contains&_filter_value_1=5&_sort=id",
    '_through={"table":"files","column":"id","value":"4"}',
    "_nocol=title&id__not=1",
    "title=",
]


@pytest.mark.parametrize("query", FILTERS)
async def test_the_rows_are_those_of_the_table_page(client: Client, query: str) -> None:
    pages = client.ds.client
    url = f"/library/books.json?{query.replace('&_next=x', '').replace('&_size=2', '')}&_shape=array"
    shown = (await pages.get(url, actor=ROOT, follow_redirects=True)).json()
    told = (await client.get(f"{BOOKS}?{query}", json=True)).json()
    assert told["total"] == len(shown)
    ids = Selection("books", "", tuple(sorted(row["id"] for row in shown)))
    assert told["selection"] == ids.digest


@pytest.mark.parametrize(
    "query", ["_search=ship", "_search_title=ship*&_searchmode=raw", "_search=ship&id__gt=5"]
)
@pytest.mark.parametrize("is_core", [True, False])
async def test_search_selects_what_the_table_page_finds(shelf: Library, is_core: bool, query: str) -> None:
    if is_core:
        shelf.conn.execute(
            'create virtual table found using fts5(title, content="books", content_rowid="id")'
        )
        shelf.conn.execute("insert into found (found) values ('rebuild')")
    else:
        shelf.conn.execute(
            "insert into books_fts (rowid, book_id, title) select id + 99, id, title from books"
        )
    client = Client(served(shelf))
    shown = await client.ds.client.get(f"/library/books.json?{query}&_shape=array", actor=ROOT)
    told = (await client.get(f"{BOOKS}?{query}", json=True)).json()
    assert told["total"] == len(shown.json()) > 0


@pytest.mark.parametrize(
    "query", ["nothing=1", "_where=nonsense(", "_through=x", "_through=[]", "_search=x&_fts_table=files"]
)
async def test_a_wrong_filter_is_a_bad_request(client: Client, query: str) -> None:
    response = await start(client, query)
    assert (response.status_code, response.json()["ok"]) == (400, False)


async def test_filters_that_select_nothing_start_nothing(client: Client) -> None:
    response = await start(client, "id=99")
    assert (response.status_code, response.json()["error"]) == (400, "The filters select no rows.")
    assert "The filters select no rows" in (await client.get(f"{BOOKS}?id=99")).text


async def test_sql_in_a_filter_needs_the_right_to_run_sql(client: Client) -> None:
    client.ds.config["permissions"] = {**GRANTS, "execute-sql": {"id": "root"}}
    assert (await start(client, "_where=1", EDITOR)).status_code == 403
    assert (await start(client, "id=1", EDITOR)).status_code == 202
    await ended(client, 1, EDITOR)


async def test_a_job_reads_the_selected_rows_and_no_others(client: Client, shelf: Library) -> None:
    await run(client, "title__contains=Ship&id__gt=2")
    assert [r["target_pk"] for r in shelf.rows("resync_runs")] == [4, 6, 8]


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "expected"),
    [(ROOT, 202), (EDITOR, 202), ({"id": "upd"}, 403), ({"id": "other"}, 403), (None, 403)],
)
async def test_a_job_needs_resync_row(client: Client, actor: Any, expected: int) -> None:
    client.ds.config["permissions"] = {name: {"id": [*block["id"], "root"]} for name, block in GRANTS.items()}
    assert (await start(client, "id=1", actor)).status_code == expected
    if expected == 202:
        await ended(client, 1)
        assert (await client.get(f"{JOBS}/1", actor)).status_code == 200
    else:
        for path in (BOOKS, f"{JOBS}/1", f"{JOBS}/7"):
            assert (await client.get(path, actor)).status_code == 403
        assert (await client.ds.client.post(f"{JOBS}/1/cancel", actor=actor, json={})).status_code == 403


async def test_who_may_not_view_files_learns_no_path_from_a_job(client: Client, shelf: Library) -> None:
    shelf.rewrite(2, b"no zip")
    tables = {"files": {"permissions": {"view-table": {"id": "other"}}}}
    client.ds.config.update({"permissions": GRANTS, "databases": {"library": {"tables": tables}}})
    assert "2.epub" not in (await client.get(f"{BOOKS}?_mode=refresh", EDITOR)).text
    job = (await start(client, actor=EDITOR)).json()["job"]
    told = await ended(client, job, EDITOR)
    assert (told["failed"], told["errors"]) == (
        1,
        [{"table": "books", "pk": 2, "path": None, "error": "a file could not be read"}],
    )
    assert "2.epub" not in (await client.get(f"{JOBS}/{job}", EDITOR)).text
    answer = await client.ds.client.post(f"{JOBS}/{job}/cancel", actor=EDITOR, json={})
    assert "2.epub" not in answer.text


async def test_filters_are_for_those_who_may_view_the_table(client: Client) -> None:
    client.ds.config["permissions"] = {**GRANTS, "view-table": {"id": "root"}}
    assert (await start(client, "id=1", EDITOR)).status_code == 403


@pytest.fixture
def two_libraries(shelf: Library) -> Library:
    """Book 9 is in the library Closed."""
    shelf.add("libraries", name="Closed", cover_aspect_ratio="book")
    shelf.add("library_paths", library_id="2", filepath=str(shelf.root))
    book = shelf.add_book("Closed", library_id=2)
    file = shelf.add_file(book, "closed.epub", epub("Secret"))
    shelf.edit("files", file, library_id=2)
    return shelf


async def test_rows_of_closed_libraries_are_skipped_and_counted(two_libraries: Library) -> None:
    client = Client(served(two_libraries, {"library_access": {"Closed": {"id": "boss"}}}, GRANTS))
    response = await start(client, "", EDITOR)
    job = response.json()["job"]
    told = await ended(client, job, EDITOR)
    assert (told["total"], told["done"], told["skipped"], told["changed"]) == (9, 9, 1, 8)
    assert two_libraries.book(9)["title"] == "Closed"
    other = await client.get(f"{JOBS}/{job}", {"id": "blind"}, json=True)
    assert other.status_code == 403
    page = (await client.get(f"{BOOKS}?id=9&_mode=refresh", EDITOR)).text
    assert "Secret" not in page
    assert "not open to you" in page


# --- the pages ------------------------------------------------------------------------------------


async def test_the_table_offers_jobs_with_the_number_of_rows(client: Client) -> None:
    page = (await client.get("/library/books?title__contains=Ship&_size=2")).text
    assert "Scan these 4 rows..." in page
    assert f'href="{BOOKS}?title__contains=Ship&amp;_mode=refresh"' in page
    assert "Scan this 1 row..." in (await client.get("/library/files?id=1")).text
    assert "Scan these" not in (await client.get("/library/books", EDITOR)).text
    assert "Scan these" not in (await client.get("/library/persons")).text
    assert "Scan these" not in (await client.get("/library/books?id=99")).text


async def test_the_confirm_page_shows_a_sample_and_what_a_person_would_lose(
    client: Client, shelf: Library
) -> None:
    shelf.edit("books", 2, title="Mine", title_source="manual", subtitle="Mine too", subtitle_source="manual")
    page = (await client.get(f"{BOOKS}?_mode=refresh")).text
    assert "<strong>1 value that a person set will be lost.</strong>" in page
    assert "Refresh these 8 rows" in page
    assert all(word in page for word in ("What will change", "Mine", "Ship 2", "set by a person"))
    assert "will be lost" not in (await client.get(BOOKS)).text


async def test_of_many_rows_only_a_sample_is_read_and_the_loss_is_a_bound(
    client: Client, shelf: Library
) -> None:
    for number in range(9, 13):
        shelf.add_file(shelf.add_book(f"Book {number}"), f"{number}.epub", epub(f"Book {number}"))
    shelf.edit("books", 12, title="Mine", title_source="manual", subtitle="Mine", subtitle_source="manual")
    shelf.edit("files", 12, name="Mine", name_source="manual")
    page = (await client.get(f"{BOOKS}?_mode=refresh")).text
    assert "Up to 3 values that a person set will be lost" in page
    assert "A sample: the first 10 of 12 rows" in page
    told = (await client.get(f"{BOOKS}?_mode=refresh", json=True)).json()
    assert (told["total"], told["sampled"], told["manual_values_lost"], told["is_exact"]) == (
        12,
        10,
        3,
        False,
    )


@pytest.mark.parametrize(("mode", "count"), [("scan", 0), ("refresh", 2)])
async def test_only_what_may_be_lost_is_counted(
    client: Client, shelf: Library, mode: str, count: int
) -> None:
    """Counting reads every selected row."""
    for number in range(9, 13):
        shelf.add_file(shelf.add_book(f"Book {number}"), f"{number}.epub", epub(f"Book {number}"))
    asked: list[str] = []
    threads = client.ds.setting("num_sql_threads")
    all_here = threading.Barrier(threads)

    def watch(conn: sqlite3.Connection) -> None:
        all_here.wait(20)  # so that each thread watches a connection of its own
        conn.set_trace_callback(asked.append)

    await client.get("/library/books")
    await asyncio.gather(*(client.ds.get_database("library").execute_fn(watch) for _ in range(threads)))
    await client.get(f"{BOOKS}?_mode={mode}")
    assert len([sql for sql in asked if sql.lstrip().startswith("select coalesce(sum(")]) == count


async def form(client: Client, query: str = "", **data: Any) -> Any:
    return await client.form(f"{BOOKS}?{query}", data)


async def selection(client: Client, query: str = "") -> str:
    return str((await client.get(f"{BOOKS}?{query}", json=True)).json()["selection"])


async def test_the_form_starts_a_job_and_leads_to_its_page(client: Client, shelf: Library) -> None:
    response = await form(client, "id=1", mode="refresh", selection=await selection(client, "id=1"))
    assert (response.status_code, response.headers["location"]) == (303, f"{JOBS}/1")
    await ended(client, 1)
    page = await client.get(f"{JOBS}/1")
    assert "Job 1: Refresh 1 row of books" in page.text
    assert page.headers["x-frame-options"] == "DENY"


async def test_a_refresh_that_nobody_looked_at_gets_the_page_first(client: Client, shelf: Library) -> None:
    response = await form(client, mode="refresh")
    assert response.status_code == 409
    assert "Look at what will change first." in response.text
    assert shelf.rows("sqlite_master", "name = 'resync_jobs'") == []


async def test_a_selection_that_changed_is_not_taken(client: Client, shelf: Library) -> None:
    seen = await selection(client, "title__contains=Ship")
    shelf.edit("books", 1, title="Ship 1")
    response = await form(client, "title__contains=Ship", mode="refresh", selection=seen)
    assert (response.status_code, "Refresh these 5 rows" in response.text) == (409, True)
    assert "Other rows are selected now" in response.text
    assert (await start(client, "title__contains=Ship", selection=seen)).status_code == 409


async def test_a_body_is_checked(client: Client) -> None:
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"nothing": 1}, "Invalid keys: nothing"),
        ({"mode": "all"}, "mode must be one of scan, refresh, reset"),
        ({"fields": ["nothing"]}, "Unknown field: nothing"),
        ({"confirm_removals": "all"}, "confirm_removals must be a whole number"),
        ({"confirm_missing": True}, "Invalid keys: confirm_missing"),
    ]
    for body, error in bodies:
        response = await start(client, **body)
        assert (response.status_code, response.json()["error"]) == (400, error)
    assert (await form(client, mode="scan", confirm_removals="x")).status_code == 400
    assert (await client.get(f"{BOOKS}?_mode=all")).status_code == 400


async def test_an_immutable_database_shows_and_starts_nothing(shelf: Library) -> None:
    shelf.conn.execute("pragma journal_mode = delete")
    client = Client(served(shelf, immutable=True))
    assert (await start(client)).status_code == 403
    page = (await client.get(f"{BOOKS}?_mode=refresh")).text
    assert "served as immutable" in page
    assert '<input type="submit"' not in page.split("shisho-sentence")[1]
    assert "Scan these" not in (await client.get("/library/books")).text


@pytest.mark.parametrize(
    ("path", "expected"),
    [(f"{JOBS}/7", 404), (f"{JOBS}/x", 404), (f"{JOBS}/1/cancel", 405), ("/other/-/resync/jobs/1", 404)],
)
async def test_what_is_not_there(client: Client, path: str, expected: int) -> None:
    assert (await client.get(path, json=True)).status_code == expected


async def test_what_can_only_be_posted_offers_no_head(client: Client) -> None:
    for method in ("GET", "HEAD"):
        response = await client.ds.client.request(method, f"{JOBS}/1/cancel", actor=ROOT)
        assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")


async def test_a_job_of_the_history_has_its_page(client: Client) -> None:
    await run(client, "id=1")
    assert f'href="{JOBS}/1"' in (await client.get("/library/resync_jobs/1")).text


# --- loss -----------------------------------------------------------------------------------------


async def test_much_loss_needs_its_number(client: Client, shelf: Library) -> None:
    for pk in range(1, 7):
        shelf.remove(pk)
    response = await start(client)
    told = response.json()
    assert (response.status_code, told["would_remove"], told["known"]) == (409, 6, 8)
    assert told["confirm"] == {"confirm_removals": 6}
    assert (await start(client, confirm_removals=5)).status_code == 409
    page = await form(client, mode="scan", selection=await selection(client))
    assert page.status_code == 409
    assert "6 records of the 8 files" in page.text
    assert 'value="Remove 6 records and scan"' in page.text
    assert 'name="confirm_removals" value="6"' in page.text
    assert len(shelf.rows("books")) == 8
    told = await run(client, confirm_removals=6)
    assert (told["removed"], len(shelf.rows("books"))) == (6, 2)


async def test_a_job_that_left_records_says_how_many(client: Client, shelf: Library) -> None:
    shelf.with_history()
    shelf.add("resync_jobs", kind="books", state="done", started_at="x", total=9, done=9, would_remove=7)
    assert "7 records of files were not removed" in (await client.get(f"{JOBS}/1")).text
    assert (await status(client, 1))["would_remove"] == 7


async def test_a_scan_by_another_program_can_be_watched_but_not_stopped(
    client: Client, shelf: Library
) -> None:
    shelf.with_history()
    await client.ds.invoke_startup()
    shelf.add("resync_jobs", kind="scan", state="running", started_at="x")
    lock = take_job_lock(shelf.path)
    assert lock is not None
    page = (await client.get(f"{JOBS}/1")).text
    assert "Another program runs this job" in page
    response = await client.ds.client.post(f"{JOBS}/1/cancel", actor=ROOT, json={})
    assert (response.status_code, "another program" in response.json()["error"]) == (409, True)
    assert (await start(client)).json()["job"] == 1
    lock.release()
    assert (await status(client, 1))["state"] == "interrupted"


# --- while it runs --------------------------------------------------------------------------------


@pytest.fixture
def crowd(library: Library) -> Library:
    """Four hundred rows, one file each."""
    data = epub("One")
    for number in range(400):
        library.add_file(library.add_book(f"Shelf {number}"), f"{number}.epub", data)
    return library


async def test_one_job_runs_at_a_time_and_can_be_cancelled(crowd: Library) -> None:
    client = Client(served(crowd))
    assert (await start(client)).status_code == 202
    page = (await client.get(f"{JOBS}/1")).text
    for part in ('http-equiv="refresh"', "<progress", 'aria-live="polite"', 'value="Cancel"'):
        assert part in page
    second = await start(client)
    assert (second.status_code, second.json()["job"]) == (409, 1)
    assert "Job 1 is running" in second.json()["error"]
    told = await form(client, mode="scan")
    assert (told.status_code, f'href="{JOBS}/1"' in told.text) == (409, True)
    answer = await client.ds.client.post(f"{JOBS}/1/cancel", actor=ROOT, json={})
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert 0 < answer.json()["done"] < 400
    again = await client.ds.client.post(f"{JOBS}/1/cancel", actor=ROOT, json={})
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    assert "http-equiv" not in (await client.get(f"{JOBS}/1")).text
    await run(client, "id=1")


async def test_a_job_in_the_way_is_linked_where_the_database_has_another_route(shelf: Library) -> None:
    client = Client(served(shelf), "shelf")
    client.ds.get_database("library").route = client.database
    shelf.with_history()
    shelf.add("resync_jobs", kind="scan", state="running", started_at="x")
    lock = take_job_lock(shelf.path)
    assert lock is not None
    told = await client.form("/shelf/books/-/resync", {"mode": "scan"})
    lock.release()
    assert (told.status_code, 'href="/shelf/-/resync/jobs/1"' in told.text) == (409, True)


async def test_the_cancel_button_leads_back(crowd: Library) -> None:
    client = Client(served(crowd))
    await start(client)
    response = await client.form(f"{JOBS}/1/cancel", {"cancel": "Cancel"})
    assert (response.status_code, response.headers["location"]) == (303, f"{JOBS}/1")
    assert (await ended(client, 1))["state"] == "cancelled"


async def test_a_job_ends_with_datasette(crowd: Library) -> None:
    client = Client(served(crowd))
    await start(client)
    await client.ds.invoke_shutdown()
    [job] = crowd.rows("resync_jobs")
    assert (job["state"], job["total"]) == ("interrupted", 400)
    assert crowd.rows("resync_pending") == []


async def test_a_job_that_died_is_found_when_datasette_starts(client: Client, shelf: Library) -> None:
    shelf.with_history()
    shelf.add("resync_jobs", kind="scan", state="running", started_at="2026-01-01 00:00:00+00:00")
    await client.ds.invoke_startup()
    assert shelf.rows("resync_jobs")[0]["state"] == "interrupted"


async def test_a_job_that_died_is_found_by_whoever_looks(client: Client, shelf: Library) -> None:
    shelf.with_history()
    await client.ds.invoke_startup()
    shelf.add("resync_jobs", kind="scan", state="running", started_at="2026-01-01 00:00:00+00:00")
    assert (await status(client, 1))["state"] == "interrupted"


async def test_listeners_hear_of_every_row(client: Client, shelf: Library) -> None:
    from datasette import hookimpl
    from datasette.plugins import pm

    heard: list[Any] = []

    class Listener:
        @hookimpl
        def track_event(self, event: Any) -> None:
            heard.append((event.name, event.table, int(event.pks[0])))

    listener = Listener()
    pm.register(listener)
    try:
        await run(client, "id__in=1,2")
        for _ in range(100):
            if len(heard) == 6:
                break
            await asyncio.sleep(0.05)
    finally:
        pm.unregister(listener)
    assert heard.count(("resync-row", "books", 1)) == 1
    assert sorted(set(heard)) == sorted(
        [
            (n, t, pk)
            for pk in (1, 2)
            for n, t in [("resync-row", "books"), ("update-row", "books"), ("update-row", "files")]
        ]
    )


async def test_values_are_escaped(client: Client, shelf: Library) -> None:
    hostile = "<script>alert(1)</script>"
    shelf.edit("books", 1, title=hostile, title_source="manual")
    page = (await client.get(f"{BOOKS}?{urlencode({'title': hostile, '_mode': 'refresh'})}")).text
    assert hostile not in page
    assert "&lt;script&gt;" in page
    shelf.with_history()
    errors = json.dumps([{"table": "books", "pk": 1, "path": hostile, "error": hostile}])
    shelf.add("resync_jobs", kind="books", state="done", started_at="x", errors=errors, actor=hostile)
    assert hostile not in (await client.get(f"{JOBS}/1")).text


@pytest.mark.parametrize(
    "cells",
    [{"errors": text} for text in ("no JSON", '{"a": 1}', "[1, null]", '"text"', b"\xff")]
    + [{name: "many"} for name in ("done", "total", "failed", "would_remove")]
    + [
        {"state": b"\xff"},
        {"mode": b"\xff"},
        {"started_at": 5},
        {"actor": b"\xff"},
        {"kind": "../x"},
    ]
    + [
        {name: bytearray(b"\xff")} for name in ("finished_at", "state", "mode", "started_at", "actor", "kind")
    ],
    ids=str,
)
async def test_a_job_whose_row_no_job_wrote_has_its_page(
    client: Client, shelf: Library, cells: dict[str, Any]
) -> None:
    shelf.with_history()
    shelf.add("resync_jobs", **{"kind": "books", "state": "done", "started_at": "x", **cells})
    for json_wanted in (False, True):
        assert (await client.get(f"{JOBS}/1", json=json_wanted)).status_code == 200


async def test_a_dead_job_in_a_folder_that_can_not_be_written_has_its_page(
    client: Client, shelf: Library
) -> None:
    shelf.with_history()
    await client.ds.invoke_startup()
    shelf.add("resync_jobs", kind="scan", state="running", started_at="2026-01-01 00:00:00+00:00")
    os.mkdir(f"{os.path.realpath(shelf.path)}-resync-job")
    assert (await status(client, 1))["state"] == "running"


async def test_a_pipe_in_the_place_of_the_lock_holds_nobody_up(client: Client, shelf: Library) -> None:
    os.mkfifo(f"{os.path.realpath(shelf.path)}-resync-job")
    await run(client, "id=1")


# --- undo -----------------------------------------------------------------------------------------

UNDO = f"{JOBS}/1/undo"


async def test_a_job_is_undone_as_a_whole(client: Client, shelf: Library) -> None:
    before = shelf.content(with_derived=False)
    await run(client, "id__lt=4")
    assert f'href="{UNDO}"' in (await client.get(f"{JOBS}/1")).text
    assert "3 runs" in (await client.get(UNDO)).text
    response = await client.form(UNDO, {"undo": "Undo"})
    assert (response.status_code, response.headers["location"]) == (303, f"{JOBS}/1")
    assert client.messages(response) == ["3 runs of job 1 undone"]
    assert shelf.content(with_derived=False) == before
    assert shelf.rows("resync_pending") == []
    assert "Undo this job" not in (await client.get(f"{JOBS}/1")).text
    again = await client.ds.client.post(UNDO, actor=ROOT, json={})
    assert (again.status_code, again.json()["error"]) == (409, "Job 1 has nothing to undo.")


async def test_of_two_who_undo_a_job_at_once_one_is_told_that_nothing_is_left(client: Client) -> None:
    await run(client, "id__lt=4")
    asked = (client.ds.client.post(UNDO, actor=ROOT, json={}) for _ in range(3))
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_a_job_in_memory_is_not_undone_in_a_file(
    client: Client, shelf: Library, tmp_path: Path, monkeypatch: Any
) -> None:
    await run(client, "id__lt=4")
    memory = client.ds.add_memory_database("memory")

    def copy(conn: sqlite3.Connection) -> None:
        with closing(sqlite3.connect(shelf.path)) as original:
            original.backup(conn)

    await memory.execute_write_fn(copy, transaction=False)
    monkeypatch.chdir(tmp_path)
    shelf.conn.execute("pragma wal_checkpoint(truncate)")
    copied = shutil.copy(shelf.path, "None")
    answer = await client.ds.client.post("/memory/-/resync/jobs/1/undo", actor=ROOT, json={})
    assert (answer.status_code, "in a file" in answer.json()["error"]) == (409, True)
    with closing(sqlite3.connect(copied)) as conn:
        assert conn.execute("select count(*) from resync_runs where undone_by is not null").fetchone() == (0,)


async def test_a_job_of_a_database_that_was_deleted_is_told_of_or_that_it_can_not_be_read(
    crowd: Library,
) -> None:
    client = Client(served(crowd))
    await start(client)
    os.unlink(crowd.path)
    answers = [await client.get(f"{JOBS}/1", json=True) for _ in range(3)]
    answers.append(await client.ds.client.post(f"{JOBS}/1/cancel", actor=ROOT, json={}))
    # Core asks the file itself who may see it, on a connection that it has or can't make any more.
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert all("library" in answer.json()["error"] for answer in answers if answer.status_code != 200)


async def test_a_job_with_an_edit_since_is_not_undone_at_all(client: Client, shelf: Library) -> None:
    await run(client, "id__lt=4", fields=["genres"])
    shelf.rewrite(2, epub("Other", genres=["Other"]))
    shelf.scan(pk=2)
    before = shelf.content()
    response = await client.ds.client.post(UNDO, actor=ROOT, json={})
    assert (response.status_code, "books.2.genres" in response.json()["fields"]) == (409, True)
    assert shelf.content() == before


async def test_the_message_of_an_undo_counts_every_warning(client: Client, shelf: Library) -> None:
    await run(client)
    for number in range(1, 9):
        sidecar = shelf.file_path(number).with_name(f"{number}.epub.metadata.json")
        sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "name": "Edited"}))
    response = await client.form(UNDO, {"undo": "Undo"})
    told = client.messages(response)
    assert (told[0], len(told), told[-1]) == ("8 runs of job 1 undone", 5, "and 5 more warnings")


async def test_undo_of_a_job_needs_both_tables_and_every_library(two_libraries: Library) -> None:
    two_libraries.with_history()
    two_libraries.add("resync_jobs", kind="books", state="done", started_at="x", actor="ed")
    client = Client(served(two_libraries, {"library_access": {"Closed": {"id": "boss"}}}, GRANTS))
    assert (await client.get(f"{JOBS}/1", EDITOR)).status_code == 200
    assert (await client.get(UNDO, EDITOR)).status_code == 403
    assert (await client.ds.client.post(UNDO, actor=EDITOR, json={})).status_code == 403
