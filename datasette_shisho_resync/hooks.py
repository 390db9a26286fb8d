"""Our hookspecs on Datasette's plugin manager: other plugins add formats and metadata sources.

Imports pluggy but not Datasette; knows nothing of what parsers and enrichers do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, TypeVar

import pluggy

from .errors import BadRequest
from .parsers import Parser
from .workers.extensions import Enricher, Extensions, Reference

__all__ = [
    "Enricher",
    "Extensions",
    "builtin_parsers",
    "default_extensions",
    "load_extensions",
    "shisho_enrichers",
    "shisho_parsers",
]

hookspec = pluggy.HookspecMarker("datasette")
hookimpl = pluggy.HookimplMarker("datasette")

Offer = TypeVar("Offer")
_HOOKS = ("shisho_parsers", "shisho_enrichers")


@hookspec
def shisho_parsers() -> Mapping[str, Parser]:  # type: ignore[empty-body]
    """Return file extension -> parser. A parser for a built-in extension takes its place."""


@hookspec
def shisho_enrichers() -> Iterable[tuple[str, Enricher]]:  # type: ignore[empty-body]
    """Return (name, function) pairs. Their values get the source `plugin:NAME`."""


@hookimpl(specname="shisho_parsers", trylast=True)
def builtin_parsers() -> Mapping[str, Parser]:
    """Return the parsers of this package, each loaded when it is first used."""
    package = f"{__package__}.parsers"
    return {name: Reference(f"{package}.{name}", f"parse_{name}") for name in ("epub", "m4b", "cbz", "pdf")}


def default_extensions() -> Extensions:
    """Return the built-in parsers alone, for use without Datasette."""
    return Extensions(dict(builtin_parsers()))


def load_extensions(plugin_manager: pluggy.PluginManager) -> Extensions:
    """Return what this package and all plugins offer; may be called again at any time.

    Where two plugins offer one extension, the one that pluggy calls first counts, as elsewhere.

    Raises BadRequest naming the plugin whose hook fails or returns something else.
    """
    _add_hookspecs(plugin_manager)
    parsers = dict(builtin_parsers())
    for offered in _offers(plugin_manager, "shisho_parsers", _checked_parsers):
        parsers.update(offered)
    offers = _offers(plugin_manager, "shisho_enrichers", _checked_enrichers)
    return Extensions(parsers, tuple(chain.from_iterable(reversed(offers))))


def _add_hookspecs(plugin_manager: pluggy.PluginManager) -> None:
    if all(_has_spec(plugin_manager, hook) for hook in _HOOKS):
        return
    try:
        plugin_manager.add_hookspecs(sys.modules[__name__])
    except pluggy.PluginValidationError as error:
        raise BadRequest(
            f"The plugin {_name_of(plugin_manager, error.plugin)} does not fit: {error}"
        ) from error


def _has_spec(plugin_manager: pluggy.PluginManager, hook: str) -> bool:
    caller = getattr(plugin_manager.hook, hook, None)
    return caller is not None and caller.has_spec()


def _name_of(plugin_manager: pluggy.PluginManager, plugin: object) -> str:
    return plugin_manager.get_name(plugin) or repr(plugin)


def _offers(plugin_manager: pluggy.PluginManager, hook: str, checked: Callable[[Any], Offer]) -> list[Offer]:
    """Return what each plugin's hook returns, in reverse order of calling."""
    caller: pluggy.HookCaller = getattr(plugin_manager.hook, hook)
    offers = []
    for implementation in caller.get_hookimpls():  # one by one, so that the culprit is known
        try:
            offers.append(checked(implementation.function()))
        except Exception as error:  # the shell around other people's code
            reason = f"{hook}: {type(error).__name__}: {error}"
            raise BadRequest(f"The plugin {implementation.plugin_name} failed ({reason})") from error
    return offers


def _checked_parsers(offered: Any) -> dict[str, Parser]:
    parsers = {str(key).removeprefix(".").lower(): parser for key, parser in dict(offered).items()}
    for key, parser in parsers.items():
        if not key or not callable(parser):
            raise TypeError(
                f"shisho_parsers must map file extensions to functions, not {key!r} to {parser!r}"
            )
    return parsers


def _checked_enrichers(offered: Any) -> list[tuple[str, Enricher]]:
    enrichers = [(name, function) for name, function in offered]
    for name, function in enrichers:
        if not isinstance(name, str) or not name.strip() or not callable(function):
            raise TypeError(f"shisho_enrichers must return (name, function) pairs, not {(name, function)!r}")
    return enrichers
