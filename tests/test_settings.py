from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from datasette_shisho_resync.errors import BadRequest
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.settings import PLUGIN, require_settings_at_top, settings_from


@pytest.mark.parametrize("config", [None, {}])
def test_nothing_is_needed(config: dict[str, Any] | None) -> None:
    settings = settings_from(config)
    assert (settings.roots, settings.write_sidecars, settings.limits) == (None, True, Limits())


def test_every_setting_is_read() -> None:
    config = {
        "roots": ["/media/books", "/media/books/"],
        "path_map": {"/stored": "/media/here"},
        "write_sidecars": False,
        "write_covers": False,
        "track_manual_edits": False,
        "library_access": {1: {"id": "root"}},
        "workers": 3,
        "max_file_bytes": 5,
        "parse_seconds": 2,
    }
    settings = settings_from(config)
    assert settings.roots == ("/media/books",)
    assert settings.path_map.here("/stored/a") == "/media/here/a"
    assert (settings.write_sidecars, settings.write_covers, settings.track_manual_edits) == (False,) * 3
    assert (settings.library_access, settings.workers) == ({"1": {"id": "root"}}, 3)
    assert (settings.limits.max_file_bytes, settings.limits.parse_seconds) == (5, 2.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", "red"),
        ("roots", "/media"),
        ("roots", [5]),
        ("roots", ["relative"]),
        ("roots", ["/"]),
        ("path_map", ["/a"]),
        ("path_map", {"/a": 5}),
        ("write_covers", "yes"),
        ("library_access", []),
        ("workers", 0),
        ("workers", True),
        ("workers", 0.5),
        ("max_file_bytes", "big"),
        ("max_chapters", 1.5),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object) -> None:
    with pytest.raises(BadRequest, match=name):
        settings_from({name: value})


def block_of(**settings: object) -> dict[str, object]:
    return {"plugins": {PLUGIN: settings}}


@pytest.mark.parametrize("place", [lambda block: block, lambda block: {"tables": {"books": block}}])
def test_a_setting_that_nothing_would_read_is_refused(place: Callable[[object], object]) -> None:
    top = block_of(library_access={"Comics": {"id": "ann"}})
    below = place(block_of(library_access={"Comics": {"id": "ben"}}))
    with pytest.raises(BadRequest, match="library_access stands in the block of the database 'lib'"):
        require_settings_at_top({**top, "databases": {"lib": below}})


def test_a_table_has_no_settings_of_its_own() -> None:
    tables = {"books": block_of(track_manual_edits=False)}
    with pytest.raises(BadRequest, match="track_manual_edits stands in the block of the database 'lib'"):
        require_settings_at_top({"databases": {"lib": {"tables": tables}}})


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"databases": None, "plugins": None},
        {"databases": {"lib": None, "other": {"tables": [], "plugins": {PLUGIN: None, "another": {"a": 1}}}}},
        {"databases": {"lib": block_of(track_manual_edits=False)}},
        {**block_of(workers=1), "databases": {"lib": block_of(workers=1)}},
    ],
)
def test_other_blocks_of_a_database_are_fine(config: Mapping[str, object] | None) -> None:
    require_settings_at_top(config)
