"""Which branches of the parsers were taken, as coverage.py counts them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from coverage import Coverage

import datasette_shisho_resync

PARSERS = Path(datasette_shisho_resync.__file__).parent / "parsers"
MODULES: Mapping[str, tuple[str, ...]] = {
    "epub": ("epub",),
    "cbz": ("cbz",),
    "m4b": ("m4b",),
    "pdf": ("pdf",),
    "archive": ("archive.py",),
    "image": ("image.py",),
    "xml": ("xml.py",),
    "sidecar": ("sidecar.py",),
    "filename": ("filename.py",),
}

Arc = tuple[str, int, int]
"""A module by its path below `parsers`, and a line and the one that came after it."""


class Count(NamedTuple):
    """`missing` are lines from and to which nothing went; a negative one is the end of a function."""

    branches: int
    reached: int
    missing: tuple[tuple[int, int], ...]


class Branches:
    """Measures what is done while it watches."""

    def __init__(self) -> None:
        self._coverage = Coverage(branch=True, data_file=None, include=[f"{PARSERS}/*"], config_file=False)
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._coverage.start()
        try:
            yield
        finally:
            self._coverage.stop()

    def arcs(self, kind: str) -> frozenset[Arc]:
        """Return the steps in the parser of a kind since the last call, and forget them."""
        data = self._coverage.get_data()
        modules = {file: _module(file) for file in data.measured_files()}
        found = frozenset(
            (module, *arc)
            for file, module in modules.items()
            if is_of_kind(module, kind)
            for arc in data.arcs(file) or ()
        )
        self._coverage.erase()
        return found

    def counts(self) -> dict[str, Count]:
        """Return the branches of each module since the last call of `arcs`."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.json")
            self._coverage.json_report(outfile=str(report))
            files = json.loads(report.read_text())["files"]
        return {_module(name): _count(content) for name, content in files.items()}


def _count(content: Mapping[str, Any]) -> Count:
    summary = content["summary"]
    missing = tuple((start, end) for start, end in content["missing_branches"])
    return Count(summary["num_branches"], summary["covered_branches"], missing)


def _module(file: str) -> str:
    return file.rpartition("/parsers/")[2]


def is_of_kind(module: str, kind: str) -> bool:
    return any(module == own or module.startswith(f"{own}/") for own in MODULES[kind])
