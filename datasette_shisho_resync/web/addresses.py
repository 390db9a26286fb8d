"""Where our own pages, pictures and scripts are. Knows nothing of who may go there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .library import WebLibrary
from .state import WebState

if TYPE_CHECKING:
    from datasette.app import Datasette

_PACKAGE = "datasette_shisho_resync"


def job_url(datasette: Datasette, database: str, job_id: int) -> str:
    return f"{datasette.urls.database(database)}/-/resync/jobs/{job_id}"


def cover_url(library: WebLibrary, file_id: int, version: object) -> str:
    """Return where a file's cover is; another `version` makes browsers fetch it again."""
    return f"{library.datasette.urls.row(library.name, 'files', str(file_id))}/-/cover?v={version}"


def static_url(datasette: Datasette, state: WebState, name: str) -> str:
    """Return a file's address; Datasette would look for the file and read it again for every page."""
    if name not in state.addresses:
        # As it is: a plain string would get the base_url once more.
        state.addresses[name] = datasette.static(name, plugin=_PACKAGE)
    return state.addresses[name]
