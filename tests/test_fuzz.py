"""No file ends a parser with anything but values or an error of ours: those of `fuzzing.py`, and new ones."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.beginnings import first_cases
from fuzz.branches import Count, is_of_kind
from fuzz.building import KINDS
from fuzz.cases import NO_FILE, kept_cases
from fuzz.mutation import Mutator
from fuzz.targets import try_case

MUTATIONS = 50
LEAST_REACHED = 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_fuzzer_kept_is_read_or_refused(kind: str) -> None:
    cases = [*first_cases(kind), *kept_cases(kind)]
    for case in cases:
        try_case(case)


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused(kind: str) -> None:
    cases = [*first_cases(kind), *kept_cases(kind)]
    numbers = random.Random(kind)
    mutator = Mutator(kind, numbers)
    for _ in range(MUTATIONS):
        case = mutator.mutated(numbers.choice(cases), numbers.choice(cases))
        try:
            case.data()
        except NO_FILE:
            continue
        try_case(case)


@pytest.fixture(scope="module")
def counts() -> dict[str, Count]:
    """Replay what was kept where nothing else takes branches."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzzing.py")), "--replay", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    return {module: Count(*count) for module, count in json.loads(done.stdout).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_fuzzer_kept_reaches_nine_tenths_of_a_parsers_branches(
    kind: str, counts: dict[str, Count]
) -> None:
    own = {module: count for module, count in counts.items() if is_of_kind(module, kind)}
    branches = sum(count.branches for count in own.values())
    assert branches
    assert sum(count.reached for count in own.values()) >= LEAST_REACHED * branches, own
