"""Few and small cases that take the steps which many and large ones take."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .branches import Arc
from .cases import Case
from .mutation import places

_Found = tuple[Case, frozenset[Arc]]
_ROUNDS = 2
_SMALLEST_PARTS = 16  # of a text; trying each of its characters would take hours


def smallest(pool: Sequence[_Found], arcs_of: Callable[[Case], frozenset[Arc]]) -> list[_Found]:
    """Return cases that together take each step that those in `pool` take."""
    chosen = _chosen(pool)
    for at, (case, arcs) in enumerate(chosen):
        others = frozenset[Arc]().union(*(arcs for _, arcs in chosen[:at] + chosen[at + 1 :]))
        shrunk = _Shrinking(case, arcs - others, arcs_of).shrunk()
        chosen[at] = shrunk, arcs_of(shrunk)
    return [(case, arcs) for case, arcs in chosen if arcs]


def _chosen(pool: Sequence[_Found]) -> list[_Found]:
    """Take the case that adds most, again and again; of two that add as much the smaller one."""
    left = frozenset[Arc]().union(*(arcs for _, arcs in pool))
    chosen = []
    while left:
        best = max(pool, key=lambda found: (len(found[1] & left), -len(found[0].line())))
        chosen.append(best)
        left -= best[1]
    return chosen


class _Shrinking:
    """Takes out of a case what its needed steps can do without."""

    def __init__(self, case: Case, needed: frozenset[Arc], arcs_of: Callable[[Case], frozenset[Arc]]) -> None:
        self._holder = [json.loads(json.dumps(case.tree))]
        self._case = case
        self._needed = needed
        self._arcs_of = arcs_of
        self._length = len(case.line())

    def shrunk(self) -> Case:
        for _ in range(_ROUNDS):
            before = self._length
            self._shrink_edits()
            for container, key in list(places(self._holder)):
                value = container[key] if key in _keys_of(container) else None
                if isinstance(value, (str, list)):
                    self._shrink_sequence(container, key)
                elif isinstance(value, dict) and self._case.kind == "sidecar":
                    self._shrink_record(value)
            if self._length == before:
                break
        return self._now()

    def _now(self) -> Case:
        return replace(self._case, tree=json.loads(json.dumps(self._holder[0])))

    def _is_enough(self) -> bool:
        """Tell whether the case became smaller and still takes the steps needed."""
        case = self._now()
        length = len(case.line())
        if length >= self._length or not self._needed <= self._arcs_of(case):
            return False
        self._length = length
        return True

    def _shrink_edits(self) -> None:
        for edit in self._case.edits:
            before = self._case
            self._case = replace(before, edits=tuple(other for other in before.edits if other != edit))
            if not self._is_enough():
                self._case = before

    def _shrink_sequence(self, container: Any, key: Any) -> None:
        part = len(container[key])
        least = part // _SMALLEST_PARTS + 1
        while part >= least:
            at = 0
            while at < len(container[key]):
                before = container[key]
                container[key] = before[:at] + before[at + part :]
                if not self._is_enough():
                    container[key] = before
                    at += part
            part //= 2

    def _shrink_record(self, value: dict[str, Any]) -> None:
        for key in list(value):
            before = dict(value)
            del value[key]
            if not self._is_enough():
                value.clear()
                value.update(before)


def _keys_of(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))
