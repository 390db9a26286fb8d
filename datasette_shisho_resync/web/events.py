"""What happened, for plugins that listen to Datasette's events."""

from __future__ import annotations

from dataclasses import dataclass

from datasette import Event


@dataclass
class ResyncRowEvent(Event):  # type: ignore[misc]  # Datasette's classes have no types
    """
    Event name: ``resync-row``

    A book or file was read again and its record changed.

    :ivar database: The name of the database.
    :type database: str
    :ivar table: ``books`` or ``files``.
    :type table: str
    :ivar pks: The primary key values of the row.
    :type pks: list
    :ivar mode: ``scan``, ``refresh`` or ``reset``.
    :type mode: str
    :ivar run: The id of the run in ``resync_runs``.
    :type run: int
    """

    name = "resync-row"
    database: str
    table: str
    pks: list[int]
    mode: str
    run: int


@dataclass
class UndoResyncEvent(Event):  # type: ignore[misc]
    """
    Event name: ``undo-resync``

    What a run changed was put back.

    :ivar database: The name of the database.
    :type database: str
    :ivar table: The table that the run was about.
    :type table: str
    :ivar pks: The primary key values of the run's row.
    :type pks: list
    :ivar run: The id of the run that was undone.
    :type run: int
    :ivar undone_by: The id of the run that put everything back.
    :type undone_by: int
    """

    name = "undo-resync"
    database: str
    table: str
    pks: list[int]
    run: int
    undone_by: int
