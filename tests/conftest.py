"""What every test shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from library import book as book
from library import library as library
from library import worker_pool as worker_pool

settings.register_profile(
    "default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")
