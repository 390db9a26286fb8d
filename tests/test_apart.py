"""Work in a process of its own: what it returns, raises, and how it ends."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from datasette_shisho_resync.errors import LimitExceeded, UnreadableFile
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.parsers.apart import apart


def done(work: Callable[[], Any]) -> Any:
    return apart(work, io.BytesIO(), "a.pdf", Limits())


def test_a_result_comes_back() -> None:
    assert done(lambda: b"x" * 1_000_000) == b"x" * 1_000_000


def test_an_error_of_ours_comes_back() -> None:
    def fail() -> None:
        raise UnreadableFile("a.pdf", "no page")

    with pytest.raises(UnreadableFile, match="no page"):
        done(fail)


def test_an_answer_that_breaks_off_is_an_error_of_ours() -> None:
    with pytest.raises(LimitExceeded, match="cover_memory_bytes"):
        done(lambda: (b"x" * 1_000_000, lambda: None))  # its end can't be passed on
