"""Looks, before a job on rows begins, how many records it would remove."""

from __future__ import annotations

import os
import time
from collections import Counter

from ..errors import ResyncError
from ..resync import Service
from ..store.library import count_files, selected_files
from .loss import files_to_go, is_much, require_confirmed
from .rows import RowsOrder


def require_little_loss(service: Service, order: RowsOrder, seconds: float) -> None:
    """Raise MassRemoval when the job would remove much and nobody confirmed the number.

    Says nothing where it can't look at everything within `seconds`; the job itself counts again, and
    removes nothing before it knows the number.
    """
    if order.fields is not None:  # such a job removes nothing
        return
    deadline = time.monotonic() + seconds
    missing = _missing(service, order, deadline)
    known = {library: count_files(service.conn, library) for library in set(missing.values())}
    absent = Counter(missing.values())
    if not any(is_much(absent[library], known[library]) for library in absent):
        return
    going = []
    for pk, library in missing.items():
        if time.monotonic() > deadline:
            return
        going.append((library, _to_go(service, order, pk)))
    require_confirmed(service, going, order.confirm_removals)


def _missing(service: Service, order: RowsOrder, deadline: float) -> dict[int, int]:
    """Return the rows, with their libraries, of which a file is not there."""
    here = service.settings.path_map.here
    missing = {}
    for pk, library_id, path in selected_files(service.conn, order.table, order.pks):
        if time.monotonic() > deadline:
            break
        if order.may_touch(library_id) and not os.path.lexists(here(path)):
            missing[pk] = library_id
    return missing


def _to_go(service: Service, order: RowsOrder, pk: int) -> frozenset[int]:
    try:
        gathered = service.gather(order.ask(pk))
    except ResyncError:
        return frozenset()
    return files_to_go(gathered)
