"""The cover image of a file, as it is beside it: read inside the roots, shown as nothing but an image."""

from __future__ import annotations

import os

from datasette import Response

from ..errors import UnknownRow
from ..files import COVER_MIMES, read_companion, resolve_confined
from ..model import Brief, FileRow
from ..resync.gathering import readable_roots
from ..settings import Settings
from .library import WebLibrary

_NO_COVER = "The file has no cover."
_ONLY_AN_IMAGE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


async def cover_response(library: WebLibrary, brief: Brief) -> Response:
    """Raises UnknownRow when there is no cover, FileRefused."""
    file = brief.file(brief.target.pk)
    name = file.cover_name
    mime = cover_mime(name)
    if mime is None:
        raise UnknownRow(_NO_COVER)
    data = await library.in_thread(_read, file, brief.roots, library.settings)
    if data is None:
        raise UnknownRow(_NO_COVER)
    return Response(data, headers=dict(_ONLY_AN_IMAGE), content_type=mime)


def cover_mime(name: str | None) -> str | None:
    """Return the media type of a cover's base name; None for what is no such name."""
    if not name or os.path.basename(name) != name:
        return None
    return COVER_MIMES.get(os.path.splitext(name)[1].lower())


def _read(file: FileRow, roots: tuple[str, ...], settings: Settings) -> bytes | None:
    here = settings.path_map.here(os.path.join(os.path.dirname(file.path), file.cover_name or ""))
    allowed = readable_roots(roots, settings)
    resolve_confined(here, allowed)  # also what is not there: nobody shall learn what is elsewhere
    return read_companion(here, allowed, settings.limits.max_cover_bytes, "max_cover_bytes")
