"""One input of a parser, as one readable line of JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .building import Tree, build

SEEDS = Path(__file__).parent / "seeds"

NO_FILE = (ValueError, TypeError, LookupError, struct.error)
"""What `Case.data` raises when mutations left nothing that a file can be built of."""

Edit = tuple[int, int, str]
"""Where in the file, how many bytes go, and what comes in their place."""


@dataclass(frozen=True, slots=True)
class Case:
    """`is_tight`: to be read with limits that small files exceed."""

    kind: str
    tree: Tree
    is_tight: bool = False
    edits: tuple[Edit, ...] = ()

    def data(self) -> bytes:
        """Return the file. Raises: what `NO_FILE` lists."""
        data = bytearray(build(self.kind, self.tree))
        for at, length, text in self.edits:
            data[at : at + length] = text.encode("latin-1")
        return bytes(data)

    def line(self) -> str:
        content = {"tight": self.is_tight, "edits": self.edits, "tree": self.tree}
        return json.dumps({key: value for key, value in content.items() if value or key == "tree"})


def parsed_case(kind: str, line: str) -> Case:
    content = json.loads(line)
    edits = tuple((at, length, text) for at, length, text in content.get("edits", ()))
    return Case(kind, content["tree"], content.get("tight", False), edits)


def kept_cases(kind: str) -> Iterator[Case]:
    path = SEEDS / f"{kind}.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        yield parsed_case(kind, line)


def keep(kind: str, cases: Iterable[Case]) -> None:
    (SEEDS / f"{kind}.jsonl").write_text("".join(f"{case.line()}\n" for case in cases))
