"""What the cells of the history hold, read with distrust: anything that no run writes is a `Conflict`."""

from __future__ import annotations

from typing import Any

from ...errors import Conflict
from ...fields import Field
from ...model import ROW
from ..history import FILE_FIELDS as FILE_FIELDS
from ..history import Entry, from_cell

NAME_SOURCE, PATH = "name_source", "filepath"


def structure(cell: Any) -> Any:
    """Return the structure in a history cell; None for NULL. Raises `Conflict` on anything else."""
    if cell is None or isinstance(cell, (dict, list)):
        return cell
    try:
        return from_cell(cell)
    except (TypeError, ValueError, RecursionError) as error:
        raise Conflict("The history holds a value that no run writes.") from error


def image_of(cell: Any) -> dict[str, Any]:
    """Return the row or the parts in a history cell; empty for NULL. Raises `Conflict` on anything else."""
    found = structure(cell)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Conflict("The history holds a value that no run writes.")
    return found


def rows_of(field: Field, cell: Any) -> list[dict[str, Any]]:
    """Return the rows behind a list field in a history cell. Raises `Conflict` on anything else."""
    found = structure(cell) or []
    needed = {"id", field.owner_column, *((field.entity.id_column,) if field.entity else ())}
    if not isinstance(found, list) or not all(isinstance(r, dict) and needed <= set(r) for r in found):
        raise Conflict("The history holds a value that no run writes.")
    return found


def is_removal(entry: Entry) -> bool:
    return entry.field == ROW and entry.old is not None


def plain(cell: Any) -> Any:
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else cell
