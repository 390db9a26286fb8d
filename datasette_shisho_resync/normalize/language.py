"""Language codes of any kind -> the canonical BCP 47 tag."""

from __future__ import annotations

import re
from functools import lru_cache

_MAX_LENGTH = 64
_SUBTAGS = re.compile(r"(?:[A-Za-z]{2,8}|[Ii](?=[-_]))(?:[-_][A-Za-z0-9]{1,8})*")


def language_tag(text: str | None) -> str | None:
    """Return the canonical tag, or None for no language, an unknown one or one with extensions.

    Source: spec 4, language.
    """
    tag = (text or "").strip()
    if len(tag) > _MAX_LENGTH or not _SUBTAGS.fullmatch(tag):
        return None
    return _canonical(tag.lower())


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
