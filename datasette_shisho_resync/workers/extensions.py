"""Which parsers and enrichers there are, and how their functions reach a worker process.

A function travels by reference: the name of its module, its own name, and the file that holds it.
Nothing of a plugin is loaded in a worker before it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from ..errors import BadRequest
from ..model import ParsedFile
from ..parsers import Parser

Enricher = Callable[[ParsedFile], Mapping[str, object]]
"""Takes what the file says; returns field name -> value in the JSON form."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A top-level function by its place, loaded when it is first called.

    `module` None: the import system does not know it (a script, a file of `--plugins-dir`), so it
    is loaded from `file`.
    """

    module: str | None
    qualname: str
    file: str | None = None

    def __call__(self, *arguments: Any) -> Any:
        return _resolved(self)(*arguments)


@dataclass(frozen=True, slots=True)
class Extensions:
    """`parsers`: lower-case extension without dot -> parser; `enrichers`: (name, function), in order."""

    parsers: Mapping[str, Parser]
    enrichers: tuple[tuple[str, Enricher], ...] = ()

    def as_references(self) -> Extensions:
        """Return the same with every function replaced by a reference.

        Raises BadRequest naming the extension or enricher whose function has no place of its own.
        """
        return Extensions(
            {key: refer(parser, f"The parser for .{key} files") for key, parser in self.parsers.items()},
            tuple((name, refer(function, f"The enricher {name}")) for name, function in self.enrichers),
        )


def refer(function: Callable[..., Any], label: str) -> Reference:
    """Return a reference to a function; `label` begins the sentence of the error."""
    if isinstance(function, Reference):
        return function
    namespace = _namespace(function)
    qualname = str(getattr(function, "__qualname__", ""))
    if _attribute(namespace, qualname) is not function:
        raise BadRequest(f"{label} must be a function at the top level of a module, not {function!r}")
    spec = namespace.get("__spec__")
    file = namespace.get("__file__")
    return Reference(spec.name if spec else None, qualname, os.path.abspath(file) if file else None)


def _namespace(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the globals of the module that the function says it is from."""
    module = sys.modules.get(str(getattr(function, "__module__", None)))
    if module is not None:
        return vars(module)
    return getattr(inspect.unwrap(function), "__globals__", {})


def _attribute(namespace: Mapping[str, Any], qualname: str) -> Any:
    first, *rest = qualname.split(".")
    found = namespace.get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found


@cache  # one entry for each extension; a module must not be loaded twice
def _resolved(reference: Reference) -> Callable[..., Any]:
    found = _attribute(vars(_module(reference)), reference.qualname)
    if not callable(found):
        raise ImportError(f"{reference.qualname} is not in {reference.file or reference.module}")
    return found  # type: ignore[no-any-return]


def _module(reference: Reference) -> ModuleType:
    if reference.module and _is_importable(reference.module, reference.file):
        return importlib.import_module(reference.module)
    if not reference.file:
        raise ImportError(f"{reference.module or reference.qualname} cannot be imported")
    return _module_from(reference.file)


def _is_importable(module: str, file: str | None) -> bool:
    """Tell whether the name leads to that file here: another plugin's folder may hold the same name."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    return file is None or (
        spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(file)
    )


def _module_from(file: str) -> ModuleType:
    name = f"shisho extension {file}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it is being loaded
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
