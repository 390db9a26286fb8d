from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from datasette_shisho_resync.errors import Conflict, FileRefused, RootUnavailable
from datasette_shisho_resync.files import RootEvidence, judge_missing, similar_sibling

GONE = "a/gone.epub"


def tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def evidence(root: Path, known: Iterable[str] = (), books: dict[str, int] | None = None) -> RootEvidence:
    by_folder = {str(root / folder): count for folder, count in (books or {}).items()}
    return RootEvidence(str(root), tuple(str(root / name) for name in known), lambda f: by_folder.get(f, 1))


def judge(root: Path, found: RootEvidence, name: str = GONE, *, confirm: bool = False) -> str | None:
    """Return None when the file counts as missing, else the message of the error."""
    try:
        judge_missing(str(root / name), found, confirm_missing=confirm)
    except RootUnavailable as error:
        return error.message
    return None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    return folder


def test_a_file_is_missing_when_its_root_is_proved_alive(root: Path) -> None:
    tree(root, "a/other.epub", "b/known.epub")

    assert judge(root, evidence(root, ["b/known.epub"])) is None
    assert judge(root, evidence(root, ["no/more.epub", "b/known.epub", GONE])) is None


def test_the_folder_of_a_lone_book_may_be_gone_or_hold_only_what_is_left(root: Path) -> None:
    tree(root, "b/known.epub")
    assert judge(root, evidence(root, ["b/known.epub"])) is None

    tree(root, "a/gone.epub.cover.jpg", "a/gone.epub.metadata.json", "a/.DS_Store")
    assert judge(root, evidence(root, ["b/known.epub"])) is None


ABSENT: list[tuple[str, list[str], list[str], dict[str, int], str]] = [
    ("empty root", [], ["b/known.epub"], {}, "is empty"),
    ("hidden only", [".hidden", "lost+found/x"], ["b/known.epub"], {}, "is empty"),
    ("other content", ["stray.txt"], ["b/known.epub"], {}, "No other known file"),
    ("knows no other", ["stray.txt"], [], {}, "knows no other file"),
    ("knows itself", ["stray.txt"], [GONE], {}, "knows no other file"),
    ("absent mount", ["b/known.epub", "a/.x"], ["b/known.epub"], {"a": 2}, "should hold several books"),
    ("fresh disk", ["b/known.epub", "a/lost+found/x"], ["b/known.epub"], {"a": 2}, "should hold several"),
    (
        "remains only",
        ["b/known.epub", "a/gone.epub.cover.jpg", "a/gone.epub.metadata.json"],
        ["b/known.epub"],
        {"a": 2},
        "should hold several books",
    ),
]


@pytest.mark.parametrize(
    ("on_disk", "known", "books", "reason"), [case[1:] for case in ABSENT], ids=[case[0] for case in ABSENT]
)
def test_without_proof_nothing_counts_as_missing_unless_confirmed(
    root: Path, on_disk: list[str], known: list[str], books: dict[str, int], reason: str
) -> None:
    tree(root, *on_disk)
    found = evidence(root, known, books)

    message = judge(root, found)
    assert message is not None
    assert reason in message
    assert str(root) in message
    assert judge(root, found, confirm=True) is None


def test_the_error_names_the_root(root: Path) -> None:
    with pytest.raises(RootUnavailable) as caught:
        judge_missing(str(root / GONE), evidence(root), confirm_missing=False)

    assert caught.value.root == str(root)


def test_a_mount_point_far_above_the_file_is_judged_too(root: Path) -> None:
    tree(root, "b/known.epub")
    (root / "mnt/disk").mkdir(parents=True)
    found = evidence(root, ["b/known.epub"], {"mnt": 9, "mnt/disk": 9, "mnt/disk/author": 5})

    message = judge(root, found, "mnt/disk/author/title/gone.epub")

    assert message is not None
    assert message.startswith(str(root / "mnt/disk"))


def test_a_folder_with_other_content_is_no_absent_mount(root: Path) -> None:
    tree(root, "b/known.epub", "a/notes.txt")

    assert judge(root, evidence(root, ["b/known.epub"], {"a": 5})) is None


def test_a_root_that_is_not_there_asks_for_a_path_map_unless_it_has_one(tmp_path: Path) -> None:
    root = tmp_path / "absent"
    found = evidence(root, ["b/known.epub"])

    message = judge(root, found)
    assert message is not None
    assert "set path_map" in message
    mapped = judge(root, RootEvidence(found.root, found.known_files, found.books_below, mapped=True))
    assert mapped is not None
    assert "path_map" not in mapped
    assert judge(root, found, confirm=True) is None


def test_the_root_may_be_stored_with_a_slash_at_its_end(root: Path) -> None:
    tree(root, "b/known.epub")
    found = RootEvidence(f"{root}/", (str(root / "b/known.epub"),), lambda folder: 1)

    assert judge(root, found) is None


def test_at_most_a_hundred_known_files_are_tried(root: Path) -> None:
    tree(root, "b/known.epub")
    others = [f"no/{n}.epub" for n in range(99)]

    assert judge(root, evidence(root, [*others, "b/known.epub"])) is None
    assert judge(root, evidence(root, [*others, "no/more.epub", "b/known.epub"])) is not None


def test_a_known_folder_or_dead_link_is_no_proof(root: Path) -> None:
    tree(root, "stray.txt")
    (root / "folder.epub").mkdir()
    (root / "dead.epub").symlink_to("nowhere")

    assert judge(root, evidence(root, ["folder.epub", "dead.epub"])) is not None


def plant_nothing_wrong(root: Path) -> str:
    tree(root, "a/there.epub")
    return "a/there.epub"


def plant_file_as_folder(root: Path) -> str:
    tree(root, "file")
    return "file/gone.epub"


def plant_loop(root: Path) -> str:
    (root / "loop").symlink_to("loop")
    return "loop/gone.epub"


def plant_dead_folder(root: Path) -> str:
    (root / "unplugged").symlink_to("nowhere")
    return "unplugged/gone.epub"


def plant_long_name(root: Path) -> str:
    return "x" * 300


@pytest.mark.parametrize(
    "plant", [plant_nothing_wrong, plant_file_as_folder, plant_loop, plant_dead_folder, plant_long_name]
)
@pytest.mark.parametrize("confirm", [False, True])
def test_anything_but_no_such_file_never_counts_as_missing(
    root: Path, plant: Callable[[Path], str], confirm: bool
) -> None:
    tree(root, "b/known.epub")

    with pytest.raises(Conflict):
        judge_missing(str(root / plant(root)), evidence(root, ["b/known.epub"]), confirm_missing=confirm)


@pytest.mark.parametrize("confirm", [False, True])
def test_a_root_that_is_a_file_never_proves_anything(tmp_path: Path, confirm: bool) -> None:
    (tmp_path / "file").touch()

    assert judge(tmp_path / "file", evidence(tmp_path / "file"), confirm=confirm) is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_never_counts_as_missing(root: Path) -> None:
    tree(root, "b/known.epub")
    (root / "a").mkdir(mode=0)

    assert judge(root, evidence(root, ["b/known.epub"]), confirm=True) is not None


@pytest.mark.parametrize(
    "path", ["/elsewhere/a.epub", "a.epub", "{root}2/a.epub", "{root}/../a.epub", "{root}/a\0b"]
)
def test_a_file_outside_the_root_is_not_judged(root: Path, path: str) -> None:
    with pytest.raises(FileRefused):
        judge_missing(path.format(root=root), evidence(root), confirm_missing=True)


# Names that differ only in case or Unicode form

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
UNDECODABLE = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("stored", "on_disk"),
    [
        ("a/Gone.epub", "a/gone.EPUB"),
        (f"a/{COMPOSED}.epub", f"a/{DECOMPOSED}.epub"),
        (f"a/{DECOMPOSED}.epub", f"a/{COMPOSED}.epub"),
        (f"a/{COMPOSED.upper()}.epub", f"a/{DECOMPOSED}.epub"),
        ("a/Straße.epub", "a/STRASSE.epub"),
        (f"{COMPOSED}/x/gone.epub", f"{DECOMPOSED}/X/gone.epub"),
        (f"a/{UNDECODABLE}.epub", f"a/{UNDECODABLE}.EPUB"),
    ],
)
def test_a_file_under_a_similar_name_is_not_missing_and_is_named(
    root: Path, stored: str, on_disk: str
) -> None:
    tree(root, on_disk, "b/known.epub")

    for confirm in (False, True):
        with pytest.raises(Conflict, match="differs only in case or Unicode form") as caught:
            judge_missing(str(root / stored), evidence(root, ["b/known.epub"]), confirm_missing=confirm)
        assert not isinstance(caught.value, RootUnavailable)
    assert similar_sibling(str(root / stored)) == str(root / on_disk)


@pytest.mark.parametrize(
    ("stored", "on_disk"),
    [
        ("a/gone.epub", "a/gone2.epub"),
        ("a/gone.epub", "A/other.epub"),
        ("a/gone.epub", "A"),
        ("a/gone.epub", "b/gone.epub"),
        ("a/cafe.epub", f"a/{COMPOSED}.epub"),
    ],
)
def test_other_names_are_not_similar(root: Path, stored: str, on_disk: str) -> None:
    tree(root, on_disk)

    assert similar_sibling(str(root / stored)) is None


def test_a_similar_name_that_is_a_known_file_of_its_own_does_not_stand_for_the_missing_one(
    root: Path,
) -> None:
    tree(root, "a/GONE.epub")

    assert judge(root, evidence(root, ["a/GONE.epub"])) is None


def test_messages_show_no_control_characters(root: Path) -> None:
    tree(root, "stray.txt")
    (root / "a\nb").touch()

    message = judge(root, evidence(root), "a\nb/gone.epub")

    assert message is not None
    assert "\n" not in message
    assert r"a\x0ab" in message
