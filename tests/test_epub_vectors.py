from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders.epub import build_epub
from vector_differences import DIFFERENCES, FRONT, ours

from datasette_shisho_resync.model import Author, Chapter, Identifier, Limits, ParsedFile, SeriesEntry
from datasette_shisho_resync.parsers.epub import parse_epub

LIMITS = Limits()
VECTORS = Path(__file__).parent / "vectors" / "epub_opf.json"


def parsed(data: bytes, limits: Limits = LIMITS) -> ParsedFile:
    return parse_epub(io.BytesIO(data), "/library/book.epub", limits)


def with_metadata(xml: str, **more: Any) -> ParsedFile:
    """Parse a book that has nothing but this metadata."""
    return parsed(build_epub(title=None, creators=(), metadata_xml=xml, **more))


def wanted_chapters(recorded: list[dict[str, Any]] | None) -> tuple[Chapter, ...]:
    return tuple(
        Chapter(chapter["title"], href=chapter.get("href"), children=wanted_chapters(chapter.get("children")))
        for chapter in recorded or ()
    )


def wanted(note: str, shisho: dict[str, Any]) -> dict[str, object]:
    """Say in our words what Shisho says, except where we differ."""
    instead = ours("epub_opf", note, {})
    if "error" in shisho:
        return dict(instead)
    instant = shisho["release_date"]
    texts = {key: shisho[key] or None for key in ("title", "subtitle", "description", "publisher", "url")}
    return {
        **texts,
        "language": shisho["language"],
        "authors": tuple(Author(author["name"]) for author in shisho["authors"]),
        "series": (SeriesEntry(shisho["series"], shisho["series_number"]),) if shisho["series"] else (),
        "genres": tuple(shisho["genres"] or ()),
        "tags": tuple(shisho["tags"] or ()),
        "release_date": date.fromisoformat(instant[:10]) if instant else None,
        "identifiers": tuple(Identifier(i["type"], i["value"]) for i in shisho["identifiers"] or ()),
        "chapters": wanted_chapters(shisho["chapters"]),
        "cover": FRONT if shisho["cover_len"] else None,
        **instead,
    }


CASES = json.loads(VECTORS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["note"] for case in CASES])
def test_recorded_cases_read_as_in_shisho_or_differ_on_purpose(case: dict[str, Any]) -> None:
    given_ = case["input"]
    # The recorded covers are no images, which we want them to be.
    files = {name: FRONT if set(content) == {"x"} else content for name, content in given_["files"].items()}
    found = with_metadata(
        given_["metadata_xml"],
        opf_path=given_["opf_path"],
        declaration=given_["xml_declaration"],
        manifest_xml=given_["manifest_xml"],
        spine_xml=given_["spine_xml"],
        files=files,
    )
    assert found.load_cover is not None
    cover = found.load_cover()
    values = {name: getattr(found, name) for name in wanted(case["note"], case["expected"])}
    if "cover" in values:
        values["cover"] = cover and cover.data
    assert values == wanted(case["note"], case["expected"])


def test_every_listed_difference_is_a_recorded_case() -> None:
    assert set(DIFFERENCES["epub_opf"]) <= {case["note"] for case in CASES}
