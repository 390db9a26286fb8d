"""Text as it is stored: clean, bounded, and free of markup. Knows nothing of fields."""

from __future__ import annotations

import re
from html import unescape

_NON_CHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_UNWANTED = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NON_CHARACTERS}]")
_LINE_END = re.compile("\r\n?")


def clean(value: str | None, max_bytes: int | None = None) -> str | None:
    """Trim, and drop what no text should hold: controls but newline and tab, surrogates, non-characters.

    `max_bytes` is of UTF-8 and never splits a character. Returns None when nothing is left.
    """
    if not value:
        return None
    if not (value.isascii() and value.isprintable()):
        value = _UNWANTED.sub("", _LINE_END.sub("\n", value))
    value = value.strip()
    if max_bytes is not None:
        value = cut_to_bytes(value, max_bytes).rstrip()
    return value or None


def clean_line(value: str | None, max_bytes: int | None = None) -> str | None:
    """Clean what stands in one line, as a title or a name: a line break or tab means a blank."""
    # Differs from Shisho: it keeps the line breaks of a document that somebody laid out.
    text = clean(value, max_bytes)
    if text is None or text.isprintable():
        return text
    lines = text.replace("\t", "\n").split("\n")
    return " ".join(part for line in lines if (part := line.strip()))


def cut_to_bytes(text: str, max_bytes: int) -> str:
    """Return the longest beginning that fits into `max_bytes` of UTF-8."""
    if len(text) * 4 <= max_bytes:
        return text
    return text.encode(errors="ignore")[:max_bytes].decode(errors="ignore")


_TAG = re.compile(
    r"<(?:(?P<comment>!--)|(?P<declaration>[!?])"
    r"|(?P<slash>/?)(?P<name>[a-z][a-z0-9]*(?:[:-][a-z0-9]+)*)(?=[\s/>]))",
    re.IGNORECASE | re.ASCII,
)
_TAG_STOP = re.compile(r">|=\s*([\"'])")
_RAW_TEXT_END = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE | re.ASCII) for name in ("script", "style")
}
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{10,}|[xX][0-9a-fA-F]{10,});?")

_NEWLINES_AFTER = {"p": 2, "div": 1, "li": 1, "h1": 1, "h2": 1, "h3": 1, "h4": 1, "h5": 1, "h6": 1}
_BLOCKS = frozenset(
    {
        *_NEWLINES_AFTER, "address", "article", "aside", "blockquote", "center", "dd", "dl", "dt",
        "figcaption", "figure", "footer", "header", "hr", "main", "nav", "ol", "pre", "section", "table",
        "tr", "ul",
    }
)  # fmt: skip
_CELLS = frozenset({"td", "th"})

_BLANKS = re.compile("[ \t\f\v\xa0]{2,}|[\t\f\v\xa0]")
_BLANK_LINES = re.compile("\n{3,}")


def html_to_text(markup: str) -> str:
    """Turn markup into plain text with line breaks, in time that grows with its length only.

    A `<` that starts no tag stays as it is.
    Source: spec 4, HTML stripping.
    """
    # Differs from Shisho: tags are parsed, so `5 < 6 and 7 > 3` survives, scripts and styles do
    # not, and entities are decoded once. Both parsers at hand take quadratic time on hostile text:
    # html.parser on unclosed tags, libxml2 on end tags below deep nesting. This needs no tree.
    if "\r" in markup:
        markup = _LINE_END.sub("\n", markup)
    if "<" not in markup and "&" not in markup:
        return _tidy(markup)
    writer = _Writer()
    position = 0
    while tag := _TAG.search(markup, position):
        after = _construct_end(markup, tag)
        if after is None:
            break
        writer.text(markup[position : tag.start()])
        if tag["name"]:
            writer.tag(tag["name"].lower(), is_end=bool(tag["slash"]))
        position = after
    writer.text(markup[position:])
    return _tidy("".join(writer.pieces))


class _Writer:
    """Collects text; knows whether a line has been begun and whether a paragraph is open."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._in_line = False
        self._in_paragraph = False

    def text(self, markup: str) -> None:
        text = unescape(_ENDLESS_REFERENCE.sub("\ufffd", markup)) if "&" in markup else markup
        self.pieces.append(text)
        _, newline, last_line = text.rpartition("\n")
        self._in_line = bool(last_line.strip()) or (self._in_line and not newline)

    def tag(self, name: str, *, is_end: bool) -> None:
        if name == "br":
            self._newlines(1)
        elif name in _CELLS:
            self.pieces.append(" ")
        elif name in _BLOCKS:
            # A paragraph without an end tag ends where the next one starts.
            ends = is_end or (name == "p" and self._in_paragraph)
            self._newlines(_NEWLINES_AFTER.get(name, 0) if ends else 0)
            if self._in_line:
                self._newlines(1)
            self._in_paragraph = name == "p" and not is_end

    def _newlines(self, count: int) -> None:
        if count:
            self.pieces.append("\n" * count)
            self._in_line = False


def _construct_end(markup: str, tag: re.Match[str]) -> int | None:
    """Return where a comment, a declaration, a tag or a script ends; None when it is text after all."""
    if tag["comment"]:
        end = markup.find("-->", tag.start() + 2)
        return end + 3 if end >= 0 else len(markup)
    if tag["declaration"]:
        return markup.find(">", tag.end()) + 1 or None
    end_of_tag = _tag_end(markup, tag.end())
    raw_text_end = None if tag["slash"] else _RAW_TEXT_END.get(tag["name"].lower())
    if end_of_tag is None or raw_text_end is None or markup[end_of_tag - 2] == "/":
        return end_of_tag
    end_tag = raw_text_end.search(markup, end_of_tag)
    return end_tag.start() if end_tag else len(markup)


def _tag_end(markup: str, position: int) -> int | None:
    while stop := _TAG_STOP.search(markup, position):
        if stop[1] is None:
            return stop.end()
        closing_quote = markup.find(stop[1], stop.end())
        position = closing_quote + 1 if closing_quote >= 0 else stop.end()
    return None


def _tidy(text: str) -> str:
    lines = _BLANKS.sub(" ", text).split("\n")
    return _BLANK_LINES.sub("\n\n", "\n".join(line.strip() for line in lines)).strip()
