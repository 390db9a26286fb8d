"""The arrows of the architecture: who may import whom, and who may speak SQL."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "datasette_shisho_resync"
NAME = PACKAGE.name
SHELLS = ("__init__", "cli", "web", "jobs")
IO = {"os", "io", "shutil", "pathlib", "sqlite3", "socket", "subprocess", "tempfile", "urllib"}
IO_FREE = ("decide", "comparison", "model", "fields", "sources", "errors", "normalize", "values")

MODULES = tuple(
    path.relative_to(PACKAGE).with_suffix("").as_posix() for path in sorted(PACKAGE.rglob("*.py"))
)


@cache
def nodes(module: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())))


def part(module: str) -> str:
    """Return the module of the package that a file belongs to."""
    return module.partition("/")[0]


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports when it is loaded, ours as `datasette_shisho_resync.part...`."""
    folder = [NAME, *module.split("/")[:-1]]
    for node in nodes(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def ours(module: str) -> set[str]:
    """Return the parts of the package that a module imports, itself left out."""
    found = {name.split(".")[1] for name in imports(module) if name.startswith(f"{NAME}.")}
    return found - {part(module)}


def foreign(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)} - {NAME}


def modules(*parts: str) -> list[str]:
    return [module for module in MODULES if part(module) in parts]


ALLOWED = {
    "errors": set(),
    "sources": set(),
    "model": {"errors"},
    "fields": {"model", "errors"},
    "normalize": {"model", "errors"},
    "values": {"model", "errors", "fields", "normalize"},
    "comparison": {"model", "fields", "normalize", "values"},
    "decide": {"model", "fields", "normalize", "values", "sources", "comparison"},
    "files": {"model", "errors"},
    "parsers": {"model", "errors", "normalize", "sources", "values", "files"},
    "candidates": {"model", "fields", "normalize", "values", "sources", "parsers", "files"},
}


@pytest.mark.parametrize("module", modules(*ALLOWED))
def test_the_inner_parts_import_only_what_is_further_in(module: str) -> None:
    assert ours(module) <= ALLOWED[part(module)]


@pytest.mark.parametrize("module", [m for m in MODULES if m not in SHELLS and part(m) not in SHELLS])
def test_only_the_shells_know_datasette_and_click(module: str) -> None:
    assert not foreign(module) & {"datasette", "click", "starlette", "jinja2"}
    assert not ours(module) & set(SHELLS)


@pytest.mark.parametrize("module", modules("store"))
def test_the_store_knows_neither_disk_nor_service(module: str) -> None:
    assert not ours(module) & {
        "resync",
        "library_scan",
        "files",
        "reading",
        "workers",
        "candidates",
        "decide",
    }


INSIDE = ("resync", "library_scan", "provenance", "store", "parsers", "files", "workers", "demo", "site")
"""Parts that a shell is built on."""


@pytest.mark.parametrize("module", modules(*INSIDE))
def test_what_the_shells_are_built_on_knows_neither_demo_nor_site(module: str) -> None:
    assert not ours(module) & {"demo", "site"}


@pytest.mark.parametrize("module", modules("demo"))
def test_the_sample_library_is_made_without_the_rest(module: str) -> None:
    assert ours(module) <= {"errors", "files"}


@pytest.mark.parametrize(
    ("module", "others"), [("web", {"jobs", "cli"}), ("jobs", {"cli"}), ("cli", {"web", "jobs"})]
)
def test_shells_know_no_shell_that_is_built_on_them(module: str, others: set[str]) -> None:
    assert not set().union(*map(ours, modules(module))) & others


@pytest.mark.parametrize("module", modules("resync"))
def test_the_service_of_one_row_knows_no_bulk_work_no_process_and_no_answer(module: str) -> None:
    assert not ours(module) & {"library_scan", "json_output", "rehearsal", "workers"}


@pytest.mark.parametrize("module", modules(*IO_FREE))
def test_what_decides_does_no_input_or_output(module: str) -> None:
    assert not foreign(module) & IO
    calls = {n.func.id for n in nodes(module) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not calls & {"open", "print", "input"}


@pytest.mark.parametrize("module", modules("candidates"))
def test_candidates_open_nothing(module: str) -> None:
    assert not foreign(module) & (IO - {"os"})
    names = {ast.unparse(n) for n in nodes(module) if isinstance(n, ast.Attribute)}
    assert {name for name in names if name.startswith("os.")} <= {
        "os.path",
        "os.path.basename",
        "os.path.splitext",
    }


@pytest.mark.parametrize("module", modules("parsers"))
def test_parsers_know_no_database(module: str) -> None:
    assert not foreign(module) & {"sqlite3", "sqlite_utils"}


RUN_SQL = ("execute", "executemany", "executescript", "execute_write", "execute_write_many")


def statements(module: str) -> list[str]:
    """Return the SQL that a module runs, an expression where it is not a text."""
    calls = [
        node
        for node in nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUN_SQL
    ]
    firsts = [call.args[0] for call in calls if call.args]
    return [str(arg.value) if isinstance(arg, ast.Constant) else ast.unparse(arg) for arg in firsts]


HARMLESS = ("begin", "commit", "rollback", "pragma ", "savepoint", "release")


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) not in ("store", "provenance")])
def test_only_the_store_speaks_sql(module: str) -> None:
    assert [s for s in statements(module) if not s.startswith(HARMLESS)] == []


@pytest.mark.parametrize("module", MODULES)
def test_errors_are_ours_and_nothing_is_printed(module: str) -> None:
    if part(module) == "cli":
        return
    calls = [n.func for n in nodes(module) if isinstance(n, ast.Call)]
    assert not [c for c in calls if isinstance(c, ast.Name) and c.id == "print"]
