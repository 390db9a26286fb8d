"""How far a scan is, on stderr: a line that renews itself, or without a terminal one now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import click

from ..files import shown
from ..library_scan import Progress

_REDRAW_SECONDS = 0.1
_LINE_SECONDS = 5.0


class ProgressLine:
    """Takes each `Progress`; its end leaves a clean line."""

    def __init__(self) -> None:
        self._renews = sys.stderr.isatty()
        self._pause_seconds = _REDRAW_SECONDS if self._renews else _LINE_SECONDS
        self._shown_at = time.monotonic()
        self._stage = ""
        self._stage_began = 0.0
        self._width = 0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renews and self._width:
            click.echo("\r" + " " * self._width + "\r", err=True, nl=False)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._stage_began = progress.stage, now
        if now - self._shown_at < self._pause_seconds:
            return
        self._shown_at = now
        text = shown(progress_text(progress, now - self._stage_began))
        if not self._renews:
            click.echo(text, err=True)
            return
        click.echo("\r" + text.ljust(self._width), err=True, nl=False)
        self._width = len(text)


def progress_text(progress: Progress, seconds: float) -> str:
    """Return how many are done after `seconds`, how fast that is, and how long the rest will take."""
    parts = [f"{progress.stage}: {progress.done:,}"]
    if progress.total is not None:
        parts[0] += f" of {progress.total:,}"
    rate = progress.done / seconds if seconds > 0 else 0.0
    if rate:
        parts.append(f"{rate:,.0f} a second")
        if progress.total is not None:
            parts.append(f"{_duration((progress.total - progress.done) / rate)} left")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
