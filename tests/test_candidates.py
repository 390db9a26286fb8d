from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from datasette_shisho_resync.candidates import (
    Circumstances,
    book_sidecar_layer,
    but_for_later,
    file_layers,
    identity_of,
    is_unchanged,
    stored_cover,
    supplement_layers,
)
from datasette_shisho_resync.model import (
    EMPTY,
    Author,
    BookRow,
    CoverImage,
    FileReading,
    FileRow,
    FileStat,
    FileStatus,
    Layer,
    Mode,
    ParsedFile,
    SeriesEntry,
    SidecarReading,
    Stored,
    Value,
)

BOOK = BookRow(1, 1, "/lib/[Ann] Folder {Ned}")
INSIDE = CoverImage("in", "image/png", 1, 1, data=b"x")
BESIDE = CoverImage("beside", "image/png", 1, 1)
SIDECAR = SidecarReading("/s.json", "hash", b"", ParsedFile("sidecar", title="T", url="U", genres=("G",)))


def row(name: str = "x.epub") -> FileRow:
    return FileRow(1, 1, 1, f"{BOOK.path}/{name}", name.rpartition(".")[2], "main", 5)


def layers(
    mode: Mode = Mode.SCAN,
    *,
    name: str = "x.epub",
    stored: Stored = EMPTY,
    root_level: bool = False,
    image: CoverImage | None = None,
    enriched: tuple[Layer, ...] = (),
    seen: frozenset[tuple[str, str]] = frozenset(),
    circumstances: dict[str, Any] | None = None,
    **parsed: Any,
) -> dict[str, Layer]:
    reading = FileReading(
        "x", FileStatus.OK, parsed=ParsedFile("epub_metadata", **parsed), image=image, sidecar=SIDECAR,
        enriched=enriched,
    )  # fmt: skip
    found = file_layers(
        reading, row(name), BOOK, stored, seen, Circumstances(mode, **(circumstances or {})),
        shown_path="x", root_level=root_level,
    )  # fmt: skip
    return {layer.source: layer for layer in found}


@pytest.mark.parametrize(
    ("mode", "importing", "expected"),
    [
        (Mode.SCAN, False, {"epub_metadata", "sidecar", "plugin:p"}),
        (Mode.SCAN, True, {"filepath", "epub_metadata", "sidecar", "plugin:p"}),
        (Mode.REFRESH, False, {"epub_metadata", "plugin:p"}),
        (Mode.RESET, False, {"filepath", "epub_metadata"}),
    ],
)
def test_each_mode_admits_its_layers(mode: Mode, importing: bool, expected: set[str]) -> None:
    enriched = (Layer("plugin:p", {"genres": ("G",)}),)
    assert layers(mode, enriched=enriched, circumstances={"importing": importing}).keys() == expected


def test_a_path_offers_what_its_names_say() -> None:
    said = layers(Mode.RESET)["filepath"].values
    assert (said["title"], said["name"], said["narrators"]) == ("Folder", "Folder", ("Ned",))
    assert [a.name for a in said["authors"]] == ["Ann"]  # type: ignore[union-attr]
    assert layers(Mode.RESET, root_level=True)["filepath"].values["title"] == "x"


@pytest.mark.parametrize(
    ("parsed", "title", "name", "series"),
    [
        ({"title": "Saga #7"}, "Saga v007", "Saga v007", (SeriesEntry("Saga", 7.0, None, "volume"),)),
        ({"title": "Saga ch. 7"}, "Saga c007", "Saga c007", (SeriesEntry("Saga", 7.0, None, "chapter"),)),
        ({}, None, "Odd v003", None),
    ],
)
def test_a_comic_is_numbered_by_its_title(
    parsed: dict[str, Any], title: str | None, name: str, series: Value
) -> None:
    found = layers(Mode.RESET, name="Odd 3 (x).cbz", **parsed)
    assert found["epub_metadata"].values.get("title") == title
    assert (found["epub_metadata"].values.get("name") or found["filepath"].values["name"]) == name
    assert found["filepath"].values.get("series") == series


def test_the_unit_of_a_comics_title_goes_to_a_number_without_one() -> None:
    found = layers(name="x.cbz", title="Saga ch. 7", series=(SeriesEntry("S", 7.0), SeriesEntry("T")))
    assert found["epub_metadata"].values["series"] == (
        SeriesEntry("S", 7.0, None, "chapter"),
        SeriesEntry("T"),
    )


def test_a_comic_without_a_title_is_named_after_its_series() -> None:
    assert layers(name="x.cbz", series=(SeriesEntry("S", 7.0),))["epub_metadata"].values["name"] == "S v007"


def test_empty_values_are_left_out_and_false_is_none_of_them() -> None:
    assert dict(layers(subtitle="", tags=(), abridged=False)["epub_metadata"].values) == {"abridged": False}


def test_sidecars_speak_about_their_own_level() -> None:
    assert dict(layers()["sidecar"].values) == {"url": "U"}
    assert [dict(layer.values) for layer in book_sidecar_layer(SIDECAR, frozenset())] == [
        {"title": "T", "genres": ("G",)}
    ]


def test_a_sidecar_seen_before_is_an_echo_and_a_broken_one_none() -> None:
    assert layers(seen=frozenset({("/s.json", "hash")}))["sidecar"].echo
    assert not layers(seen=frozenset({("/s.json", "other")}))["sidecar"].echo
    assert book_sidecar_layer(SidecarReading("/s.json", "hash", b"", error="broken"), frozenset()) == ()


NONE, FROM_FILE, CHOSEN, ADOPTED = (
    EMPTY, Stored(BESIDE, "epub_metadata"), Stored(BESIDE, "manual"), Stored(BESIDE, "existing_cover")
)  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "stored", "unchanged", "image", "expected"),
    [
        (Mode.SCAN, NONE, False, None, INSIDE),
        (Mode.SCAN, NONE, False, BESIDE, BESIDE),
        (Mode.SCAN, FROM_FILE, False, BESIDE, INSIDE),
        (Mode.SCAN, FROM_FILE, True, BESIDE, None),
        (Mode.SCAN, CHOSEN, False, BESIDE, None),
        (Mode.SCAN, ADOPTED, False, BESIDE, None),
        (Mode.REFRESH, CHOSEN, True, BESIDE, INSIDE),
        (Mode.RESET, CHOSEN, True, BESIDE, INSIDE),
    ],
)
def test_which_cover_speaks(
    mode: Mode, stored: Stored, unchanged: bool, image: CoverImage | None, expected: CoverImage | None
) -> None:
    circumstances = {"unchanged": unchanged}
    found = layers(mode, stored=stored, image=image, circumstances=circumstances, cover=INSIDE)
    speaking = [layer.values for layer in found.values() if not layer.echo]
    offered = [values["cover"] for values in speaking if "cover" in values]
    assert offered == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("mode", "stored", "expected"),
    [(Mode.REFRESH, CHOSEN, []), (Mode.REFRESH, NONE, [BESIDE]), (Mode.RESET, CHOSEN, [BESIDE])],
)
def test_a_file_without_a_cover(mode: Mode, stored: Stored, expected: list[CoverImage]) -> None:
    found = layers(mode, stored=stored, image=BESIDE)
    assert [layer.values["cover"] for layer in found.values() if "cover" in layer.values] == expected


def test_a_cover_that_may_not_be_written_is_not_offered() -> None:
    found = layers(cover=INSIDE, circumstances={"cover_mimes": frozenset({"image/jpeg"})})
    assert not [layer for layer in found.values() if "cover" in layer.values]


@pytest.mark.parametrize(
    ("image", "free", "expected"),
    [
        (INSIDE, "image/png", True),
        (INSIDE, "image/jpeg", False),
        (BESIDE, "image/png", False),
    ],
)
def test_a_cover_needs_bytes_and_a_kind_of_which_one_can_be_written(
    image: CoverImage, free: str, expected: bool
) -> None:
    enriched = (Layer("plugin:p", {"cover": image, "genres": ("G",)}),)
    found = layers(cover=image, enriched=enriched, circumstances={"cover_mimes": frozenset({free})})
    assert ("cover" in found["plugin:p"].values) is expected
    assert found["plugin:p"].values["genres"] == ("G",)


@pytest.mark.parametrize(("written", "expected"), [(BESIDE.sha256, True), ("another", False)])
def test_no_plugin_replaces_an_image_that_somebody_put_there(written: str, expected: bool) -> None:
    found = layers(
        stored=Stored(BESIDE, "plugin:p"),
        seen=frozenset({(row().cover_path, written)}),
        enriched=(Layer("plugin:p", {"cover": INSIDE}),),
    )
    assert ("cover" in found["plugin:p"].values) is expected


@pytest.mark.parametrize(
    ("parsed", "expected"),
    [
        (ParsedFile("epub_metadata", title="T", authors=(Author("A"),)), ("T", "A", None)),
        (ParsedFile("epub_metadata"), ("Folder", "Ann", None)),
        (None, ("Folder", "Ann", None)),
        (ParsedFile("e", title="T", series=(SeriesEntry("S"),)), ("T", "Ann", SeriesEntry("S"))),
    ],
)
def test_a_new_file_finds_its_book_by_title_author_and_series(
    parsed: ParsedFile | None, expected: object
) -> None:
    reading = FileReading("x", FileStatus.OK, parsed=parsed)
    assert identity_of(reading, row(), BOOK, root_level=False) == expected


@pytest.mark.parametrize(
    ("source", "there", "stored", "speaks"),
    [
        ("epub_metadata", row("a.m4b"), Stored("There", "m4b_metadata"), False),
        ("epub_metadata", row("a.m4b"), Stored(None, "m4b_metadata"), True),
        ("epub_metadata", row("a.m4b"), Stored("There", "filepath"), True),
        ("epub_metadata", row("a.cbz"), Stored("There", "cbz_metadata"), True),
        ("epub_metadata", row("a.epub"), Stored("There", "epub_metadata"), True),
        ("epub_metadata", replace(row("a.m4b"), role="supplement"), Stored("There", "m4b_metadata"), True),
        ("epub_metadata", row("a.text"), Stored("There", "file_metadata"), False),
        ("plugin:p", row("a.m4b"), Stored("There", "plugin:p"), False),
        ("plugin:p", row("a.m4b"), Stored("There", "m4b_metadata"), True),
    ],
)
def test_a_file_that_comes_later_is_not_outdone(
    source: str, there: FileRow, stored: Stored, speaks: bool
) -> None:
    layer = but_for_later(Layer(source, {"title": "New"}), "epub", [there], {"title": stored})
    assert layer.values == ({"title": "New"} if speaks else {})


def test_a_supplement_is_named_after_its_file() -> None:
    [layer] = supplement_layers(row("my map.v2.pdf"), shown_path="x")
    assert (layer.source, dict(layer.values)) == ("filepath", {"name": "my map.v2"})


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [("a.png", "a.png", BESIDE), ("a.png", "b.png", None), (None, "a.png", None)],
)
def test_a_stored_cover_is_the_image_that_the_row_names(
    known: str | None, found: str, expected: CoverImage | None
) -> None:
    reading = FileReading("x", FileStatus.OK, image=BESIDE, image_name=found)
    file = FileRow(1, 1, 1, "x", "epub", "main", 0, cover_name=known)
    assert stored_cover(Stored(None, "manual"), reading, file) == Stored(expected, "manual")


@pytest.mark.parametrize(
    ("stat", "size", "modified_ns", "expected"),
    [
        (FileStat(5, 1_700_000_000_123_456_789), 5, 1_700_000_000_123_456_000, True),
        (FileStat(5, 1_700_000_000_123_456_789), 5, 1_700_000_000_000_000_000, True),
        (FileStat(5, 1_700_000_000_123_457_000), 5, 1_700_000_000_123_456_000, False),
        (FileStat(6, 1_700_000_000_000_000_000), 5, 1_700_000_000_000_000_000, False),
        (FileStat(5, 1_700_000_000_000_000_000), 5, None, False),
        (None, 5, 1, False),
    ],
)
def test_a_file_is_unchanged_if_size_and_time_are(
    stat: FileStat | None, size: int, modified_ns: int | None, expected: bool
) -> None:
    assert is_unchanged(stat, size, modified_ns) is expected
