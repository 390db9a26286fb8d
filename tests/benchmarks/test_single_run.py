"""One file's plan and apply, against reading its package document and writing twenty rows."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Callable
from itertools import count

import media
import pytest
from comparing import Comparison
from library import BY, Library
from lxml import etree

from datasette_shisho_resync.model import Mode, Target
from datasette_shisho_resync.resync import Ask

_MOST = 3.0
_NAMES = {"c": "urn:oasis:names:tc:opendocument:xmlns:container"}


def read_package(path: str) -> etree._Element:
    """Parse an EPUB's container and package document, and nothing else."""
    with zipfile.ZipFile(path) as archive:
        container = etree.fromstring(archive.read("META-INF/container.xml"))
        rootfile = container.find(".//c:rootfile", _NAMES)
        assert rootfile is not None
        return etree.fromstring(archive.read(str(rootfile.attrib["full-path"])))


def write_twenty_rows(conn: sqlite3.Connection) -> None:
    conn.execute("begin immediate")
    for number in range(20):
        conn.execute("insert into twenty (number, text) values (?, ?)", (number, "as long as a title is"))
    conn.execute("commit")


@pytest.mark.parametrize("changes", ["nothing", "title"])
def test_a_run_on_one_epub(library: Library, comparison: Comparison, changes: str) -> None:
    library.conn.execute("create table twenty (id integer primary key, number integer, text text)")
    book_id = library.add_book("Dune")
    file_id = library.add_file(book_id, "dune.epub", media.epub(0))
    path = library.file(file_id)["filepath"]
    contents = [media.epub(0), media.epub(0, "Another Title")]
    numbers = count()

    def prepare() -> tuple[()]:
        if changes == "title":
            library.write(path, contents[next(numbers) % 2])
        return ()

    def floor() -> None:
        read_package(path)
        write_twenty_rows(library.conn)

    ask = Ask(Target("books", book_id), Mode.REFRESH)
    library.service.run(ask, BY)
    library.service.run(ask, BY)
    commits = Commits()
    library.conn.set_trace_callback(commits.note)
    prepare()
    library.service.run(ask, BY)
    library.conn.set_trace_callback(None)
    assert commits.count == 1
    ratio = comparison.ratio(lambda: library.service.run(ask, BY), floor, rounds=100, prepare=prepare)
    assert ratio <= _MOST


class Commits:
    """Counts the transactions that are committed."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def note(self) -> Callable[[str], None]:
        def noted(sql: str) -> None:
            self.count += sql.strip().lower() == "commit"

        return noted
