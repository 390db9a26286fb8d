"""Language codes of any kind -> the canonical BCP 47 tag."""

from __future__ import annotations

import re
from functools import lru_cache

_MAX_LENGTH = 64
_SUBTAGS = re.compile(r"(?:[A-Za-z]{2,8}|[Ii](?=[-_]))(?:[-_][A-Za-z0-9]{1,8})*")


_NAMES = {
    "afrikaans": "af", "arabic": "ar", "bengali": "bn", "bulgarian": "bg", "catalan": "ca", "chinese": "zh",
    "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en", "estonian": "et",
    "finnish": "fi", "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi",
    "hungarian": "hu", "icelandic": "is", "indonesian": "id", "irish": "ga", "italian": "it",
    "japanese": "ja", "korean": "ko", "latin": "la", "latvian": "lv", "lithuanian": "lt", "norwegian": "no",
    "persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "serbian": "sr",
    "slovak": "sk", "slovenian": "sl", "spanish": "es", "swedish": "sv", "tamil": "ta", "thai": "th",
    "turkish": "tr", "ukrainian": "uk", "urdu": "ur", "vietnamese": "vi", "welsh": "cy",
}  # fmt: skip


def language_tag(text: str | None) -> str | None:
    """Return the canonical tag, or None for no language, an unknown one or one with extensions.

    Source: spec 4, language.
    """
    tag = (text or "").strip()
    if len(tag) > _MAX_LENGTH or not _SUBTAGS.fullmatch(tag):
        return None
    # Differs from Shisho: taggers of audiobooks write a language's name.
    return _NAMES.get(tag.lower()) or _canonical(tag.lower())


@lru_cache(maxsize=512)
def _canonical(tag: str) -> str | None:
    # langcodes takes 40 ms to import, which only a file that names its language should pay.
    import langcodes

    try:
        language = langcodes.Language.get(tag)
        extras = (language.extensions, language.private, language.extlangs)
        # Differs from Shisho: `und` says nothing about the language, with or without a region.
        if language.language in (None, "und") or any(extras) or not language.is_valid():
            return None
        canonical: str = language.to_tag()
    except (ValueError, LookupError):
        return None
    return canonical
