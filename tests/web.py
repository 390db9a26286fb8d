"""A library served by Datasette, for tests of the web shell: real files, real database, real requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasette import app
from datasette.app import Datasette
from datasette.plugins import get_plugins, pm
from datasette.utils.internal_db import internal_migrations
from jinja2.bccache import Bucket, BytecodeCache
from library import Library
from sqlite_utils import Database

from datasette_shisho_resync.hooks import default_extensions, load_extensions
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.settings import PLUGIN
from datasette_shisho_resync.site import TEMPLATES
from datasette_shisho_resync.web.state import started_state, state_of

ROOT = {"id": "root"}
EDITOR = {"id": "ed"}
JSON = {"Accept": "application/json"}
GRANTS = {"resync-row": {"id": ["ed", "blind"]}, "update-row": {"id": ["ed", "blind", "upd"]}}


class _Compiled(BytecodeCache):
    """Templates that were compiled once, for every Datasette of the tests."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


@cache
def _plugins(registered: frozenset[object]) -> tuple[dict[str, Any], ...]:
    return tuple(get_plugins())


app.get_plugins = lambda: list(map(dict, _plugins(frozenset(pm.get_plugins()))))  # asked for on every page


@cache
def _internal_database() -> bytes:
    """Return Datasette's own database, whose tables take longer to make than to copy."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "internal.db")
        with closing(sqlite3.connect(path)) as conn:
            internal_migrations.apply(Database(conn, execute_plugins=False))
        return path.read_bytes()


class Plain(Datasette):
    """A Datasette as anybody starts it, with what is the same for all of them made before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._jinja_env.bytecode_cache = _COMPILED
        if self._internal_database.is_temp_disk:
            Path(self._internal_database.path).write_bytes(_internal_database())

    def _prepare_connection(self, conn: sqlite3.Connection, database: str) -> None:
        with suppress(sqlite3.Error):  # of a file that is no database, or that somebody else has to himself
            conn.execute("pragma synchronous = off")  # no test cuts the power
        super()._prepare_connection(conn, database)


class Served(Plain):
    """A Datasette that reads with the worker processes of all tests, unless it needs others."""

    def __init__(self, library: Library, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.root_enabled = True
        self._lent = library.pool

    async def invoke_startup(self) -> None:
        if self._startup_invoked:
            return
        await super().invoke_startup()
        state = state_of(self)
        if state.settings.limits == Limits() and load_extensions(pm) == default_extensions():
            state._pool = self._lent

    async def invoke_shutdown(self) -> None:
        state = started_state(self)
        if state is not None and state._pool is self._lent:
            state._pool = None
        await super().invoke_shutdown()


def served(
    library: Library,
    settings: Mapping[str, Any] | None = None,
    permissions: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    name: str | None = None,
    **options: Any,
) -> Datasette:
    """Return a Datasette with this library; `ed` may resync, `upd` only update, root everything."""
    config = {"plugins": {PLUGIN: dict(settings or {})}, "permissions": dict(permissions or {})}
    files, immutables = ([], [library.path]) if immutable else ([library.path], [])
    return Served(library, files, immutables=immutables, config=config, **options)


class Client:
    """Requests to the one library of a Datasette; root asks unless another actor is given."""

    def __init__(self, ds: Datasette, database: str = "library") -> None:
        self.ds, self.database = ds, database

    def path(self, table: str, pk: object, name: str = "resync") -> str:
        return f"/{self.database}/{table}/{pk}/-/{name}"

    async def get(
        self, path: str, actor: Mapping[str, Any] | None = ROOT, *, json: bool = False, **options: Any
    ) -> Any:
        headers = {**(JSON if json else {}), **options.pop("headers", {})}
        return await self.ds.client.get(path, actor=actor, headers=headers, **options)

    async def resync(
        self,
        table: str = "books",
        pk: object = 1,
        *,
        actor: Mapping[str, Any] | None = ROOT,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Any:
        """POST JSON."""
        return await self.ds.client.post(
            self.path(table, pk), actor=actor, json=body, headers=dict(headers or {})
        )

    async def form(self, path: str, data: Mapping[str, Any], actor: Mapping[str, Any] | None = ROOT) -> Any:
        """POST a form as a browser does."""
        return await self.ds.client.post(path, data=dict(data), actor=actor)

    def messages(self, response: Any) -> list[str]:
        """Return the flash messages that a response sets."""
        cookie = response.cookies.get("ds_messages")
        return [text for text, _ in self.ds.unsign(cookie, "messages")] if cookie else []


def looked_at(
    library: Library,
    *,
    settings: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    permissions: Mapping[str, Any] | None = None,
    template_dir: str | None = str(TEMPLATES),
    database: Mapping[str, Any] | None = None,
) -> Datasette:
    """Return a Datasette that shows the library as metadata.yml and templates/ make it look."""
    config = {
        "plugins": {PLUGIN: dict(settings or {})},
        "permissions": dict(permissions or {}),
        "databases": {"library": {"tables": dict(tables or {}), **(database or {})}},
    }
    return Served(library, [library.path], config=config, metadata=metadata, template_dir=template_dir)


async def page(ds: Datasette, path: str, actor: Mapping[str, Any] | None = ROOT) -> str:
    """Return a page that there is."""
    response = await ds.client.get(path, actor=actor)
    assert response.status_code == 200, response.text
    return str(response.text)
