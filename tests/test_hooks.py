from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pluggy
import pytest
from builders.extensions import enrich_raising, enrich_with_genres, parse_raising, parse_text

from datasette_shisho_resync.errors import BadRequest
from datasette_shisho_resync.hooks import default_extensions, load_extensions
from datasette_shisho_resync.workers.extensions import Reference

hookimpl = pluggy.HookimplMarker("datasette")


def plugin(**hooks: object) -> SimpleNamespace:
    """A plugin whose hooks return these values; a function is called."""

    def returning(value: object) -> Callable[[], object]:
        return hookimpl(lambda: value() if callable(value) else value)

    return SimpleNamespace(**{name: returning(value) for name, value in hooks.items()})


def manager(**plugins: SimpleNamespace) -> pluggy.PluginManager:
    found = pluggy.PluginManager("datasette")
    for name, offered in plugins.items():
        found.register(offered, name)
    return found


def test_the_built_in_formats_are_there_without_any_plugin() -> None:
    assert set(default_extensions().parsers) == {"epub", "m4b", "cbz", "pdf"}
    assert load_extensions(manager()) == default_extensions()


@pytest.mark.parametrize("extension", ["epub", "m4b", "cbz", "pdf"])
def test_a_built_in_parser_is_a_function_of_its_module(extension: str) -> None:
    reference = default_extensions().parsers[extension]
    assert reference == Reference(f"datasette_shisho_resync.parsers.{extension}", f"parse_{extension}")


def test_other_plugins_add_formats() -> None:
    parsers = load_extensions(manager(other=plugin(shisho_parsers={"mobi": parse_text}))).parsers
    assert parsers == {**default_extensions().parsers, "mobi": parse_text}


@pytest.mark.parametrize("key", ["mobi", ".mobi", "MOBI", ".Mobi"])
def test_extensions_are_lower_case_without_dot(key: str) -> None:
    assert "mobi" in load_extensions(manager(other=plugin(shisho_parsers={key: parse_text}))).parsers


def test_the_parser_of_a_plugin_takes_the_place_of_a_built_in_one() -> None:
    found = load_extensions(manager(other=plugin(shisho_parsers={"epub": parse_text})))
    assert found.parsers["epub"] is parse_text


def test_of_two_plugins_the_one_that_is_called_first_counts() -> None:
    early, late = plugin(shisho_parsers={"mobi": parse_text}), plugin(shisho_parsers={"mobi": parse_raising})
    plugins = manager(early=early, late=late)
    assert load_extensions(plugins).parsers["mobi"] is parse_raising


def test_enrichers_are_kept_in_the_order_of_calling() -> None:
    first = plugin(shisho_enrichers=[("a", enrich_with_genres), ("b", enrich_raising)])
    second = plugin(shisho_enrichers=[("c", enrich_with_genres)])
    found = load_extensions(manager(first=first, second=second))
    assert [name for name, _ in found.enrichers] == ["c", "a", "b"]


def test_hooks_can_be_asked_again() -> None:
    plugins = manager(first=plugin(shisho_parsers={"mobi": parse_text}))
    before = load_extensions(plugins)
    assert load_extensions(plugins) == before
    plugins.register(plugin(shisho_parsers={"azw": parse_text}))
    assert set(load_extensions(plugins).parsers) - set(before.parsers) == {"azw"}


def _raise() -> Mapping[str, object]:
    raise RuntimeError("no such luck")


@pytest.mark.parametrize(
    "broken",
    [
        plugin(shisho_parsers=_raise),
        plugin(shisho_parsers=7),
        plugin(shisho_parsers={"mobi": "not a function"}),
        plugin(shisho_parsers={".": parse_text}),
        plugin(shisho_enrichers=_raise),
        plugin(shisho_enrichers=[("name", None)]),
        plugin(shisho_enrichers=[(" ", enrich_with_genres)]),
        plugin(shisho_enrichers=[enrich_with_genres]),
        SimpleNamespace(shisho_parsers=hookimpl(lambda colour: {})),
    ],
)
def test_a_plugin_that_does_not_fit_is_named(broken: SimpleNamespace) -> None:
    plugins = manager(fine=plugin(shisho_parsers={"mobi": parse_text}), culprit=broken)
    with pytest.raises(BadRequest, match="culprit"):
        load_extensions(plugins)


def test_loading_the_hooks_does_not_load_datasette_or_a_parser() -> None:
    program = (
        "import sys; from datasette_shisho_resync.hooks import default_extensions; default_extensions();"
        "assert not {'datasette', 'lxml', 'mutagen', 'pypdf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"], check=True)
