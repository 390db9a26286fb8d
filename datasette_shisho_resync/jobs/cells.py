"""How a job's row looks in its table: what failed is counted, and listed on the job's own page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ..value_text import counted
from ..web.addresses import job_url

if TYPE_CHECKING:
    from datasette.app import Datasette


def errors_cell(
    datasette: Datasette, database: str, table: str | None, column: str, row: Any, value: Any
) -> Markup | None:
    """Return a link to the errors of a job; None for every other cell."""
    if (table, column) != ("resync_jobs", "errors"):
        return None
    try:
        errors = json.loads(value)
    except (TypeError, ValueError):
        return None
    if not isinstance(errors, list):
        return None
    url = job_url(datasette, database, row["id"])
    return Markup('<a href="{}">{}</a>').format(url, counted(len(errors), "error")) if errors else Markup()
