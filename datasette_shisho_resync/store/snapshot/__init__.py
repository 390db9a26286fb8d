"""Reads the rows a run is about into values. Writes nothing."""

from __future__ import annotations

from .brief import brief_of_book as brief_of_book
from .brief import known_sidecars as known_sidecars
from .brief import library_paths as library_paths
from .brief import load_brief as load_brief
from .brief import series_of_book as series_of_book
from .lists import list_rows as list_rows
from .lists import load_list as load_list
from .lists import value_of_rows as value_of_rows
from .names import add_names as add_names
from .names import find_entity as find_entity
from .names import resolve_names as resolve_names
from .records import load_record as load_record
from .records import load_snapshot as load_snapshot
