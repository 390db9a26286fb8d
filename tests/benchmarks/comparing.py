"""Measures work and its floor side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

Work = Callable[..., object]


@dataclass(frozen=True)
class Comparison:
    """Measures some work and its floor in turns, so that a busy moment slows down both."""

    benchmark: BenchmarkFixture

    def ratio(
        self, work: Work, floor: Work, *, rounds: int, prepare: Callable[[], tuple[Any, ...]] = tuple
    ) -> float:
        """Return the median time of `work` by that of `floor`.

        `prepare` is called before each round, and returns the arguments of both; its time does not count.
        """
        floors: list[float] = []

        def set_up() -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments = prepare()
            floors.append(seconds(floor, *arguments))
            return arguments, {}

        self.benchmark.pedantic(work, setup=set_up, rounds=rounds, warmup_rounds=1)
        floor_seconds = statistics.median(floors[1:])
        ratio: float = self.benchmark.stats.stats.median / floor_seconds
        self.benchmark.extra_info.update(floor_seconds=floor_seconds, ratio=round(ratio, 3))
        print(f"\n{self.benchmark.name}: {ratio:.2f} x of a floor of {floor_seconds * 1000:.2f} ms")
        return ratio


def seconds(work: Work, *arguments: Any) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started
