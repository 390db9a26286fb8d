"""The plugin's settings as one value; says what is wrong with a setting, reads no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .errors import BadRequest
from .files import PathMap, checked_roots
from .model import Limits
from .model.portable import portable

PLUGIN = "datasette-shisho-resync"
"""The name of the block in `datasette.yaml`."""

_OF_A_DATABASE = frozenset({"track_manual_edits"})
_SWITCHES = ("write_sidecars", "write_covers", "track_manual_edits")
_LIMITS = {f.name: f.type for f in fields(Limits)}


@portable
@dataclass(frozen=True, slots=True)
class Settings:
    """Design 5.5. `roots`, as they are here, bound what may be read beside a library's own paths;
    None means not yet decided: the shell fills in the library paths that it found at its start.
    """

    roots: tuple[str, ...] | None = None
    path_map: PathMap = field(default_factory=lambda: PathMap({}))
    write_sidecars: bool = True
    write_covers: bool = True
    track_manual_edits: bool = True
    library_access: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 2
    limits: Limits = field(default_factory=Limits)


def settings_from(config: Mapping[str, Any] | None) -> Settings:
    """Read the plugin's block. Raises `BadRequest` naming the setting."""
    settings, limits = Settings(), Limits()
    for name, value in (config or {}).items():
        if name in _LIMITS:
            limits = replace(limits, **{name: _number(name, value)})  # type: ignore[arg-type]
        elif name in _SWITCHES:
            settings = replace(settings, **{name: _switch(name, value)})  # type: ignore[arg-type]
        elif name == "roots":
            settings = replace(settings, roots=checked_roots(_texts(name, value)))
        elif name == "path_map":
            settings = replace(settings, path_map=PathMap(_text_map(name, value)))
        elif name == "library_access":
            settings = replace(settings, library_access=_map(name, value))
        elif name == "workers":
            settings = replace(settings, workers=int(_number(name, value)))
        else:
            raise BadRequest(f"Unknown setting {name!r}.")
    return replace(settings, limits=limits)


def require_settings_at_top(config: Mapping[str, Any] | None) -> None:
    """Raises `BadRequest` for a setting of one database or table in a whole configuration file, unless it
    repeats the one at the top: nothing reads it there, so that a library would stay open which it closes."""
    top = _own_block(config)
    for database, key, value in _unread_settings(config):
        if (key, value) not in top.items():
            raise BadRequest(
                f"The setting {key} stands in the block of the database {database!r}; it counts for all "
                "databases, and belongs in the `plugins` at the top."
            )


def _unread_settings(config: object) -> Iterator[tuple[str, str, Any]]:
    for name, database in _entries(config, "databases"):
        block = _own_block(database)
        yield from ((name, key, block[key]) for key in block if key not in _OF_A_DATABASE)
        for _, table in _entries(database, "tables"):
            yield from ((name, key, value) for key, value in _own_block(table).items())


def _own_block(config: object) -> Mapping[str, Any]:
    return {str(key): value for key, value in _entries(dict(_entries(config, "plugins")), PLUGIN)}


def _entries(block: object, key: str) -> list[tuple[Any, Any]]:
    found = block.get(key) if isinstance(block, Mapping) else None
    return list(found.items()) if isinstance(found, Mapping) else []


def _number(name: str, value: object) -> int | float:
    kind = "number" if _LIMITS.get(name) == "float" else "whole number"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf"):
        if kind == "number":
            return float(value)
        if value == int(value):
            return int(value)
    raise BadRequest(f"The setting {name} must be a {kind} above 0, not {value!r}.")


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"The setting {name} must be true or false, not {value!r}.")
    return value


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadRequest(f"The setting {name} must be a list of folders.")
    return value


def _map(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRequest(f"The setting {name} must be a mapping.")
    return {str(k): v for k, v in value.items()}


def _text_map(name: str, value: object) -> Mapping[str, str]:
    mapping = _map(name, value)
    if not all(isinstance(v, str) for v in mapping.values()):
        raise BadRequest(f"The setting {name} must map a stored prefix to a folder here.")
    return mapping
