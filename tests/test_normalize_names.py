from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load
from vector_differences import ours

from datasette_shisho_resync.normalize.names import sort_name, split_list, split_names


@pytest.mark.parametrize(("name", "expected"), load("sort_name"))
def test_a_name_sorts_as_in_shisho_or_better(name: str, expected: str) -> None:
    assert sort_name(name) == ours("sort_name", name, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sammy Davis, Jr.", "Davis, Sammy, Jr."),
        ("Sammy Davis Jr.", "Davis, Sammy, Jr."),
        ("John Smith, Jr., PhD", "Smith, John, Jr."),
        ("King, Martin Luther, Jr.", "King, Martin Luther, Jr."),
        ("  Smith ,  John ", "Smith, John"),
        ("Smith,", "Smith"),
        (", ,", ""),
        ("Beethoven, Ludwig van", "Beethoven, Ludwig van"),
        ("Jack, Ma", "Jack, Ma"),
        ("Smith, PhD", "Smith"),
        ("Plato PhD", "Plato"),
        ("Plato, Jr.", "Plato, Jr."),
        ("JACK MA", "MA, JACK"),
        ("jack ma", "ma, jack"),
        ("Jack MA", "Jack"),
        ("Yo Yo Ma", "Ma, Yo Yo"),
        ("john smith md", "smith, john"),
        ("John Smith Ph.D.", "Smith, John"),
        ("John Smith D.D.S.", "Smith, John"),
        ("Dr. Jack Ma", "Ma, Jack"),
        ("Henry VIII", "Henry VIII"),
        ("Louis XIV", "Louis XIV"),
        ("John Smith VI", "Smith, John, VI"),
        ("Malcolm X", "X, Malcolm"),
        ("Le Corbusier", "Le Corbusier"),
        ("El Greco", "El Greco"),
        ("Al Gore", "Gore, Al"),
        ("Jean de La Fontaine", "La Fontaine, Jean de"),
        ("Oscar De La Hoya", "Hoya, Oscar De La"),
        ("De La Cruz", "Cruz, De La"),
        ("Guillermo del Toro", "Toro, Guillermo del"),
        ("Benicio Del Toro", "Del Toro, Benicio"),
        ("Madeleine L'Engle", "L'Engle, Madeleine"),
        ("Vincent van Gogh", "Gogh, Vincent van"),
        ("Dr. Seuss", "Seuss"),
        ("한 강", "한 강"),
        ("スティーヴン キング", "キング, スティーヴン"),
        ("刘慈欣", "刘慈欣"),
        ("Лев Толстой", "Толстой, Лев"),
    ],
)
def test_a_sort_name_starts_with_the_surname(name: str, expected: str) -> None:
    assert sort_name(name) == expected


@pytest.mark.parametrize(("text", "expected"), load("split_names"))
def test_names_are_split_at_commas_and_semicolons(text: str, expected: list[str] | None) -> None:
    assert split_names(text) == tuple(expected or ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Martin Luther King, Jr., Ann Lee", ("Martin Luther King, Jr.", "Ann Lee")),
        ("Ann Lee, Sammy Davis , jr; Bo Fox", ("Ann Lee", "Sammy Davis, jr", "Bo Fox")),
        ("John Smith, III, Ph.D.", ("John Smith, III, Ph.D.",)),
        ("Ann Lee, M.D.,MBA", ("Ann Lee, M.D., MBA",)),
        ("Ann Lee, Ma", ("Ann Lee", "Ma")),
        ("King, Jr.", ("King", "Jr.")),
        ("Ann Lee, Jr. Walker", ("Ann Lee", "Jr. Walker")),
        ("PhD, Ann Lee", ("PhD", "Ann Lee")),
    ],
)
def test_a_suffix_after_a_comma_belongs_to_the_name_before_it(text: str, expected: tuple[str, ...]) -> None:
    assert split_names(text) == expected


def test_a_list_of_anything_else_is_split_at_every_comma() -> None:
    assert split_list("World War I, II; Sea stories") == ("World War I", "II", "Sea stories")


@pytest.mark.parametrize("text", ["a b" + ", jr" * 100_000, "a" * 300_000 + " b" + ", jr" * 100_000])
def test_a_list_of_many_suffixes_is_split_in_linear_time(text: str) -> None:
    started = time.process_time()
    assert len(split_names(text)) == 1
    assert time.process_time() - started < 2  # quadratic time would be ten seconds and more


def test_splitting_drops_empty_names() -> None:
    assert split_names(" ; A B ,, C;\n") == ("A B", "C")


@given(st.text(max_size=60))
def test_any_text_has_a_sort_name(text: str) -> None:
    assert sort_name(text) == sort_name(f"  {text} ")
    assert bool(sort_name(text)) == any(part.strip() for part in text.split(","))


GIVEN = st.sampled_from(["Ann", "Björn", "J. R.", "Mary Ann", "Jean-Luc", "Yo-Yo", "Ludwig van"])
SURNAME = st.sampled_from(["Smith", "Ma", "Do", "Øgaard", "Le Guin", "O'Brien"])
SUFFIX = st.sampled_from(["", " Jr.", ", Jr.", " III", " PhD", ", MD"])


@pytest.mark.parametrize("word", ["jr ", "III ", "PhD ", "m.d. ", ", jr", "dr ", "le "])
def test_a_name_of_many_suffixes_costs_linear_time(word: str) -> None:
    started = time.process_time()
    assert sort_name("x " + word * 60_000)
    assert time.process_time() - started < 2  # quadratic time would be four seconds and more


@given(GIVEN, SURNAME, SUFFIX)
def test_a_sort_name_sorts_as_itself(given_names: str, surname: str, suffix: str) -> None:
    once = sort_name(f"{given_names} {surname}{suffix}")
    assert once.startswith(f"{surname}, {given_names}")
    assert sort_name(once) == once


@given(
    st.lists(
        st.sampled_from(["Dr.", "Le", "Ma", "V", "Jr.", "PhD", "van", "Ann", ",", "XX", "."]), max_size=8
    )
)
def test_no_mixture_of_particles_and_suffixes_fails(words: list[str]) -> None:
    assert sort_name(" ".join(words)) is not None
