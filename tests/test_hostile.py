"""A hostile file is refused, or loses what is hostile in it, within 2 seconds and 150 MB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders.hostile import HARMLESS, HOSTILE

MOST_SECONDS, MOST_BYTES = 2.0, 150_000_000


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hostile")
    paths = [folder / name for name in HOSTILE]
    for path in paths:
        path.write_bytes(HOSTILE[path.name]())
    program = Path(__file__).with_name("measured.py")
    python_path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, str(program), *map(str, paths)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python_path},
        check=True,
    )
    return {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little_and_is_told_of(name: str, measured: dict[str, dict[str, Any]]) -> None:
    found = measured[name]
    assert found["seconds"] < MOST_SECONDS
    assert found["bytes"] < MOST_BYTES
    assert any(found["told"]) == (name not in HARMLESS), found["told"]
