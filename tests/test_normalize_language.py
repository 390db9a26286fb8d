from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load
from vector_differences import ours

from datasette_shisho_resync.normalize.language import language_tag


@pytest.mark.parametrize(("text", "expected"), load("language"))
def test_a_language_becomes_its_canonical_tag(text: str, expected: str | None) -> None:
    assert language_tag(text) == ours("language", text, expected)


@pytest.mark.parametrize(
    ("name", "tag"), [("English", "en"), (" german ", "de"), ("CHINESE", "zh"), ("Elvish", None)]
)
def test_a_language_may_be_called_by_its_name(name: str, tag: str | None) -> None:
    assert language_tag(name) == tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        (" en-gb\n", "en-GB"),
        ("en_US", "en-US"),
        ("eng", "en"),
        ("EN-us", "en-US"),
        ("sr-latn-rs", "sr-Latn-RS"),
        ("es-419", "es-419"),
        ("de-1996", "de-1996"),
        ("UND", None),
        ("und-Latn-US", None),
        ("root", None),
        ("en-x-private", None),
        ("en-USA", None),
        ("en--US", None),
        ("-en", None),
        ("en-", None),
        ("ｅｎ", None),
        ("en\0", None),
        ("a" * 1_000_000, None),
        ("en" + "-abcde" * 100_000, None),
    ],
)
def test_what_is_no_plain_language_is_none(text: str | None, expected: str | None) -> None:
    assert language_tag(text) == expected


def test_the_language_tables_are_loaded_only_when_needed() -> None:
    code = "import sys, datasette_shisho_resync.normalize.language as m; m.language_tag(''); "
    code += "sys.exit('langcodes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    st.one_of(
        st.text(max_size=30), st.from_regex(r"[A-Za-z]{2,4}([-_][A-Za-z0-9]{1,8}){0,4}", fullmatch=True)
    )
)
def test_a_tag_is_its_own_tag(text: str) -> None:
    tag = language_tag(text)
    assert tag is None or language_tag(tag) == tag
