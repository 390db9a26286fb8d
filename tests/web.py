"""A library served by Datasette, for tests of the web shell: real files, real database, real requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasette.app import Datasette
from library import Library

from datasette_shisho_resync.settings import PLUGIN
from datasette_shisho_resync.site import TEMPLATES

ROOT = {"id": "root"}
EDITOR = {"id": "ed"}
JSON = {"Accept": "application/json"}
GRANTS = {"resync-row": {"id": ["ed", "blind"]}, "update-row": {"id": ["ed", "blind", "upd"]}}


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
    ds = Datasette(files, immutables=immutables, config=config, **options)
    ds.root_enabled = True
    return ds


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
    ds = Datasette([library.path], config=config, metadata=metadata, template_dir=template_dir)
    ds.root_enabled = True
    return ds


async def page(ds: Datasette, path: str, actor: Mapping[str, Any] | None = ROOT) -> str:
    """Return a page that there is."""
    response = await ds.client.get(path, actor=actor)
    assert response.status_code == 200, response.text
    return str(response.text)
