from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from builders.epub import build_epub
from click.testing import CliRunner, Result
from datasette.cli import cli
from terminal import Shown, called_on_terminal, on_terminal

from datasette_shisho_resync.cli import shisho
from datasette_shisho_resync.cli.command import as_ours
from datasette_shisho_resync.cli.group import COMMANDS
from datasette_shisho_resync.cli.program import program
from datasette_shisho_resync.errors import UnknownRow

pytestmark = pytest.mark.usefixtures("lent_workers")
HERE = "/media/books"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["shisho", *map(str, arguments)], catch_exceptions=False)


def answer(*arguments: object, exit_code: int = 0) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Library:
    """A scanned library with one book in one EPUB: book 1, file 1."""

    database: Path
    root: Path

    @property
    def file(self) -> Path:
        return self.root / "A Book" / "a.epub"

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as conn, conn:
            return [tuple(row) for row in conn.execute(sql, values)]

    def title(self) -> tuple[Any, ...]:
        return self.rows("select title, title_source from books")[0]


def scanned(folder: Path, *options: object, **epub: Any) -> Library:
    library = Library(folder / "library.db", folder / "media")
    library.file.parent.mkdir(parents=True)
    build_epub(library.file, **{"title": "From the file", **epub})
    assert call("scan", library.database, library.root, *options).exit_code == 0
    return library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return scanned(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """One library for the tests that change nothing; a person set the title."""
    library = scanned(tmp_path_factory.mktemp("untouched"))
    library.rows("update books set title = 'Mine', sort_title = 'Mine', title_source = 'manual'")
    return library


@pytest.fixture
def edited(library: Library) -> Library:
    library.rows("update books set title = 'Mine', sort_title = 'Mine', title_source = 'manual'")
    return library


# --- the group ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_every_command_tells_its_options_and_an_example(name: str) -> None:
    result = call(name, "--help")

    assert result.exit_code == 0
    assert f"datasette shisho {name} library.db" in result.output
    for option in ("--json", "--config", "--path-map", "--root", "--no-sidecars", "--no-covers"):
        assert option in result.output


def test_the_demo_tells_how_to_open_and_remove_it() -> None:
    text = call("demo", "--help").output

    assert "datasette shisho demo --remove" in text
    for option in ("--json", "--port", "--no-serve"):
        assert option in text


def test_every_option_has_a_help_text() -> None:
    context = click.Context(shisho)
    for name in COMMANDS:
        command = shisho.get_command(context, name)
        assert command is not None
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert all(option.help for option in options)


def test_the_group_lists_its_commands_without_loading_the_service() -> None:
    program = (
        "import sys; import datasette_shisho_resync; import datasette_shisho_resync.cli;"
        "print([m for m in sys.modules if m.startswith('datasette_shisho_resync.') and '.cli' not in m])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_package_is_a_datasette_plugin_with_its_parsers_on_the_plugin_manager() -> None:
    from datasette.plugins import pm

    from datasette_shisho_resync.hooks import load_extensions

    names = [set(offered) for offered in pm.hook.shisho_parsers()]

    assert {"epub", "cbz", "m4b", "pdf"} in names
    assert set(load_extensions(pm).parsers) >= {"epub", "cbz", "m4b", "pdf"}


def test_a_real_process_answers_on_stdout_alone(untouched: Library) -> None:
    command = [sys.executable, "-m", "datasette", "shisho", "resync", str(untouched.database), "--book", "1"]
    done = subprocess.run([*command, "--dry-run", "--json"], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["dry_run"] is True


# --- resync ---------------------------------------------------------------------------------------


def test_a_scan_takes_what_changed_and_records_the_run(library: Library) -> None:
    build_epub(library.file, title="Second edition")

    said = answer("resync", library.database, "--book", 1)

    assert library.title() == ("Second edition", "epub_metadata")
    assert (said["ok"], said["mode"], said["changed"], said["dry_run"]) == (True, "scan", True, False)
    assert said["run"] == library.rows("select max(id) from resync_runs where via = 'cli'")[0][0]
    assert said["rows"][0]["title"] == "Second edition"
    title = next(c for c in said["changes"] if c["field"] == "title")
    assert title == {
        "table": "books",
        "pk": 1,
        "field": "title",
        "old": "From the file",
        "old_source": "epub_metadata",
        "new": "Second edition",
        "new_source": "epub_metadata",
        "reason": "new_value",
    }


def test_a_scan_keeps_what_a_person_set(untouched: Library) -> None:
    said = answer("resync", untouched.database, "--book", 1)

    assert untouched.title() == ("Mine", "manual")
    assert said["changed"] is False
    assert said["run"] is None
    assert ("title", "lower_priority") in [(k["field"], k["reason"]) for k in said["kept"]]


def test_a_dry_run_writes_nothing_and_needs_no_yes(untouched: Library) -> None:
    before = untouched.rows("select count(*) from resync_runs")
    files = sorted(os.listdir(untouched.file.parent))

    said = answer("resync", untouched.database, "--file", 1, "--mode", "refresh", "--dry-run")

    assert [c["field"] for c in said["changes"]] == ["title", "sort_title"]
    assert untouched.title() == ("Mine", "manual")
    assert untouched.rows("select count(*) from resync_runs") == before
    assert sorted(os.listdir(untouched.file.parent)) == files


def test_refresh_overwrites_with_yes(edited: Library) -> None:
    result = call("resync", edited.database, "--book", 1, "--mode", "refresh", "--yes")

    assert result.exit_code == 0
    assert edited.title() == ("From the file", "epub_metadata")
    assert "Mine (manual)" in result.stdout
    assert "From the file (epub_metadata)" in result.stdout
    assert "forced" in result.stdout
    assert "Metadata refreshed: 2 changes (run " in result.stdout


def test_a_run_can_be_limited_to_fields(edited: Library) -> None:
    edited.rows("update books set subtitle = 'Sub', subtitle_source = 'manual'")
    build_epub(edited.file, title="New", metadata_xml="<dc:description>Text</dc:description>")

    arguments = ("--mode", "refresh", "--yes", "--field", "description", "--field", "genres")
    said = answer("resync", edited.database, "--book", 1, *arguments)

    assert [c["field"] for c in said["changes"]] == ["description"]
    assert ("title", "not_selected") in [(k["field"], k["reason"]) for k in said["kept"]]
    assert edited.title() == ("Mine", "manual")


@pytest.mark.parametrize("name", ["a.epub", "./../A Book//a.epub"])
def test_a_file_is_found_by_its_path(untouched: Library, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(untouched.file.parent)

    said = answer("resync", untouched.database, "--path", name)

    assert [(f["id"], f["path"], f["status"]) for f in said["files"]] == [(1, str(untouched.file), "ok")]


def test_a_file_is_found_through_a_link_and_through_the_path_map(library: Library, tmp_path: Path) -> None:
    for table in ("library_paths", "books", "files"):
        library.rows(f"update {table} set filepath = replace(filepath, ?, ?)", str(library.root), HERE)
    link = tmp_path / "link"
    link.symlink_to(library.root)
    mapped = ("--path-map", f"{HERE}={library.root}")

    said = answer("resync", library.database, "--path", link / "A Book" / "a.epub", *mapped)

    assert [(f["path"], f["status"]) for f in said["files"]] == [(f"{HERE}/A Book/a.epub", "ok")]
    unmapped = answer("resync", library.database, "--book", 1, exit_code=1)
    assert unmapped["status"] == 409


def test_a_file_is_found_by_its_real_path_in_a_library_whose_folder_is_a_link(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(library.root)
    for table in ("library_paths", "books", "files"):
        library.rows(f"update {table} set filepath = replace(filepath, ?, ?)", str(library.root), str(link))
    monkeypatch.chdir(library.root)

    said = answer("resync", library.database, "--path", "A Book/a.epub")

    assert [(f["path"], f["status"]) for f in said["files"]] == [(f"{link}/A Book/a.epub", "ok")]


def test_a_path_without_a_row_is_an_unknown_row(untouched: Library) -> None:
    said = answer("resync", untouched.database, "--path", untouched.root / "x\x1b[31m.epub", exit_code=1)

    assert said["status"] == 404
    assert said["error"].endswith("x\\x1b[31m.epub: the library has no file with this path.")


def test_a_vanished_file_needs_a_confirmation_and_names_what_would_go(library: Library) -> None:
    library.file.unlink()

    refused = answer("resync", library.database, "--book", 1, exit_code=1)
    told = call("resync", library.database, "--book", 1)
    done = call("resync", library.database, "--book", 1, "--confirm-missing")

    assert (refused["status"], refused["root"]) == (409, str(library.root))
    assert refused["would_remove"] == ["files/1"]
    assert told.exit_code == 1
    assert "it would have been files/1" in told.stderr
    assert done.exit_code == 0
    assert f"removes book 1: {library.file.parent}" in done.stdout
    assert "Book removed (no longer exists on disk) (run " in done.stdout
    assert library.rows("select count(*) from books") == [(0,)]


def test_one_unreadable_file_of_two_is_reported_and_fails_the_command(library: Library) -> None:
    second = library.file.with_name("b.epub")
    build_epub(second, title="From the second")
    library.rows(
        "insert into files (library_id, book_id, filepath, file_type, file_role, filesize_bytes)"
        " values (1, 1, ?, 'epub', 'main', 1)",
        str(second),
    )
    library.file.write_bytes(b"no zip archive")

    said = answer("resync", library.database, "--book", 1, exit_code=1)

    assert [(f["id"], f["status"]) for f in said["files"]] == [(1, "error"), (2, "ok")]
    assert str(library.file) in said["files"][0]["error"]
    assert said["ok"] is True
    assert library.title()[0] == "From the second"


def test_an_unreadable_file_names_itself_and_the_reason(library: Library) -> None:
    library.file.write_bytes(b"no zip archive")

    said = answer("resync", library.database, "--file", 1, exit_code=1)
    told = call("resync", library.database, "--file", 1)

    assert said["status"] == 422
    assert said["error"].startswith(f"{library.file}: ")
    assert told.stderr == f"Error: {said['error']}\n"
    assert told.stdout == ""


# --- being asked ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["refresh", "reset"])
@pytest.mark.parametrize("command", ["resync", "scan"])
def test_without_a_terminal_overwriting_needs_yes(untouched: Library, command: str, mode: str) -> None:
    what = ("--book", 1) if command == "resync" else (untouched.root,)

    told = call(command, untouched.database, *what, "--mode", mode)
    said = answer(command, untouched.database, *what, "--mode", mode, exit_code=2)

    assert told.exit_code == 2
    assert "--yes" in told.stderr
    assert (said["ok"], said["status"]) == (False, 400)
    assert untouched.title() == ("Mine", "manual")


WIDE = {"COLUMNS": "200"}


def typed(command: Sequence[object], keys: bytes) -> Shown:
    """Run a command of ours on a wide terminal."""
    return called_on_terminal(cli, ["shisho", *map(str, command)], keys, WIDE)


def test_on_a_terminal_the_plan_is_shown_and_then_applied(edited: Library) -> None:
    command = [sys.executable, "-m", "datasette", "shisho", "resync", str(edited.database), "--book", "1"]
    command += ["--mode", "refresh", "--json"]
    exit_code, stdout, shown = on_terminal(command, b"y\n", WIDE, seconds=60)

    assert exit_code == 0
    assert re.search(r"title +Mine \(manual\) +-> +From the file \(epub_metadata\) +forced", shown)
    assert "Apply this plan? [y/N]" in shown
    assert json.loads(stdout)["changed"] is True
    assert edited.title() == ("From the file", "epub_metadata")


def test_a_no_on_the_terminal_changes_nothing(edited: Library) -> None:
    exit_code, _, shown = typed(("scan", edited.database, edited.root, "--mode", "reset"), b"n\n")

    assert exit_code == 1
    assert "Library: 0 imported, 1 updated" in shown
    assert "Aborted" in shown
    assert edited.title() == ("Mine", "manual")


def test_on_a_terminal_a_prune_asks_before_much_goes(edited: Library) -> None:
    shelf = [edited.root / f"{number}" for number in range(6)]
    for folder in shelf:
        folder.mkdir()
        build_epub(folder / "book.epub", title=folder.name)
    answer("scan", edited.database, edited.root)
    for folder in shelf:
        (folder / "book.epub").unlink()
    command = ("scan", edited.database, edited.root, "--prune")

    exit_code, _, shown = typed(command, b"n\n")
    assert (exit_code, "Remove 6 records? [y/N]" in shown) == (1, True)

    exit_code, stdout, _ = typed(command, b"y\n")
    assert (exit_code, "6 removed" in stdout) == (0, True)


# --- explain, history, undo -----------------------------------------------------------------------


def test_explain_tells_who_wins_and_why(untouched: Library) -> None:
    said = answer("explain", untouched.database, "--book", 1)
    told = call("explain", untouched.database, "--book", 1).stdout

    title = next(f for f in said["fields"] if f["field"] == "title")
    assert (title["stored"], title["source"]) == ("Mine", "manual")
    assert (title["winner"], title["reason"]) == ("manual", "lower_priority")
    assert {"value": "From the file", "source": "epub_metadata", "path": str(untouched.file)} in title[
        "candidates"
    ]
    assert re.search(r"book 1 +title +Mine +manual +stored: lower_priority", told)
    assert re.search(rf"\n +From the file +epub_metadata +offered +{untouched.file.name}\n", told)
    assert re.search(r"file 1 +name +From the file +epub_metadata +stored: same +epub_metadata", told)


def test_explain_counts_the_same_genres_in_another_order_as_agreement(tmp_path: Path) -> None:
    library = scanned(
        tmp_path, metadata_xml="<dc:subject>Mystery</dc:subject><dc:subject>Classics</dc:subject>"
    )

    told = call("explain", library.database, "--book", 1).stdout

    assert re.search(r"book 1 +genres +Classics; Mystery +epub_metadata +stored: same +epub_metadata", told)
    assert "offered" not in told


def test_explain_names_each_file_that_can_not_speak_once(library: Library) -> None:
    other = library.file.with_name("b.epub")
    library.rows(
        "insert into files (library_id, book_id, filepath, file_type, file_role, filesize_bytes)"
        " values (1, 1, ?, 'epub', 'main', 1)",
        str(other),
    )
    library.file.write_bytes(b"no zip archive")
    build_epub(other)
    damaged = call("explain", library.database, "--book", 1)
    library.file.unlink()
    gone = call("explain", library.database, "--book", 1)

    assert damaged.stderr == f"Error: {library.file}: not a ZIP archive, or a truncated one\n"
    assert gone.stderr == f"Warning: {library.file}: no such file; a run removes its record\n"


def test_history_lists_the_runs_of_a_row_newest_first(edited: Library) -> None:
    answer("resync", edited.database, "--file", 1, "--mode", "refresh", "--yes")

    every = answer("history", edited.database)["runs"]
    of_file = answer("history", edited.database, "--file", 1)["runs"]
    told = call("history", edited.database, "--book", 1).stdout.splitlines()

    assert [run["mode"] for run in every] == ["refresh", "scan"]
    assert of_file == every
    assert (of_file[0]["target_table"], of_file[0]["changed"], of_file[0]["via"]) == ("files", 2, "cli")
    assert [line.split()[:3] for line in told[1:]] == [["2", "file", "1"], ["1", "book", "1"]]


def test_history_says_that_older_runs_are_left_out(library: Library) -> None:
    insert = "insert into resync_runs (started_at, via, target_table, target_pk, mode)"
    counted = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 999)"
    library.rows(f"{insert} {counted} select '', 'cli', 'books', 1, 'scan' from n")
    assert call("history", library.database).stderr == ""
    assert answer("history", library.database)["truncated"] is False

    library.rows(f"{insert} values ('', 'cli', 'books', 1, 'scan')")
    told = call("history", library.database)
    said = answer("history", library.database)

    assert told.stderr == "These are the newest 1,000 runs; older ones are left out.\n"
    assert len(told.stdout.splitlines()) == 1 + 1000
    assert (len(said["runs"]), said["runs"][-1]["id"], said["truncated"]) == (1000, 2, True)


def test_history_forgets_old_runs(library: Library) -> None:
    library.rows("update resync_runs set finished_at = '2001-01-01 00:00:00+00:00'")

    assert answer("history", library.database, "--prune", 10_000)["forgotten"] == 0
    said = answer("history", library.database, "--prune", 30)

    assert (said["forgotten"], said["runs"]) == (1, [])
    assert call("history", library.database).stdout == "No runs.\n"


def test_the_history_of_no_row_is_an_unknown_row(untouched: Library) -> None:
    assert answer("history", untouched.database, "--book", 99, exit_code=1)["error"] == "There is no book 99."


def test_undo_puts_back_what_a_run_changed_and_only_once(edited: Library) -> None:
    run = answer("resync", edited.database, "--book", 1, "--mode", "refresh", "--yes")["run"]

    said = answer("undo", edited.database, run)
    again = answer("undo", edited.database, run, exit_code=1)

    assert edited.title() == ("Mine", "manual")
    assert (said["ok"], said["undo_of"], said["table"], said["pk"]) == (True, run, "books", 1)
    assert {c["field"] for c in said["changes"]} >= {"title", "sort_title"}
    assert again["status"] == 409


@pytest.mark.parametrize(
    ("called", "path", "shown"),
    [
        ("/there is/bin/datasette", "/usr/bin", "'/there is/bin/datasette'"),
        ("{bin}/datasette", "{bin}", "datasette"),
        ("{bin}/datasette", "/usr/bin", "{bin}/datasette"),
        ("/there/datasette/__main__.py", "/usr/bin", "datasette"),
    ],
)
def test_advice_calls_the_program_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, path: str, shown: str
) -> None:
    script = tmp_path / "datasette"
    script.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [called.format(bin=tmp_path)])
    monkeypatch.setenv("PATH", path.format(bin=tmp_path))
    assert program() == shown.format(bin=tmp_path)


def test_undo_names_the_fields_that_were_changed_since(edited: Library) -> None:
    run = answer("resync", edited.database, "--book", 1, "--mode", "refresh", "--yes")["run"]
    edited.rows("update books set title = 'Mine again'")

    said = answer("undo", edited.database, run, exit_code=1)

    assert (said["status"], said["fields"]) == (409, ["books.1.title"])


def test_undo_of_a_job_removes_what_the_scan_made(library: Library) -> None:
    told = call("undo", library.database, "--job", 1)

    assert told.exit_code == 0
    assert told.stdout == "1 run of job 1 undone.\n"
    assert library.rows("select count(*) from books") == [(0,)]
    assert library.file.exists()
    again = answer("undo", library.database, "--job", 1, exit_code=1)
    assert (again["status"], again["error"]) == (409, "Job 1 has nothing to undo.")


def test_a_library_without_a_history_has_no_job_to_undo(library: Library) -> None:
    for table in ("resync_changes", "resync_runs", "resync_jobs"):
        library.rows(f"drop table {table}")
    said = answer("undo", library.database, "--job", 1, exit_code=1)
    assert (said["status"], said["error"]) == (404, "There is no job 1.")


# --- settings -------------------------------------------------------------------------------------


def test_the_configuration_of_datasette_counts(library: Library, tmp_path: Path) -> None:
    build_epub(library.file, title="New")
    for name in os.listdir(library.file.parent):
        if name != library.file.name:
            (library.file.parent / name).unlink()
    config = tmp_path / "datasette.yaml"
    config.write_text("plugins:\n  datasette-shisho-resync:\n    write_sidecars: false\n")

    answer("resync", library.database, "--book", 1, "-c", config)

    assert library.title()[0] == "New"
    assert os.listdir(library.file.parent) == [library.file.name]


def test_a_setting_of_one_database_is_refused(library: Library, tmp_path: Path) -> None:
    config = tmp_path / "datasette.yaml"
    block = {"plugins": {"datasette-shisho-resync": {"roots": [str(tmp_path)]}}}
    config.write_text(json.dumps({"databases": {"library": block}}))

    told = call("explain", library.database, "--book", 1, "-c", config)

    assert (told.exit_code, "belongs in the `plugins` at the top" in told.stderr) == (2, True)


def test_no_sidecars_are_written_when_none_are_wanted(tmp_path: Path) -> None:
    library = scanned(tmp_path, "--no-sidecars", "--no-covers")

    assert os.listdir(library.file.parent) == [library.file.name]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{]", "it is neither JSON nor YAML."),
        ("[1]", "it must be a mapping, and `plugins` in it too."),
        ("plugins: {datasette-shisho-resync: [1]}", "the block datasette-shisho-resync must be a mapping."),
        ("plugins: {datasette-shisho-resync: {root: [/x]}}", "Unknown setting 'root'."),
        ("plugins: {datasette-shisho-resync: {roots: [books]}}", "roots: books is not an absolute path."),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_usage_error(
    untouched: Library, tmp_path: Path, content: str, reason: str
) -> None:
    config = tmp_path / "datasette.yaml"
    config.write_text(content)

    said = answer("resync", untouched.database, "--book", 1, "-c", config, exit_code=2)

    assert said["error"].endswith(reason)


def test_a_file_outside_the_given_roots_is_refused(untouched: Library, tmp_path: Path) -> None:
    said = answer("resync", untouched.database, "--book", 1, "--root", tmp_path, exit_code=1)

    assert said["status"] == 403


def test_a_relative_root_is_meant_from_here(untouched: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(untouched.root)

    assert answer("resync", untouched.database, "--book", 1, "--root", ".", "--dry-run")["ok"]


def test_a_library_path_that_is_a_system_folder_is_never_read(library: Library) -> None:
    library.rows("update library_paths set filepath = '/'")

    assert answer("resync", library.database, "--book", 1, exit_code=1)["status"] == 403


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("resync", "{db}"),
        ("resync", "{db}", "--book", "1", "--file", "1"),
        ("resync", "{db}", "--book", "1", "--path", "x"),
        ("resync", "{db}", "--path", ""),
        ("resync", "{db}", "--book", "one"),
        ("resync", "{db}", "--book", str(2**63)),
        ("resync", "{db}", "--book", "1", "--mode", "rescan"),
        ("resync", "{db}", "--book", "1", "--field", "titel"),
        ("resync", "{db}", "--book", "1", "--nope"),
        ("resync", "{db}", "--book", "1", "--path-map", "/media"),
        ("resync", "{db}", "--book", "1", "--path-map", "media=/x"),
        ("resync", "{db}", "--book", "1", "--root", "/etc"),
        ("resync", "{db}", "--book", "1", "-c", "/no/such/file"),
        ("explain", "{db}"),
        ("history", "{db}", "--book", "1", "--prune", "1"),
        ("history", "{db}", "--prune", "-1"),
        ("undo", "{db}"),
        ("undo", "{db}", "1", "--job", "1"),
        ("scan", "{db}"),
        ("scan", "{db}", "/etc"),
        ("scan", "{db}", "/tmp", "--group", "files"),
        ("scan", "{db}", "/tmp", "--workers", "0"),
    ],
)
def test_usage_errors_exit_2_and_are_json_when_json_is_wanted(
    untouched: Library, arguments: Sequence[str]
) -> None:
    filled = [argument.format(db=untouched.database) for argument in arguments]

    told = call(*filled)
    said = answer(*filled, exit_code=2)

    assert (told.exit_code, told.stdout) == (2, "")
    assert "Error: " in told.stderr
    assert set(said) == {"ok", "error", "errors", "status"}
    assert (said["ok"], said["errors"], said["status"]) == (False, [said["error"]], 400)


@pytest.mark.parametrize("name", ["scan", "resync", "explain", "history", "undo"])
def test_what_can_not_be_read_is_no_misuse(name: str) -> None:
    command = shisho.get_command(click.Context(shisho), name)
    assert command is not None
    judged = [p.name for p in command.params if isinstance(p.type, click.Path) and p.type.readable]
    assert judged == ["config"]


@pytest.mark.parametrize(
    ("command", "arguments", "status"),
    [
        ("resync", ("--book", 99), 404),
        ("resync", ("--file", -1), 404),
        ("explain", ("--file", 99), 404),
        ("undo", (99,), 404),
        ("undo", ("--job", 99), 404),
    ],
)
def test_an_unknown_row_exits_1(
    untouched: Library, command: str, arguments: tuple[object, ...], status: int
) -> None:
    said = answer(command, untouched.database, *arguments, exit_code=1)

    assert (said["ok"], said["status"]) == (False, status)


def test_what_is_no_library_is_said_in_one_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 1000)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as conn:
        conn.execute("create table books (id)")

    for database in (tmp_path / "none.db", tmp_path, text, other):
        told = call("resync", database, "--book", 1)
        assert (told.exit_code, told.stdout) == (1, "")
        assert re.fullmatch(r"Error: .*\.\n", told.stderr)
    assert "it lacks books.library_id" in call("history", other).stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (
            sqlite3.OperationalError("database is locked"),
            503,
            "a.db: another program is writing to it; try again.",
        ),
        (
            sqlite3.OperationalError("database or disk is full"),
            503,
            "a.db: there is no room left on the disk.",
        ),
        (sqlite3.OperationalError("disk I/O error"), 503, "a.db: its disk is full or fails."),
        (PermissionError(13, "Permission denied", "/x\x1b"), 400, "/x\\x1b: Permission denied"),
        (OSError(28, "No space left on device"), 400, "a.db: No space left on device"),
        (MemoryError(), 500, "a.db: there is not enough memory."),
        (KeyError("title"), 500, "a.db: unexpected KeyError: 'title'"),
        (UnknownRow("There is no book 1."), 404, "There is no book 1."),
    ],
)
def test_whatever_goes_wrong_is_one_sentence(error: Exception, status: int, message: str) -> None:
    ours = as_ours(error, "a.db")

    assert (ours.status, ours.exit_code, ours.message) == (status, 1, message)


def test_text_from_files_can_not_drive_the_terminal(tmp_path: Path) -> None:
    library = scanned(tmp_path, title="Plain")
    hostile = "\x1b]0;owned\x07\x9b31m\u202eevil\r\n\x00"
    library.rows("update books set title = ?, title_source = 'manual'", hostile)
    library.rows("update books set filepath = filepath || ?", "\x1b[2J")

    outputs = [
        call("resync", library.database, "--book", 1, "--mode", "refresh", "--dry-run").output,
        call("history", library.database).output,
        call("undo", library.database, 1).output,
        call("explain", library.database, "--book", 1).output,
        call("resync", library.database, "--path", "/x\x1b[2J").output,
    ]

    for output in outputs:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", output)
    assert "\\x1b]0;owned" in outputs[0]
