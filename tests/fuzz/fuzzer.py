"""Tries mutated cases, keeps those that take a step not taken before, and notes what no parser may do."""

from __future__ import annotations

import random
import resource
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .branches import Arc, Branches
from .cases import NO_FILE, Case
from .mutation import Mutator
from .targets import try_data

_BATCH = 32  # asking for the branches costs as much as several inputs
_MOST_SECONDS = 2.0
_MOST_BYTES = 150_000_000
_HANGS_SECONDS = 20
_NEWEST = 15


@dataclass
class Fuzzer:
    """Fuzzes the parser of one kind; `finds` is a folder, `found` what was wrong by the place in the code."""

    kind: str
    branches: Branches
    finds: Path
    pool: list[tuple[Case, frozenset[Arc]]] = field(default_factory=list)
    tried: int = 0
    found: dict[str, str] = field(default_factory=dict)
    _seen: set[Arc] = field(default_factory=set)

    def start(self, cases: Iterable[Case]) -> None:
        self._seen |= self.branches.arcs(self.kind)
        for case in cases:
            self._keep_if_new(case)

    def run(self, seconds: float, numbers: random.Random) -> None:
        mutator = Mutator(self.kind, numbers)
        end = time.process_time() + seconds
        while time.process_time() < end:
            batch = [mutator.mutated(self._chosen(numbers), self._chosen(numbers)) for _ in range(_BATCH)]
            self.replay(batch)
            if not self.branches.arcs(self.kind) <= self._seen:
                for case in batch:
                    self._keep_if_new(case)

    def replay(self, cases: Iterable[Case]) -> None:
        with self.branches.watched():
            for case in cases:
                self._try(case)

    def arcs_of(self, case: Case) -> frozenset[Arc]:
        self.replay((case,))
        return self.branches.arcs(self.kind)

    def _chosen(self, numbers: random.Random) -> Case:
        """Prefer what was found last."""
        newest = len(self.pool) - 1 - int(numbers.expovariate(1 / _NEWEST))
        at = newest if newest >= 0 and numbers.random() < 0.5 else numbers.randrange(len(self.pool))
        return self.pool[at][0]

    def _keep_if_new(self, case: Case) -> None:
        arcs = self.arcs_of(case)
        if not arcs <= self._seen:
            self._seen |= arcs
            self.pool.append((case, arcs))

    def _try(self, case: Case) -> None:
        try:
            data = case.data()
        except NO_FILE:
            return
        self.tried += 1
        # Where the process ends here, its parent finds the case in this file.
        (self.finds / f"{self.kind}.now").write_text(case.line())
        signal.alarm(_HANGS_SECONDS)
        start, memory = time.process_time(), _most_bytes()
        try:
            try_data(self.kind, data, is_tight=case.is_tight)
        except Exception as error:
            self._note(case, _place(error), f"{type(error).__name__}: {error}")
        if (seconds := time.process_time() - start) > _MOST_SECONDS:
            self._note(case, "slow", f"{seconds:.1f} s")
        if (taken_bytes := _most_bytes() - memory) > _MOST_BYTES:
            self._note(case, "large", f"{taken_bytes:,} bytes")
        signal.alarm(0)

    def _note(self, case: Case, place: str, what: str) -> None:
        if place not in self.found:
            self.found[place] = what
            (self.finds / f"{self.kind}-{len(self.found)}.json").write_text(case.line())
            print(f"FIND {self.kind} {place}: {what[:300]}", flush=True)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "nowhere"
    return f"{where} {str(error).partition(' ')[0]}" if isinstance(error, AssertionError) else where


def _most_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
