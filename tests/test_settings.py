from __future__ import annotations

from typing import Any

import pytest

from datasette_shisho_resync.errors import BadRequest
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.settings import settings_from


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
        ("max_file_bytes", "big"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object) -> None:
    with pytest.raises(BadRequest, match=name):
        settings_from({name: value})
