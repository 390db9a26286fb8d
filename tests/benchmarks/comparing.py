"""Measures work and its floor side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

T = TypeVar("T")
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

        _, work_seconds = measured(self.benchmark, work, setup=set_up, rounds=rounds, warmup_rounds=1)
        floor_seconds = statistics.median(floors[1:])
        ratio = work_seconds / floor_seconds
        self.benchmark.extra_info.update(floor_seconds=floor_seconds, ratio=round(ratio, 3))
        print(f"\n{self.benchmark.name}: {ratio:.2f} x of a floor of {floor_seconds * 1000:.2f} ms")
        return ratio


def measured(
    benchmark: BenchmarkFixture, work: Callable[..., T], *arguments: Any, **options: Any
) -> tuple[T, float]:
    """Return what the work returned last, and the median of the seconds that it took."""
    result: T = benchmark.pedantic(work, arguments, **options)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    median: float = benchmark.stats.stats.median
    return result, median


def seconds(work: Work, *arguments: Any) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started
