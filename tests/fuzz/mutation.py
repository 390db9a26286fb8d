"""Changes a case a little, without leaving its format more often than need be.

Trees are changed in their lists (an element goes, comes twice or from elsewhere) and in their texts, which
are seen as tags, words and single characters. Which words matter to a format is said by `words`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .building import Tree
from .cases import Case, Edit
from .words import BYTES, NUMBERS, words_of

_TOKEN = re.compile(r"</?[\w:]+|/\w+|&[^;\s&]*;|\"[^\"]*\"|[\w:.-]+|.", re.DOTALL)
_PIECE = re.compile(r"<[^<>]*>[^<]*|[^<]+|.", re.DOTALL)
_MOST_TEXT = 6000
_MOST_BYTES = 30_000
_FREE_KEYS = ("sidecar",)  # kinds whose records may have any keys and values
_VALUES = (*NUMBERS, True, None, "1")

_Place = tuple[Any, Any]
"""A container in a tree, and a key or an index in it."""


class Mutator:
    """Makes cases of cases; the same ones again from the same random numbers."""

    def __init__(self, kind: str, numbers: random.Random) -> None:
        self._random = numbers
        self._words = words_of(kind)
        self._has_free_keys = kind in _FREE_KEYS

    def mutated(self, case: Case, other: Case) -> Case:
        """Return a case that is a few steps away from `case`, some of them towards `other`."""
        holder = [json.loads(json.dumps(case.tree))]
        edits, is_tight = list(case.edits), case.is_tight
        for _ in range(1 + int(self._random.expovariate(0.7))):
            chance = self._random.random()
            if chance < 0.88:
                self._change_tree(holder, other.tree)
            elif chance < 0.94:
                self._change_edits(edits)
            else:
                is_tight = not is_tight
        return replace(case, tree=holder[0], edits=tuple(edits), is_tight=is_tight)

    def _change_tree(self, holder: list[Tree], other: Tree) -> None:
        container, key = self._random.choice(list(places(holder)))
        value = container[key]
        chance = self._random.random()
        if chance < 0.05:
            container[key] = self._similar(value, other)
        elif chance < 0.1 and self._has_free_keys:
            container[key] = self._random.choice(_VALUES)
        elif isinstance(value, str):
            container[key] = self._changed_text(value)
        elif isinstance(value, list):
            self._change_list(value, other)
        elif isinstance(value, dict):
            self._change_record(value)
        else:
            container[key] = self._random.choice(_VALUES)

    def _similar(self, value: Tree, other: Tree) -> Tree:
        """Return a part of another tree that has the type of `value`."""
        found = [
            c[k] for c, k in places([other]) if type(c[k]) is type(value) and _keys(c[k]) == _keys(value)
        ]
        return json.loads(json.dumps(self._random.choice(found))) if found else value

    def _change_list(self, value: list[Any], other: Tree) -> None:
        if not value:
            return
        at, element = self._random.randrange(len(value)), self._random.choice(value)
        chance = self._random.random()
        if chance < 0.35:
            del value[at]
        elif chance < 0.6:
            value.insert(at, json.loads(json.dumps(element)))
        elif chance < 0.85:
            value.insert(at, self._similar(element, other))
        elif chance < 0.97:
            value[at], value[0] = value[0], value[at]
        else:
            value[at:at] = [element] * self._random.choice((3, 30, 100))

    def _change_record(self, value: dict[str, Any]) -> None:
        if not value or not self._has_free_keys:
            return
        key = self._random.choice(list(value))
        word = self._random.choice(self._words)
        content = value.pop(key) if self._random.random() < 0.3 else value[key]
        if self._random.random() < 0.6:
            value[word] = self._random.choice((content, [content], {word: content}))

    def _changed_text(self, text: str) -> str:
        changed = self._overwritten(text) if self._random.random() < 0.3 else self._with_tokens_changed(text)
        return changed[:_MOST_TEXT]

    def _with_tokens_changed(self, text: str) -> str:
        tokens = self._random.choice((_TOKEN, _PIECE)).findall(text)
        start, elsewhere = (self._random.randint(0, len(tokens)) for _ in range(2))
        end = start + self._random.choice((1, 1, 2, 5, 12))
        change = self._random.choice(("replace", "insert", "delete", "copy", "repeat"))
        if change == "replace":
            tokens[start:end] = [self._word()]
        elif change == "insert":
            tokens.insert(start, self._word())
        elif change == "delete":
            del tokens[start:end]
        elif change == "copy":
            tokens[elsewhere:elsewhere] = tokens[start:end]
        else:
            tokens[start:start] = tokens[start:end] * self._random.choice((2, 8, 60))
        return "".join(tokens)

    def _overwritten(self, text: str) -> str:
        at = self._random.randint(0, len(text))
        byte = chr(self._random.randrange(256))
        piece = self._random.choice((self._random.choice(BYTES), byte, self._word()))
        removed = self._random.choice((0, len(piece), 1, 4))
        return text[:at] + piece + text[at + removed :]

    def _word(self) -> str:
        if self._random.random() < 0.1:
            return str(self._random.choice(NUMBERS))
        return self._random.choice(self._words)

    def _change_edits(self, edits: list[Edit]) -> None:
        if edits and self._random.random() < 0.4:
            edits.pop(self._random.randrange(len(edits)))
            return
        at = int(_MOST_BYTES ** self._random.random()) * self._random.choice((1, 1, -1))
        text = self._random.choice((*BYTES, "", chr(self._random.randrange(256))))
        edits.append((at, self._random.choice((0, len(text), 1, 8, 500)), text))


def places(container: Any) -> Iterator[_Place]:
    """Walk a tree: every place in it that holds something."""
    keys: Sequence[Any] = list(container) if isinstance(container, dict) else range(len(container))
    for key in keys:
        yield container, key
        if isinstance(container[key], (dict, list)):
            yield from places(container[key])


def _keys(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, dict) else ()
