"""Speed as promised, each measured beside its floor in one run.

Run it with `python -m pytest tests/benchmarks --override-ini addopts=`; the ordinary run leaves it out.
It takes a few minutes, and wants a machine that does nothing else; on a slow disk, which then is what
is measured, add `--basetemp=/dev/shm/benchmarks`.
"""

from __future__ import annotations

from pathlib import Path

import media
import pytest
from comparing import Comparison
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture
def comparison(benchmark: BenchmarkFixture) -> Comparison:
    return Comparison(benchmark)


@pytest.fixture(scope="session")
def mixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 media files: half EPUB, a quarter each CBZ and M4B, in folders of their own."""
    folder = tmp_path_factory.mktemp("mixed")
    media.write_mixed(folder, 2_000)
    return folder
