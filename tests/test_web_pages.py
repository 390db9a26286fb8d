"""What people see and press: row actions, confirm, explain and undo pages, covers, the panel."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from html import unescape
from typing import Any

import pytest
from builders.images import jpeg
from datasette import Response, hookimpl
from datasette.plugins import pm
from library import Library, epub
from web import EDITOR, GRANTS, Client, Plain, served

pytestmark = pytest.mark.asyncio

URL = "/library/books/1/-/resync"
ROW = "/library/books/1"
HOSTILE = "<script>alert(1)</script>"
COVER = jpeg(20, 30, "navy")


@pytest.fixture
def client(book: Library) -> Client:
    """Root's client of a library whose one book was scanned, edited and then changed on disk."""
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF", "Classics"], cover=COVER))
    book.scan()
    book.edit("books", title=HOSTILE, title_source="manual")
    book.rewrite(
        1, epub("Dune II", ["Frank Herbert", "Brian Herbert"], genres=["SF", "Epic"], cover=jpeg(30, 20))
    )
    return Client(served(book))


def text_of(html: str) -> str:
    """Return what a page says, without tags and spaces."""
    body = html[html.index('<section class="content">') : html.index('<footer class="ft">')]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def form_of(html: str, **changes: Any) -> dict[str, Any]:
    """Return what a browser would send of the page's form as it is."""
    pairs = re.findall(r'<input type="(?:hidden|(?=.* checked>)checkbox)" name="(\w+)" value="([^"]*)"', html)
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name in ("fields", "offered"):
            data.setdefault(name, []).append(value)
        else:
            data[name] = value
    return {**data, **changes}


def links_of(html: str) -> list[str]:
    """Return the labels of the row actions."""
    return [label.strip() for label in re.findall(r'<a href="[^"]*" role="menuitem"[^>]*>([^<]*)', html)]


# --- row actions -------------------------------------------------------------------------------------


async def test_a_book_and_a_file_have_four_actions(client: Client) -> None:
    for table in ("books", "files"):
        assert links_of((await client.get(f"/library/{table}/1")).text) == [
            "Scan for new metadata",
            "Refresh all metadata...",
            "Reset to file metadata...",
            "Why these values?",
        ]


@pytest.mark.parametrize("actor", [None, {"id": "nobody"}, {"id": "upd"}])
async def test_who_may_not_sees_no_action_no_panel_and_no_script(client: Client, actor: Any) -> None:
    client.ds.config["permissions"] = GRANTS
    page = (await client.get(ROW, actor)).text
    assert links_of(page) == []
    assert "shisho-panel" not in page
    assert "shisho_resync.js" not in page


async def test_an_editor_sees_them(client: Client) -> None:
    client.ds.config["permissions"] = GRANTS
    page = (await client.get(ROW, EDITOR)).text
    assert len(links_of(page)) == 4
    assert '<script type="module" src="/-/static-plugins/datasette_shisho_resync/shisho_resync.js' in page


async def test_other_tables_and_closed_libraries_have_none(book: Library) -> None:
    client = Client(served(book, {"library_access": {"Books": {"id": "other"}}}))
    assert links_of((await client.get("/library/libraries/1")).text) == []
    assert links_of((await client.get(ROW)).text) == []


async def test_an_immutable_database_only_explains(book: Library) -> None:
    book.scan()
    book.conn.execute("pragma journal_mode = delete")
    client = Client(served(book, immutable=True))
    page = (await client.get(ROW)).text
    assert links_of(page) == ["Why these values?"]
    assert "shisho_resync.js" not in page
    assert ("/resync_runs/1" in page, "/-/undo" in page) == (True, False)


@pytest.mark.parametrize("path", ["/library/resync_runs/1/-/undo", "/library/-/resync/jobs/1/undo"])
async def test_an_immutable_database_has_no_button_to_undo(book: Library, path: str) -> None:
    book.scan()
    book.conn.execute("insert into resync_jobs (id, kind, state, started_at) values (1, 'scan', 'done', '')")
    book.conn.execute("update resync_runs set job_id = 1")
    book.conn.commit()
    book.conn.execute("pragma journal_mode = delete")
    page = (await Client(served(book, immutable=True)).get(path)).text
    assert ("served as immutable" in page, 'value="Undo"' in page) == (True, False)


@pytest.mark.parametrize("book_id", [1.5, b"1", "1_0", "9" * 30, "9" * 5000, "one"])
async def test_a_file_whose_book_id_is_none_has_no_panel_and_says_so(book: Library, book_id: object) -> None:
    book.conn.execute("update files set book_id = ?", (book_id,))
    client = Client(served(book))
    page = await client.get("/library/files/1")
    assert (page.status_code, "shisho-panel" in page.text) == (200, False)
    answer = await client.get("/library/files/1/-/explain", json=True)
    assert (answer.status_code, "no id in the column book_id" in answer.text) == (422, True)


async def test_a_database_that_is_no_library_has_none(tmp_path: Any) -> None:
    with closing(sqlite3.connect(tmp_path / "library.db")) as conn, conn:
        conn.execute("create table books (id integer primary key)")
        conn.execute("insert into books values (1)")
    ds = Plain([str(tmp_path / "library.db")])
    ds.root_enabled = True
    assert links_of((await Client(ds).get(ROW)).text) == []


# --- the confirm page --------------------------------------------------------------------------------


async def test_manual_values_that_would_be_lost_stand_first_and_are_marked(client: Client) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    assert "1 value that a person set will be lost." in text_of(page)
    bodies = re.findall(r"<tbody.*?</tbody>", page, re.S)
    assert ('class="shisho-lost"' in bodies[0], 'value="title"' in bodies[0]) == (True, True)
    assert not any("shisho-lost" in body for body in bodies[1:])


async def test_a_field_that_a_person_emptied_is_told_and_counts_as_lost(
    client: Client, book: Library
) -> None:
    book.rewrite(1, epub("Dune", description="Sand."))
    book.edit("books", 1, description=None, description_source="manual")
    panel = (await client.get(ROW)).text
    assert re.search(r"<dt>set by a person</dt><dd>Title, .*Description \(empty\)", panel)
    page = (await client.get(f"{URL}?mode=refresh")).text
    assert "2 values that a person set will be lost." in text_of(page)


async def test_every_file_whose_value_would_be_lost_counts(client: Client, book: Library) -> None:
    book.rewrite(1, epub("Dune", language="en"))
    second = book.add_file(1, "second.epub", epub("Dune", language="en"))
    for file_id in (1, second):
        book.edit("files", file_id, language="de", language_source="manual")
    page = (await client.get(f"{URL}?mode=refresh")).text
    assert "3 values that a person set will be lost." in text_of(page)  # the title's is the third


async def test_text_of_a_book_is_only_ever_text(client: Client) -> None:
    for name in ("resync?mode=refresh", "explain"):
        page = (await client.get(f"{ROW}/-/{name}")).text
        assert HOSTILE not in page
        assert HOSTILE in text_of(page)


async def test_lists_show_what_comes_and_goes(client: Client) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    assert re.search(r"<del>.*?Classics</del>", page)
    assert re.search(r"<ins>.*?Epic</ins>", page)
    assert re.search(r"<ins>.*?Brian Herbert</ins>", page)


async def test_covers_are_shown_before_and_after(client: Client) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    assert 'src="/library/files/1/-/cover?v=' in page
    assert 'src="data:image/jpeg;base64,' in page


async def test_many_large_covers_do_not_swell_a_page(client: Client, book: Library) -> None:
    for number in range(12):
        large = jpeg(20 + number, 30) + bytes(900_000)
        book.add_file(1, f"{number}.epub", epub("Dune", cover=large))
    for name in ("resync?mode=refresh", "explain"):
        page = (await client.get(f"{ROW}/-/{name}")).text
        assert 0 < page.count('src="data:image/jpeg;base64,') < 12
        assert len(page) < 6_000_000


async def test_the_page_can_not_be_framed_and_holds_no_script(client: Client) -> None:
    for path in (f"{URL}?mode=refresh", f"{ROW}/-/explain", "/library/resync_runs/1/-/undo"):
        response = await client.get(path)
        assert response.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert response.headers["x-frame-options"] == "DENY"
        content = response.text[response.text.index('<section class="content">') :].split(
            "</section>\n</div>"
        )[0]
        assert "<script" not in content
        assert " onclick" not in content


async def test_what_stays_is_folded_with_its_reason(client: Client) -> None:
    page = (await client.get(f"{URL}?mode=scan")).text
    kept = page[page.index('<details class="shisho-kept">') :]
    assert "<details open" not in kept
    assert "the present value has a better source" in kept


async def test_the_form_does_what_the_page_showed(client: Client, book: Library) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    response = await client.form(URL, form_of(page))
    assert (response.status_code, response.headers["location"]) == (303, ROW)
    assert client.messages(response) == [
        "Metadata refreshed. Changed: title, sort title, authors, genres, name, cover"
    ]
    assert (book.book()["title"], book.genres()) == ("Dune II", ["Epic", "SF"])
    assert book.rows("resync_runs")[-1]["via"] == "web"


async def test_deselected_fields_stay(client: Client, book: Library) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    chosen = [name for name in form_of(page)["fields"] if name != "title"]
    await client.form(URL, form_of(page, fields=chosen))
    assert (book.book()["title"], book.book()["title_source"]) == (HOSTILE, "manual")
    assert book.genres() == ["Epic", "SF"]


async def test_what_follows_the_title_is_chosen_with_it(client: Client, book: Library) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    assert "Dune II" in text_of(page).partition("Sort title")[2]
    assert "sort_title" not in form_of(page)["fields"]
    await client.form(URL, form_of(page, fields=["title"]))
    assert (book.book()["title"], book.book()["sort_title"]) == ("Dune II", "Dune II")


async def test_a_sort_title_that_a_person_set_is_chosen_by_itself(client: Client, book: Library) -> None:
    book.edit("books", sort_title="My place", sort_title_source="manual")
    page = (await client.get(f"{URL}?mode=refresh")).text
    await client.form(URL, form_of(page, fields=["title"]))
    assert (book.book()["title"], book.book()["sort_title"]) == ("Dune II", "My place")


async def test_the_form_without_a_field_comes_back(client: Client, book: Library) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    data = form_of(page)
    del data["fields"]
    response = await client.form(URL, data)
    notice = '<p class="shisho-notice shisho-notice-lost" role="alert">Choose at least one field.</p>'
    assert (response.status_code, notice in response.text) == (400, True)
    assert "fields" not in form_of(response.text)
    assert book.book()["title"] == HOSTILE


@pytest.mark.parametrize("mode", ["refresh", "reset"])
async def test_refresh_and_reset_without_a_plan_show_it_first(
    client: Client, book: Library, mode: str
) -> None:
    before = book.dump()
    response = await client.form(URL, {"mode": mode})
    assert (response.status_code, "Look at what will change first." in response.text) == (409, True)
    assert book.dump() == before


async def test_a_plan_that_no_longer_holds_is_shown_again(client: Client, book: Library) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    book.rewrite(1, epub("Dune III"))
    response = await client.form(URL, form_of(page))
    assert response.status_code == 409
    assert "Something changed since this plan was made." in response.text
    assert "Dune III" in response.text
    assert book.book()["title"] == HOSTILE
    assert (await client.form(URL, form_of(response.text))).status_code == 303
    assert book.book()["title"] == "Dune III"


async def test_a_plan_that_is_shown_again_leaves_out_what_was_deselected(
    client: Client, book: Library
) -> None:
    page = (await client.get(f"{URL}?mode=refresh")).text
    chosen = [name for name in form_of(page)["fields"] if name != "title"]
    book.rewrite(1, epub("Dune III", ["Frank Herbert"], description="A new field"))
    again = (await client.form(URL, form_of(page, fields=chosen))).text
    assert "title" in form_of(again)["offered"]
    assert "title" not in form_of(again)["fields"]
    assert "description" in form_of(again)["fields"]
    assert (await client.form(URL, form_of(again))).status_code == 303
    assert (book.book()["title"], book.book()["description"]) == (HOSTILE, "A new field")


async def test_scan_needs_no_plan(client: Client) -> None:
    response = await client.form(URL, {"mode": "scan"})
    assert (response.status_code, client.messages(response)) == (
        303,
        ["Metadata scanned. Changed: sort title, authors, genres, name, cover"],
    )
    again = await client.form(URL, {"mode": "scan"})
    assert client.messages(again) == ["Metadata scanned: nothing to change"]


async def test_many_long_warnings_still_fit_into_a_cookie(client: Client, book: Library) -> None:
    for number in range(20):
        name = f"{number} {'漢' * 60}.epub"
        book.add_file(1, name, epub("Dune"))
        (book.file_path().parent / f"{name}.metadata.json").write_text("{broken")
    response = await client.form(URL, {"mode": "scan"})
    assert len(response.headers["set-cookie"]) < 4096
    messages = client.messages(response)
    assert (len(messages), messages[0].partition(".")[0]) == (5, "Metadata scanned")
    assert re.fullmatch(r"and \d+ more warnings", messages[-1])


async def test_a_form_with_unknown_keys_is_400(client: Client) -> None:
    response = await client.form(URL, {"mode": "scan", "next": "//evil.example"})
    assert (response.status_code, "Invalid keys: next" in response.text) == (400, True)


async def test_removals_are_spelled_out_and_lead_to_the_table(client: Client, book: Library) -> None:
    book.add_witness()
    book.remove(1)
    page = (await client.get(f"{URL}?mode=scan")).text
    said = text_of(page)
    assert "Removed from the library" in said
    assert "book 1" in said
    assert str(book.file_path()) in said
    assert "Frank Herbert" in said
    assert 'name="fields"' not in page
    response = await client.form(URL, form_of(page))
    assert (response.status_code, response.headers["location"]) == (303, "/library/books")
    assert client.messages(response) == ["Book removed (no longer exists on disk)"]


async def test_a_book_without_files_is_said_to_have_none(client: Client, library: Library) -> None:
    pk = library.add_book("Bare")
    said = text_of((await client.get(f"/library/books/{pk}/-/resync")).text)
    assert "The book has no files." in said
    assert (await client.resync(pk=pk)).json()["book_deleted"] is True


async def test_rows_that_only_lose_a_reference_are_told_apart_from_those_that_go(
    client: Client, book: Library
) -> None:
    book.conn.execute("create table loans (id integer primary key, file references files on delete set null)")
    book.conn.execute("insert into loans values (4, 1)")
    book.add_witness()
    book.remove(1)
    page = await client.get(f"{URL}?mode=scan")
    removed = page.text.partition("Removed from the library")[2].partition("</section>")[0]
    assert "1 row of loans stays, and its file becomes empty." in removed
    assert "loans 4" not in removed


async def test_a_removal_on_a_doubtful_disk_can_be_confirmed(client: Client, book: Library) -> None:
    book.remove(1)
    for query, mode in (("?mode=refresh", "refresh"), ("", "scan")):
        refused = await client.get(URL + query)
        assert refused.status_code == 409
        assert f'href="?mode={mode}&amp;confirm_missing=1"' in refused.text
        assert "It would have been: file 1." in text_of(refused.text)
    page = (await client.get(f"{URL}?mode=refresh&confirm_missing=1")).text
    assert (await client.form(URL, form_of(page))).status_code == 303
    assert book.rows("books") == []


async def test_the_actors_who_may_not_get_a_page_that_says_so(client: Client) -> None:
    for actor in (None, {"id": "upd"}):
        client.ds.config["permissions"] = GRANTS
        for response in (await client.get(URL, actor), await client.form(URL, {"mode": "scan"}, actor)):
            assert (response.status_code, "need resync-row" in response.text) == (403, True)


async def test_a_plugin_may_offer_people_to_log_in(client: Client) -> None:
    class Login:
        @hookimpl
        def forbidden(self, request: Any) -> Response | None:
            is_page = "application/json" not in (request.headers.get("accept") or "")
            return Response.redirect("/-/log-in") if is_page else None

    plugin = Login()
    pm.register(plugin, name="log in")
    try:
        for path in (URL, f"{ROW}/-/explain", "/library/resync_runs/1/-/undo", "/library/books/99/-/resync"):
            response = await client.get(path, None)
            assert (response.status_code, response.headers["location"]) == (302, "/-/log-in")
            assert (await client.get(path, None, json=True)).json()["status"] == 403
        assert (await client.form(URL, {"mode": "scan"}, None)).headers["location"] == "/-/log-in"
    finally:
        pm.unregister(plugin)


# --- explain -----------------------------------------------------------------------------------------


async def test_explain_tells_each_candidate_and_who_wins(client: Client) -> None:
    answer = (await client.get(f"{ROW}/-/explain", json=True)).json()
    title = next(f for f in answer["fields"] if f["field"] == "title")
    assert (title["source"], title["winner"], title["reason"]) == ("manual", "manual", "lower_priority")
    assert {"value": "Dune II", "source": "epub_metadata"}.items() <= title["candidates"][0].items()
    said = text_of((await client.get(f"{ROW}/-/explain")).text)
    assert "Dune II" in said
    assert "the present value has a better source" in said


async def test_explain_takes_no_post(client: Client) -> None:
    assert (await client.form(f"{ROW}/-/explain", {})).status_code == 405


# --- covers ------------------------------------------------------------------------------------------


async def test_a_cover_is_an_image_and_nothing_else(client: Client) -> None:
    response = await client.get("/library/files/1/-/cover")
    assert (response.status_code, response.content) == (200, COVER)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


@pytest.mark.parametrize("name", [None, "", "../../library.db", "x.html", "absent.jpg", "a/b.jpg"])
async def test_what_is_no_cover_is_404(client: Client, book: Library, name: str | None) -> None:
    book.edit("files", cover_image_filename=name)
    assert (await client.get("/library/files/1/-/cover", json=True)).status_code == 404


async def test_a_cover_that_is_a_link_out_of_the_roots_is_refused(client: Client, book: Library) -> None:
    (book.folder / "secret.jpg").write_bytes(b"SECRET")
    (book.file_path().parent / "link.jpg").symlink_to(book.folder / "secret.jpg")
    book.edit("files", cover_image_filename="link.jpg")
    response = await client.get("/library/files/1/-/cover", json=True)
    assert (response.status_code, "SECRET" in response.text) == (403, False)


@pytest.mark.parametrize("name", ["there.jpg", "not_there.jpg"])
async def test_whether_a_cover_is_outside_the_roots_is_nobodys_to_learn(
    client: Client, book: Library, tmp_path: Any, name: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "there.jpg").write_bytes(COVER)
    book.edit("files", filepath=str(tmp_path / "outside" / "x.epub"), cover_image_filename=name)
    assert (await client.get("/library/files/1/-/cover")).status_code == 403


async def test_a_cover_needs_view_table_alone(client: Client) -> None:
    assert (await client.get("/library/files/1/-/cover", None)).status_code == 200
    client.ds.config["permissions"] = {"view-table": {"id": "ed"}}
    assert (await client.get("/library/files/1/-/cover", None)).status_code == 403
    assert (await client.get("/library/books/1/-/cover")).status_code == 404


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        (f"{URL}?mode=refresh", f"Refresh all metadata: {HOSTILE}"),
        (f"{ROW}/-/explain", f"Why these values? {HOSTILE}"),
        ("/library/files/1/-/resync", "Scan for new metadata: a.epub"),
        ("/library/files/1/-/explain", "Why these values? a.epub"),
    ],
)
async def test_pages_call_a_book_by_its_title_and_a_file_by_its_name(
    client: Client, path: str, heading: str
) -> None:
    page = (await client.get(path)).text
    assert text_of(page).startswith(f" {heading} ")
    assert heading in unescape(page[page.index("<title>") : page.index("</title>")]).replace("  ", " ")


@pytest.mark.parametrize("title", ["", " "])
async def test_pages_call_a_book_without_a_title_by_its_id(client: Client, book: Library, title: str) -> None:
    book.edit("books", title=title)
    assert " Refresh all metadata: book 1 " in text_of((await client.get(f"{URL}?mode=refresh")).text)


# --- the panel ---------------------------------------------------------------------------------------


async def test_the_panel_shows_files_sources_and_the_last_run(client: Client) -> None:
    page = (await client.get(ROW)).text
    panel = page[page.index('id="shisho-panel"') : page.index("</section>")]
    assert 'src="/library/files/1/-/cover' in panel
    assert 'href="/library/files/1"' in panel
    assert re.search(r"<dt>set by a person</dt><dd>Title", panel)
    assert 'href="/library/resync_runs/1/-/undo"' in panel
    history = await client.get(unescape(re.findall(r'href="([^"]+)">History', panel)[0]))
    assert " 1 row " in text_of(history.text)


@pytest.mark.parametrize("table", ["books", "files"])
async def test_the_panel_tells_of_the_last_run_to_those_who_may_see_it(client: Client, table: str) -> None:
    client.ds.config["permissions"] = GRANTS
    page = f"/library/{table}/1"
    await client.resync("files", mode="refresh", actor=EDITOR)
    assert "Last run" in (await client.get(page, EDITOR)).text
    client.ds.config["databases"] = {
        "library": {"tables": {"resync_runs": {"permissions": {"view-table": {"id": "other"}}}}}
    }
    assert "Last run" not in (await client.get(page, EDITOR)).text


async def test_the_panel_says_what_the_row_is_and_when_it_was_changed(client: Client) -> None:
    said = text_of((await client.get(ROW)).text)
    assert re.search(r"Last run: scan, \d{4}-\d\d-\d\d \d\d:\d\d UTC \(", said)
    assert f" {HOSTILE} File: a.epub " in said


async def test_the_panel_of_a_file_leads_to_its_book_where_that_may_be_seen(client: Client) -> None:
    file = "/library/files/1"
    panel = (await client.get(file)).text
    assert f"a.epub A file of {HOSTILE} " in text_of(panel)
    assert f'A file of <a href="{ROW}">' in panel
    client.ds.config["databases"] = {
        "library": {"permissions": GRANTS, "tables": {"books": {"allow": {"id": "ann"}}}}
    }
    said = text_of((await client.get(file, EDITOR)).text)
    assert "Where its values come from" in said
    assert "A file of" not in said


async def test_the_panel_of_a_file_shows_its_own_fields(client: Client) -> None:
    page = (await client.get("/library/files/1")).text
    assert re.search(r"<dt>EPUB</dt><dd>Name", page)


async def test_names_that_are_not_utf_8_are_spelled_out(library: Library) -> None:
    book_id = library.add_book("Odd")
    library.add_file(book_id, b"caf\xe9 <b>.epub", epub("Odd"))
    library.edit("books", title_source="plugin:\u202eodd")
    client = Client(served(library))
    for path in (f"{URL}?mode=refresh", f"{ROW}/-/explain", ROW, "/library/files/1"):
        response = await client.get(path)
        assert response.status_code == 200
        assert "caf\\xe9 &lt;b&gt;.epub" in response.text
    done = await client.resync(mode="refresh")
    assert done.json()["files"][0]["path"].endswith("caf\\xe9 <b>.epub")
    assert (await client.get("/library/resync_runs/1/-/undo")).status_code == 200
    assert (await client.form("/library/resync_runs/1/-/undo", {"undo": "Undo"})).status_code == 303


# --- who may view books alone ---------------------------------------------------------------------


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("json", [False, True])
async def test_who_may_not_view_files_learns_no_path_from_a_page(
    client: Client, book: Library, is_broken: bool, json: bool
) -> None:
    tables = {"files": {"permissions": {"view-table": {"id": "other"}}}}
    client.ds.config.update({"permissions": GRANTS, "databases": {"library": {"tables": tables}}})
    (book.file_path().parent / "a.epub.metadata.json").write_text("{broken")
    if is_broken:
        book.rewrite(1, b"no zip")
    for path in ("resync?mode=refresh", "resync?mode=scan", "explain"):
        response = await client.get(client.path("books", 1, path), EDITOR, json=json)
        assert response.status_code == (422 if is_broken else 200)
        assert "a.epub" not in response.text
    for mode in ("refresh", "scan"):
        response = await client.form(client.path("books", 1), {"mode": mode}, EDITOR)
        assert "a.epub" not in f"{response.text} {client.messages(response)}"
