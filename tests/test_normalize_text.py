from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load
from vector_differences import ours

from datasette_shisho_resync.normalize.text import clean, clean_line, html_to_text


@pytest.mark.parametrize(("markup", "expected"), load("html_strip"))
def test_markup_becomes_text(markup: str, expected: str) -> None:
    assert html_to_text(markup) == ours("html_strip", markup, expected)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
        ("<p>5 < 6 and 7 > 3</p>", "5 < 6 and 7 > 3"),
        ("I <3 it", "I <3 it"),
        ("if a<b", "if a<b"),
        (
            "mail <me@example.org> or <https://example.org/x>",
            "mail <me@example.org> or <https://example.org/x>",
        ),
        ("<P CLASS='a>b'>One</P\n><p>Two", "One\n\nTwo"),
        ("<p>One<p>Two", "One\n\nTwo"),
        ("<h2>Head</h2><p>Text</p>", "Head\nText"),
        ("before<div>in</div>after", "before\nin\nafter"),
        ("<ul><li>a</li><li>b</li></ul>c", "a\nb\nc"),
        ("<ul><li>a<li>b</ul>c", "a\nb\nc"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("a<br />\r\n<br>b", "a\n\nb"),
        ("a\rb", "a\nb"),
        ("W<b>o</b>rd <i>and</i> word", "Word and word"),
        ('<a href="x" title="1 > 0">link</a>', "link"),
        ("<a title=don't>link</a>", "link"),
        ("a<!-- <p>no</p> -->b<!-->c", "abc"),
        ("a<!-- never closed", "a"),
        ("<?xml version='1.0'?><!DOCTYPE html>a", "a"),
        ("<style>p{}</style>a<STYLE\n>p{}</sTyLe >b", "ab"),
        ("a<script src='x'/>b", "ab"),
        ("a<script>never closed", "a"),
        ("<script>if (a</b) '</scripty>'</script>c", "c"),
        ("&#x201c;x&#x201D; &eacute;", "“x” é"),
        ("AT&T &unknown; &", "AT&T &unknown; &"),
        ("&lt;b&gt;", "<b>"),
        ("&#" + "9" * 10_000 + ";&#x" + "f" * 10_000, "��"),
        ("  plain \t text  \n\n\n\n  end ", "plain text\n\nend"),
        ("<m:math>x</m:math>", "x"),
    ],
)
def test_blocks_break_lines_and_other_tags_vanish(markup: str, expected: str) -> None:
    assert html_to_text(markup) == expected


N = 100_000
HOSTILE = {
    "openers": "<" * N,
    "tags": "<div>" * N,
    "unclosed tags": "<a" * N,
    "unclosed end tags": "</a " * N,
    "unclosed comments": "<!--" * N,
    "unclosed declarations": "<!" * N,
    "unclosed instructions": "<?" * N,
    "unclosed quotes": '<a x="' * N,
    "mixed quotes": "<a x='\"> " * N,
    "quoted brackets": '<a x=">y" ' * N,
    "equals signs": "<a " + "= " * N,
    "end tags below deep nesting": "<b>" * N + "</i>" * N,
    "unclosed scripts": "<script>" * N,
    "script without end": "<script>" + "</scrip" * N,
    "long name": "<" + "a" * N + "-" * N,
    "segmented name": "<" + "a-" * N,
    "ampersands": "&" * N,
    "references": "&#" * N + "&#" + "1" * N,
    "blanks": "<p> " * N,
    "blank text": "<b>" + " " * N + "</b>" * N,
    "newlines": "<p>" + "\n" * N,
    "paragraphs": "<p>x" * N,
}


@pytest.mark.parametrize("markup", HOSTILE.values(), ids=HOSTILE)
def test_hostile_markup_costs_linear_time(markup: str) -> None:
    started = time.process_time()
    html_to_text(markup)
    assert time.process_time() - started < 2  # quadratic time would be minutes


MARKUP = st.lists(
    st.sampled_from([*"<>/!-='\"& \n;#x", "a", "p", "br", "script", "&amp;", "é"]), max_size=80
).map("".join)


@given(st.one_of(st.text(max_size=80), MARKUP))
def test_no_markup_breaks_the_rule(markup: str) -> None:
    text = html_to_text(markup)
    assert text == text.strip()
    assert "\n\n\n" not in text


@given(st.text(alphabet="abc .,\n<3>", max_size=80))
def test_tidy_text_without_tags_stays_as_it_is(text: str) -> None:
    once = html_to_text(text.replace("<a", "a").replace("<b", "b").replace("<c", "c"))
    assert html_to_text(once) == once


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (" \n\t ", None),
        ("\0\x01", None),
        ("  a b ", "a b"),
        ("a\0b\x07c\x7fd\x85e", "abcde"),
        ("line\nnext\tcell", "line\nnext\tcell"),
        ("dos\r\nmac\runix\n.", "dos\nmac\nunix\n."),
        ("a\ud800b\udfffc", "abc"),
        ("a\ufffeb\U0001ffffc\ufdd0d", "abcd"),
        ("\u202eé 👩‍👩‍👧 \ufffd", "\u202eé 👩‍👩‍👧 \ufffd"),
        ("\x1f a \x1f", "a"),
    ],
)
def test_clean_text_holds_no_control_characters(value: str | None, expected: str | None) -> None:
    assert clean(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("A\n    Wrapped\r\n\tTitle ", "A Wrapped Title"),
        ("Two  blanks", "Two  blanks"),
        ("Tab\t \tbed", "Tab bed"),
        ("con\x1ftrols\n", "controls"),
        ("no\xa0break", "no\xa0break"),
        (" \n\t ", None),
        (None, None),
    ],
)
def test_a_title_is_one_line_however_it_was_laid_out(value: str | None, expected: str | None) -> None:
    assert clean_line(value) == expected


@pytest.mark.parametrize(
    ("value", "max_bytes", "expected"),
    [("abc", 3, "abc"), ("abcd", 3, "abc"), ("aé", 2, "a"), ("aé", 3, "aé"), ("a b", 2, "a"), ("é", 1, None)],
)
def test_clean_text_is_cut_between_characters(value: str, max_bytes: int, expected: str | None) -> None:
    assert clean(value, max_bytes) == expected


@given(st.text(st.characters(), max_size=60), st.integers(1, 40))
def test_clean_text_is_storable_bounded_and_stays_clean(value: str, max_bytes: int) -> None:
    text = clean(value, max_bytes)
    assert text is None or 0 < len(text.encode()) <= max_bytes
    assert clean(text, max_bytes) == text
