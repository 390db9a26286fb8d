"""What every test shares."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings
from library import book as book
from library import lent_workers as lent_workers
from library import library as library
from library import worker_pool as worker_pool

settings.register_profile(
    "default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

# Set in many containers: each worker, job and server of the tests would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-kill-point", action="store_true", help="kill at every step of a run, not at a sample of them"
    )


def pytest_collection_finish() -> None:
    gc.freeze()  # thousands of tests, which would be gone through in each collection of garbage
