from __future__ import annotations

from typing import Any

import pytest
from rule_vectors import VECTORS, load
from vector_differences import BY_RULE, DIFFERENCES, main

SIMPLE = ("identifiers", "language", "sort_name", "html_strip")


def recorded(rule: str, case: str) -> list[Any]:
    """Return what Shisho says in a case; identifiers are named by function and value."""
    named = (
        (f"{given['function']} {given['value']}" if isinstance(given, dict) else given, said)
        for given, said in load(rule)
    )
    return [said for name, said in named if name == case]


@pytest.mark.parametrize(("rule", "case"), [(r, case) for r in SIMPLE for case in DIFFERENCES[r]])
def test_every_listed_difference_is_one(rule: str, case: str) -> None:
    assert DIFFERENCES[rule][case].ours not in recorded(rule, case)
    assert recorded(rule, case)


def test_every_listed_title_has_another_number() -> None:
    for case, difference in DIFFERENCES["title_number"].items():
        [said] = [
            s for given, s in load("title_number") if (given["title"], given["file_type"]) == (case, "cbz")
        ]
        assert difference.ours != (said["title"], said["unit"])


def test_every_listed_comic_is_recorded() -> None:
    assert set(DIFFERENCES["comicinfo"]) <= {given["filename"] for given, _ in load("comicinfo")}


def test_the_summary_names_every_rule_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    shown = capsys.readouterr().out
    assert all(f"{path.stem}: " in shown for path in VECTORS.glob("*.json"))
    assert all(d.why in shown for cases in DIFFERENCES.values() for d in cases.values())
    assert all(why in shown for reasons in BY_RULE.values() for why in reasons)
