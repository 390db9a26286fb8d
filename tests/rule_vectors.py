"""Reads the recorded cases in `tests/vectors`, one file a rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "vectors"


def load(rule: str) -> list[tuple[Any, Any]]:
    """Return (input, expected) of every case; they say what Shisho does."""
    cases = json.loads((VECTORS / f"{rule}.json").read_text(encoding="utf-8"))
    return [(case["input"], case["expected"]) for case in cases]
