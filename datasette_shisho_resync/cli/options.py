"""What every command is given: the database and how to read the files, as one value."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click
from datasette.utils import BadMetadataError, parse_metadata, resolve_env_secrets

from ..errors import BadRequest
from ..files import PathMap, checked_roots, shown
from ..model import Mode, Target
from ..settings import PLUGIN, Settings, require_settings_at_top, settings_from

F = TypeVar("F", bound=Callable[..., Any])
ANY_PATH = click.Path(readable=False)  # what can't be read is a failure that its command tells, no misuse


@dataclass(frozen=True, slots=True)
class Common:
    """DATABASE and the options of every command; paths as they were typed."""

    database: str
    as_json: bool = False
    config: str | None = None
    path_map: tuple[tuple[str, str], ...] = ()
    roots: tuple[str, ...] = ()
    no_sidecars: bool = False
    no_covers: bool = False

    def block(self) -> Mapping[str, Any]:
        """Return the plugin's block of the configuration file. Raises BadRequest."""
        return {} if self.config is None else _read_block(self.config)

    def settings(self) -> Settings:
        """Return the settings of the file with what the command line says instead. Raises BadRequest."""
        block = self.block()
        settings = settings_from(block)
        if self.path_map:
            mapping = {**(block.get("path_map") or {}), **dict(self.path_map)}
            settings = replace(settings, path_map=PathMap(mapping))
        if self.roots:
            settings = replace(settings, roots=checked_roots(map(os.path.abspath, self.roots)))
        return replace(
            settings,
            write_sidecars=settings.write_sidecars and not self.no_sidecars,
            write_covers=settings.write_covers and not self.no_covers,
        )


def _read_block(config: str) -> Mapping[str, Any]:
    try:
        with open(config, encoding="utf-8") as file:
            content = parse_metadata(file.read())
        require_settings_at_top(content)
        plugins = (content or {}).get("plugins") or {}
        block = resolve_env_secrets(plugins.get(PLUGIN) or {}, os.environ)
    except (BadMetadataError, UnicodeDecodeError) as error:
        raise BadRequest(f"{shown(config)}: it is neither JSON nor YAML.") from error
    except AttributeError as error:  # a list or a text where a mapping belongs
        raise BadRequest(f"{shown(config)}: it must be a mapping, and `plugins` in it too.") from error
    if not isinstance(block, Mapping):
        raise BadRequest(f"{shown(config)}: the block {PLUGIN} must be a mapping.")
    return block


def common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command DATABASE and the options of every command, as its first argument."""

    @functools.wraps(function)
    def with_common(
        database: str,
        as_json: bool,
        config: str | None,
        path_map: tuple[tuple[str, str], ...],
        root: tuple[str, ...],
        no_sidecars: bool,
        no_covers: bool,
        **rest: Any,
    ) -> None:
        function(Common(database, as_json, config, path_map, root, no_sidecars, no_covers), **rest)

    for decorate in reversed(_COMMON):
        with_common = decorate(with_common)
    return with_common


def _split_mapping(
    ctx: click.Context, param: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in given:
        stored, sign, here = text.partition("=")
        if not (stored and sign and here):
            raise click.BadParameter(f"{text!r} is not of the form STORED=HERE.", ctx, param)
        pairs.append((stored, os.path.abspath(here)))
    return tuple(pairs)


_COMMON: tuple[Callable[[Any], Any], ...] = (
    click.argument("database", type=ANY_PATH),
    click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    click.option(
        "-c",
        "--config",
        type=click.Path(exists=True, dir_okay=False, readable=True),
        help="A datasette.yaml or datasette.json with this plugin's settings.",
    ),
    click.option(
        "--path-map",
        multiple=True,
        metavar="STORED=HERE",
        callback=_split_mapping,
        help="Where a folder of the database is on this machine; may be repeated.",
    ),
    click.option(
        "--root",
        multiple=True,
        metavar="DIR",
        help="A folder that may be read, instead of the library's own; may be repeated.",
    ),
    click.option("--no-sidecars", is_flag=True, help="Write no sidecars."),
    click.option("--no-covers", is_flag=True, help="Write no covers."),
)


def target_options(function: F) -> F:
    """Add --book and --file."""
    for name in ("file", "book"):
        function = click.option(
            f"--{name}",
            f"{name}_id",
            type=int,
            callback=checked_id,
            metavar="ID",
            help=f"The {name}'s id.",
        )(function)
    return function


def checked_id(ctx: click.Context, param: click.Parameter, number: int | None) -> int | None:
    """Take a number that an id could be; whether there is such a row is the library's to say."""
    if number is not None and abs(number) >= 2**63:
        raise click.BadParameter(f"{number} is too large for an id.", ctx, param)
    return number


def chosen_target(book_id: int | None, file_id: int | None) -> Target | None:
    """Return the row that was named, None when none was. Raises UsageError for two."""
    if book_id is not None and file_id is not None:
        raise click.UsageError("Give --book or --file, not both.")
    if book_id is not None:
        return Target("books", book_id)
    return None if file_id is None else Target("files", file_id)


def mode_option(function: F) -> F:
    """Add --mode."""
    return click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode]),
        default=Mode.SCAN.value,
        show_default=True,
        callback=lambda ctx, param, value: Mode(value),
        help="scan keeps what a person set; refresh overwrites; reset clears first, then reads again.",
    )(function)


def yes_option(function: F) -> F:
    """Add --yes."""
    return click.option(
        "--yes", is_flag=True, help="Refresh or reset without asking; needed without a terminal."
    )(function)
