"""The scenarios that `show_scenarios.py` prints, as tests: what it shows is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from show_scenarios import SCENARIOS, show_of


def test_every_answer_of_the_show_is_what_it_should_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_of(tmp_path) as show:
        for scenario in SCENARIOS:
            scenario(show)
    assert show.failures == 0, capsys.readouterr().out
