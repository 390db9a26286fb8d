"""Names of persons: splitting lists of them, and the form under which one is sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

Split = Callable[[str], tuple[str, ...]]

_HONORIFICS = frozenset({"dr", "mr", "mrs", "ms", "prof", "rev", "fr"})
_TITLES = frozenset({"sir", "dame", "lord", "lady"})
_GENERATIONS = frozenset({"jr", "jr.", "sr", "sr.", "junior", "senior"})
_DEGREES = frozenset(
    {"phd", "psyd", "edd", "md", "do", "dds", "jd", "lld", "mba", "ms", "ma", "ba", "bs", "rn", "esq"}
)
_NEVER_SURNAMES = frozenset({"phd", "psyd", "edd", "esq"})
_COMMON_SURNAMES = frozenset({"Ma", "Do", "Ba"})
_DOTTED = re.compile(r"(?:[a-z]{1,3}\.)+[a-z]{1,3}\.?|esq\.")
_SHORT_NUMERAL = re.compile(r"I{1,3}|IV|V", re.IGNORECASE)
_LONG_NUMERAL = re.compile(r"VI{1,3}|IX|XI{1,3}|XIV|XVI{0,3}|XIX|XXI{0,3}")  # not X: Malcolm X
_SURNAME_ARTICLES = frozenset({"Le", "La", "El", "Al", "Del"})
_LEADING_ARTICLES = frozenset({"Le", "La", "El"})  # Al and Del are given names too
_BEFORE_ARTICLES = frozenset({"De", "DE"})  # Jean de La Fontaine is sorted at L, Oscar De La Hoya is not
_FAMILY_FIRST = re.compile(r"[\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_EAST_ASIAN = re.compile(
    r"[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff・\s]+"
)


def split_list(text: str) -> tuple[str, ...]:
    """Split a list at `;` and `,`.

    Source: spec 4, common rules.
    """
    return tuple(entry for part in re.split("[;,]", text) if (entry := part.strip()))


def split_names(text: str) -> tuple[str, ...]:
    """Split a list of names of persons; a suffix after a comma stays with its name."""
    return tuple(_persons(split_list(text)))


def _persons(parts: Iterable[str]) -> Iterator[str]:
    # Differs from Shisho: `Martin Luther King, Jr.` is one person, not two.
    person: list[str] = []
    is_full_name = False
    for part in parts:
        if is_full_name and _is_no_name(part):
            person.append(part)
            continue
        if person:
            yield ", ".join(person)
        person, is_full_name = [part], " " in part
    if person:
        yield ", ".join(person)


def _is_no_name(part: str) -> bool:
    """Tell a suffix from names like `Ma` and `Do`."""
    return _is_generation(part) or (_is_degree(part) and part not in _COMMON_SURNAMES)


def sort_name(name: str) -> str:
    """Return `Surname, Given[, suffixes]`; a name of one word or already in that form stays.

    Source: spec 6.1, whose odd results are corrected here.
    """
    parts = [" ".join(part.split()) for part in name.split(",")]
    parts = [part for part in parts if part]
    if not parts:
        return ""
    ends: list[str] = []
    while len(parts) > 1 and _is_suffix_part(parts):
        ends.append(parts.pop())
    suffixes = _generations([word for end in reversed(ends) for word in end.split()])
    # Differs from Shisho: `Smith, John` is already inverted, `Davis, Jr.` has one comma.
    if len(parts) > 1:
        return ", ".join([*parts, *suffixes])
    return ", ".join([*_inverted(parts[0].split()), *suffixes])


def _inverted(words: list[str]) -> list[str]:
    """Return the surname, the given names if any, and the generational suffixes."""
    if _is_family_first(words):
        return [" ".join(words)]
    words = _without_honorifics(words)
    # Differs from Shisho: `Henry V` is no family called Henry.
    if len(words) == 2 and _is_numeral(words[1]):
        return [" ".join(words)]
    count = len(words)
    while count > 1 and _is_suffix(words[max(0, count - 3) : count]):  # all words each time is quadratic
        count -= 1
    surname_at = _surname_start(words[:count])
    surname, given = " ".join(words[surname_at:count]), " ".join(words[:surname_at])
    return [surname, *([given] if given else []), *_generations(words[count:])]


def _surname_start(words: list[str]) -> int:
    """Return where the surname begins; lower-case particles stay with the given names, and `De La`."""
    last = len(words) - 1
    if last < 1:
        return 0
    # Differs from Shisho: the `Le` of `Le Guin` is part of the surname.
    articles = _LEADING_ARTICLES if last == 1 else _SURNAME_ARTICLES
    is_article = words[last - 1].capitalize() in articles and words[last - 1][0].isupper()
    return last - 1 if is_article and words[max(last - 2, 0)] not in _BEFORE_ARTICLES else last


def _without_honorifics(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) - 1 and _is_honorific(words[start]):
        start += 1
    return words[start:]


def _is_honorific(word: str) -> bool:
    return word.lower() in _TITLES or word.lower().removesuffix(".") in _HONORIFICS


def _is_suffix_part(parts: list[str]) -> bool:
    """Tell whether what follows the last comma is nothing but suffixes."""
    words = parts[-1].split()
    if len(words) == 1 and len(parts) == 2 and " " not in parts[0]:
        return _is_suffix([parts[0], words[0]])
    return all(_is_generation(word) or _is_degree(word) for word in words)


def _is_suffix(words: list[str]) -> bool:
    """Tell whether the last of the words belongs to neither surname nor given names."""
    word = words[-1]
    if _is_generation(word):
        return True
    return _is_degree(word) and not _is_written_as_surname(words)


def _is_generation(word: str) -> bool:
    return word.lower() in _GENERATIONS or _is_numeral(word)


def _is_numeral(word: str) -> bool:
    return bool(_SHORT_NUMERAL.fullmatch(word) or _LONG_NUMERAL.fullmatch(word))


def _is_degree(word: str) -> bool:
    lower = word.lower()
    return lower in _DEGREES or (bool(_DOTTED.fullmatch(lower)) and lower.replace(".", "") in _DEGREES)


def _is_written_as_surname(words: list[str]) -> bool:
    """Tell `Jack Ma` and `Kim Do` from `John Smith MA`."""
    # Differs from Shisho: it takes these for degrees and loses the surname.
    word = words[-1]
    if word in _COMMON_SURNAMES:
        return True
    if len(words) > 2 or "." in word or word.lower() in _NEVER_SURNAMES:
        return False
    return word.istitle() or "".join(words).islower() or "".join(words).isupper()


def _generations(words: list[str]) -> list[str]:
    return [word for word in words if _is_generation(word)]


def _is_family_first(words: list[str]) -> bool:
    # Differs from Shisho: Chinese, Japanese and Korean names have the family name first already.
    text = " ".join(words)
    return bool(_EAST_ASIAN.fullmatch(text) and _FAMILY_FIRST.search(text))
