from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from datasette_shisho_resync.errors import BadRequest, FileError, FileRefused, LimitExceeded, UnreadableFile
from datasette_shisho_resync.files import (
    PathMap,
    checked_roots,
    cover_name,
    cover_names,
    is_companion,
    open_confined,
    read_companion,
    remove_stale_files,
    replace_files,
    shared_roots,
    shown,
)

NOT_UTF8 = os.fsdecode(b"caf\xe9.epub")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "book.epub").write_bytes(b"inside")
    (tmp_path / "secret.epub").write_bytes(b"outside")
    return folder


def content(path: object, *roots: object) -> bytes:
    with open_confined(str(path), [str(root) for root in roots]) as file:
        return file.read()


# How paths are shown


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/b c é “x”.epub", "/a/b c é “x”.epub"),
        ("/a/" + NOT_UTF8, r"/a/caf\xe9.epub"),
        ("a\nb\0\x1b[31m\x7f", r"a\x0ab\x00\x1b[31m\x7f"),
        ("a\x85\u202egpj.\u2066", r"a\u0085\u202egpj.\u2066"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_path_is_shown_without_what_would_mislead_a_person(path: str, expected: str) -> None:
    assert shown(path) == expected
    shown(path).encode()


# Stored paths and paths here


@pytest.mark.parametrize(
    ("stored", "here"),
    [
        ("/media/a.epub", "/mnt/nas/a.epub"),
        ("/media", "/mnt/nas"),
        ("/media2/a.epub", "/media2/a.epub"),
        ("/media/comics/a.cbz", "/srv/comics/a.cbz"),
        ("/media/comics2/a.cbz", "/mnt/nas/comics2/a.cbz"),
        ("/other/a.epub", "/other/a.epub"),
        ("/media/" + NOT_UTF8, "/mnt/nas/" + NOT_UTF8),
    ],
)
def test_whole_components_are_mapped_and_the_longest_prefix_counts(stored: str, here: str) -> None:
    paths = PathMap({"/media": "/mnt/nas/", "/media/comics/": "/srv/comics"})

    assert paths.here(stored) == here
    assert paths.stored(here) == stored
    assert paths.is_mapped(stored) is (stored != here)


def test_the_root_folder_can_be_mapped() -> None:
    paths = PathMap({"/": "/mnt/image"})

    assert paths.here("/a.epub") == "/mnt/image/a.epub"
    assert paths.stored("/mnt/image") == "/"


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ({"media": "/mnt"}, "media is not an absolute path"),
        ({"/media": ""}, "is not an absolute path"),
        ({"/media": None}, "None is not an absolute path"),
        ({"/a": "/mnt", "/b": "/mnt/"}, "the same folder"),
        ({"/a": "/mnt", "/a/": "/srv"}, "the same folder"),
    ],
)
def test_a_path_map_that_cannot_be_meant_is_refused(mapping: dict[str, str], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        PathMap(mapping)


# Roots


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("/no/such/books/", "/no/such/books"),
        ("//no//such/./books", "/no/such/books"),
        ("/no/such/x/../books", "/no/such/books"),
        ("/root/books", "/root/books"),
        ("/var/lib/books", "/var/lib/books"),
        ("/run/media/ann/disk", "/run/media/ann/disk"),
        ("/etcetera", "/etcetera"),
    ],
)
def test_a_root_is_normalised(root: str, expected: str) -> None:
    assert checked_roots([root, root]) == (expected,)


@pytest.mark.parametrize(
    "root",
    [
        "/", "//", "/books/..", "books", "", "./books", "/etc", "/etc/ssl", "/proc", "/proc/self/root",
        "/sys", "/dev", "/dev/shm", "/bin", "/usr", "/usr/share", "/boot", "/lib", "/sbin", "/run",
        "/var/run", "/run/media", "/root", "/var", "/no/such/../../etc", "/no/\0such",
    ],
)  # fmt: skip
def test_relative_and_system_folders_are_no_roots(root: str) -> None:
    with pytest.raises(BadRequest) as caught:
        checked_roots(["/no/such/books", root])

    assert shown(root) in caught.value.message


def test_a_link_to_a_system_folder_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/etc")

    with pytest.raises(BadRequest, match="innocent is a system folder"):
        checked_roots([str(tmp_path / "innocent")])


@pytest.mark.parametrize(
    ("library_paths", "allowed", "expected"),
    [
        (["/no/a"], ["/no/a"], ("/no/a",)),
        (["/no/a"], ["/no"], ("/no/a",)),
        (["/no/a", "/no/b"], ["/no/a/deep", "/no/c"], ("/no/a/deep",)),
        (["/no/a"], ["/no/ab"], ()),
        ([], ["/no/a"], ()),
    ],
)
def test_only_what_lies_in_the_library_and_in_the_allowed_roots_is_shared(
    library_paths: list[str], allowed: list[str], expected: tuple[str, ...]
) -> None:
    assert shared_roots(library_paths, allowed) == expected


# Opening


def test_a_file_in_a_root_is_opened(root: Path) -> None:
    assert content(root / "book.epub", "/no/such", root) == b"inside"


def test_a_name_that_is_not_utf8_is_opened(root: Path) -> None:
    path = os.path.join(str(root), NOT_UTF8)
    with open(os.fsencode(path), "wb") as file:
        file.write(b"bytes")

    assert content(path, root) == b"bytes"


def test_a_link_inside_the_root_is_followed(root: Path) -> None:
    (root / "folder").mkdir()
    (root / "folder/link.epub").symlink_to("../book.epub")
    (root / "linked").symlink_to(root / "folder")

    assert content(root / "linked/link.epub", root) == b"inside"


def test_a_root_may_be_a_link_itself(root: Path) -> None:
    (root.parent / "books").symlink_to(root)

    assert content(root.parent / "books/book.epub", root.parent / "books") == b"inside"
    assert content(root / "book.epub", root.parent / "books") == b"inside"


def test_a_link_may_lead_to_another_root(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.epub").write_bytes(b"other")
    (root / "b.epub").symlink_to(other / "b.epub")

    assert content(root / "b.epub", root, other) == b"other"
    with pytest.raises(FileRefused):
        open_confined(str(root / "b.epub"), [str(root)])


def plant_fifo(root: Path) -> Path:
    os.mkfifo(root / "pipe.epub")
    return root / "pipe.epub"


def plant_linked_fifo(root: Path) -> Path:
    (root / "link.epub").symlink_to(plant_fifo(root))
    return root / "link.epub"


def plant_socket(root: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # the whole path would be too long for a socket
        try:
            server.bind("s.epub")
        finally:
            os.chdir(here)
    return root / "s.epub"


def plant_folder(root: Path) -> Path:
    (root / "folder.epub").mkdir()
    return root / "folder.epub"


def plant_link(root: Path, target: str) -> Path:
    (root / "link.epub").symlink_to(target)
    return root / "link.epub"


def plant_linked_folder(root: Path) -> Path:
    (root / "out").symlink_to("..")
    return root / "out/secret.epub"


def plant_dead_folder(root: Path) -> Path:
    (root / "gone").symlink_to(root / "unmounted")
    return root / "gone/a.epub"


REFUSED: list[Callable[[Path], object]] = [
    plant_fifo,
    plant_linked_fifo,
    plant_socket,
    plant_folder,
    plant_linked_folder,
    plant_dead_folder,
    lambda root: plant_link(root, "../secret.epub"),
    lambda root: plant_link(root, "/dev/null"),
    lambda root: plant_link(root, "/proc/self/environ"),
    lambda root: plant_link(root, "dead"),
    lambda root: plant_link(root, "/no/such/file"),
    lambda root: root,
    lambda root: root / "../secret.epub",
    lambda root: root / "none/../../secret.epub",
    lambda root: root.parent / "secret.epub",
    lambda root: root.parent / "nothing there",
    lambda root: f"{root}2/book.epub",
    lambda root: "library/book.epub",
    lambda root: "",
    lambda root: f"{root}/book.epub\0.epub",
    lambda root: f"{root}/\ud800.epub",
    lambda root: "/proc/self/fd/0",
]


@pytest.mark.parametrize("plant", REFUSED)
def test_what_is_no_regular_file_inside_a_root_is_refused(
    root: Path, plant: Callable[[Path], object]
) -> None:
    with pytest.raises(FileRefused):
        open_confined(str(plant(root)), [str(root)])


def test_a_file_is_never_opened_without_roots_or_with_everything_as_root(root: Path) -> None:
    for roots in ([], ["/"]):
        with pytest.raises(FileRefused):
            open_confined(str(root / "book.epub"), roots)


@pytest.mark.parametrize("name", ["gone.epub", "gone/gone.epub"])
def test_only_a_name_that_is_not_there_is_not_found(root: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_confined(str(root / name), [str(root)])


def test_a_file_below_an_absent_root_is_not_found(root: Path) -> None:
    (root.parent / "unplugged").symlink_to(root.parent / "disk")

    for folder in ("absent", "unplugged"):
        with pytest.raises(FileNotFoundError):
            open_confined(str(root.parent / folder / "a.epub"), [str(root.parent / folder)])


def test_other_trouble_is_not_taken_for_an_absent_file(root: Path) -> None:
    (root / "loop.epub").symlink_to("loop.epub")
    cases = {
        "book.epub/inner.epub": errno.ENOTDIR,
        "loop.epub/x": errno.ELOOP,
        "x" * 300: errno.ENAMETOOLONG,
    }

    for name, number in cases.items():
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            open_confined(str(root / name), [str(root)])
        assert caught.value.errno == number


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_not_taken_for_an_absent_file(root: Path) -> None:
    (root / "locked").mkdir(mode=0)

    with pytest.raises(PermissionError):
        open_confined(str(root / "locked/a.epub"), [str(root)])


@pytest.fixture
def swapping(root: Path) -> Iterator[Path]:
    """A name that is a file, a link out, a FIFO and a folder that leads out, in quick turns."""
    (root / "turn").mkdir()
    stop = threading.Event()

    def swap() -> None:
        folder, away = root / "turn", root / "away"
        while not stop.is_set():
            (root / "new").write_bytes(b"inside")
            os.replace(root / "new", folder / "secret.epub")
            os.symlink(root.parent / "secret.epub", root / "new")
            os.replace(root / "new", folder / "secret.epub")
            os.mkfifo(root / "new")
            os.replace(root / "new", folder / "secret.epub")
            os.rename(folder, away)
            os.symlink(root.parent, folder)
            os.unlink(folder)
            os.rename(away, folder)

    thread = threading.Thread(target=swap)
    thread.start()
    yield root / "turn/secret.epub"
    stop.set()
    thread.join()


def test_what_is_swapped_in_while_opening_is_never_read(root: Path, swapping: Path) -> None:
    seen: set[bytes | None] = set()
    for _ in range(3_000):
        try:
            seen.add(content(swapping, root))
        except (FileRefused, OSError):
            seen.add(None)

    assert seen <= {b"inside", None}


class SwapAfterCheck(tuple[str, ...]):
    """Roots that swap a folder for a link out of them once they have been looked at."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        root = Path(self[0])
        if not (root / "folder").is_symlink():
            (root / "folder").rename(root / "away")
            (root / "folder").symlink_to(root.parent / "outside")
        return super().__iter__()


@pytest.fixture
def swapped_roots(root: Path) -> SwapAfterCheck:
    for folder, data in ((root / "folder/inner", b"inside"), (root.parent / "outside/inner", b"outside")):
        folder.mkdir(parents=True)
        (folder / "a.epub").write_bytes(data)
    return SwapAfterCheck([str(root)])


def test_a_folder_swapped_between_check_and_opening_is_noticed(
    root: Path, swapped_roots: SwapAfterCheck
) -> None:
    with pytest.raises(FileRefused, match="moved out"):
        open_confined(str(root / "folder/inner/a.epub"), swapped_roots)


def test_a_folder_swapped_between_check_and_writing_is_noticed(
    root: Path, swapped_roots: SwapAfterCheck
) -> None:
    with pytest.raises(FileRefused, match="moved out"):
        replace_file(str(root / "folder/inner/a.epub.metadata.json"), b"x", swapped_roots)

    assert names_in(root.parent / "outside/inner") == {"a.epub"}


# Companions


def test_a_companion_is_read_and_an_absent_one_is_none(root: Path) -> None:
    (root / "book.epub.metadata.json").write_bytes(b"{}")

    assert read_companion(str(root / "book.epub.metadata.json"), [str(root)], 2, "max_sidecar_bytes") == b"{}"
    assert read_companion(str(root / "none.metadata.json"), [str(root)], 2, "max_sidecar_bytes") is None
    long_name = str(root / ("x" * 250 + ".metadata.json"))
    assert read_companion(long_name, [str(root)], 2, "max_sidecar_bytes") is None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("book.epub", LimitExceeded),
        ("book.epub/x", UnreadableFile),
        ("../secret.epub", FileRefused),
    ],
)
def test_a_companion_that_cannot_be_had_raises_an_error_of_ours(
    root: Path, name: str, error: type[FileError]
) -> None:
    with pytest.raises(error):
        read_companion(str(root / name), [str(root)], 2, "max_sidecar_bytes")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.epub.cover.jpg", True),
        ("a.epub.COVER.Png", True),
        ("a.cover.tiff", True),
        ("a.cover.", True),
        ("a.epub.metadata.json", True),
        ("A.EPUB.METADATA.JSON", True),
        ("a\nb.metadata.json", True),
        ("a.cover.epub.pdf", False),
        ("cover.jpg", False),
        ("metadata.json", False),
        ("a.epub", False),
    ],
)
def test_covers_and_sidecars_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_companion(name) is expected


def test_covers_are_looked_up_in_shishos_order() -> None:
    names = cover_names("/lib/b.epub")
    assert names == tuple(f"b.epub.cover.{kind}" for kind in ("jpg", "jpeg", "png", "webp", "gif", "bmp"))


@pytest.mark.parametrize(
    ("mime", "expected"),
    [("image/jpeg", "b.epub.cover.jpg"), ("image/gif", "b.epub.cover.gif"), ("image/tiff", None)],
)
def test_a_new_cover_is_named_after_its_media_type(mime: str, expected: str | None) -> None:
    assert cover_name("/lib/b.epub", mime) == expected


# Writing


def names_in(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def replace_file(path: str, data: bytes, roots: Sequence[str]) -> None:
    """Write one file; raises what is said of it."""
    folder, name = os.path.split(path)
    for error in replace_files(folder, {name: data}, roots).values():
        raise error


def test_a_sidecar_is_written_and_replaced_whole(root: Path) -> None:
    target = root / "book.epub.metadata.json"

    replace_file(str(target), b"one", [str(root)])
    before = target.stat()
    replace_file(str(target), b"two", [str(root)])

    assert target.read_bytes() == b"two"
    assert before.st_ino != target.stat().st_ino
    assert names_in(root) == {"book.epub", "book.epub.metadata.json"}


def test_a_new_companion_can_be_read_by_all_and_an_old_one_keeps_its_mode(root: Path) -> None:
    target = root / "book.epub.cover.png"
    before = os.umask(0o022)
    try:
        replace_file(str(target), b"one", [str(root)])
        assert stat.S_IMODE(target.stat().st_mode) == 0o644
        target.chmod(0o664)
        replace_file(str(target), b"two", [str(root)])
        assert stat.S_IMODE(target.stat().st_mode) == 0o664
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_new_companion_belongs_to_whom_its_folder_belongs(root: Path) -> None:
    target = root / "book.epub.cover.png"
    os.chown(root, 1234, 4321)

    replace_file(str(target), b"one", [str(root)])

    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 4321)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_an_old_companion_keeps_its_owner(root: Path) -> None:
    target = root / "book.epub.cover.png"
    target.touch()
    os.chown(target, 1234, 4321)

    replace_file(str(target), b"two", [str(root)])

    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 4321)


def test_a_name_that_is_not_utf8_is_written(root: Path) -> None:
    path = os.path.join(str(root), NOT_UTF8 + ".metadata.json")

    replace_file(path, b"{}", [str(root)])

    assert read_companion(path, [str(root)], 10, "max_sidecar_bytes") == b"{}"


@pytest.mark.parametrize(
    "name",
    [
        "book.epub", "new.epub", "cover.jpg", ".metadata.json", ".cover.jpg", "book.cover.epub",
        "book.cover.svg", "book.metadata.json.epub", "book.epub.metadata.json/", "book.cover.jpg\n", "", "..",
        "a\0.metadata.json", "\ud800.metadata.json",
    ],
)  # fmt: skip
def test_nothing_but_covers_and_sidecars_is_written(root: Path, name: str) -> None:
    with pytest.raises(FileRefused):
        replace_file(f"{root}/{name}", b"x", [str(root)])

    assert names_in(root) == {"book.epub"}
    assert (root / "book.epub").read_bytes() == b"inside"


def test_a_link_or_folder_in_the_place_of_a_companion_is_refused(root: Path) -> None:
    (root / "a.metadata.json").symlink_to("book.epub")
    (root / "b.metadata.json").symlink_to("../elsewhere")
    (root / "c.metadata.json").mkdir()
    before = names_in(root)

    for name in "abc":
        with pytest.raises(FileRefused, match="not a regular file"):
            replace_file(str(root / f"{name}.metadata.json"), b"x", [str(root)])

    assert names_in(root) == before
    assert (root / "book.epub").read_bytes() == b"inside"


def test_nothing_is_written_outside_the_roots(root: Path) -> None:
    (root / "out").symlink_to("..")

    for path in (root / "../a.metadata.json", root / "out/a.metadata.json", "/tmp/a.metadata.json"):
        with pytest.raises(FileRefused):
            replace_file(str(path), b"x", [str(root)])

    assert names_in(root.parent) == {"library", "secret.epub"}


def test_a_folder_that_is_not_there_is_not_made(root: Path) -> None:
    for folder in ("none", "book.epub"):
        with pytest.raises(FileError, match="could not be written"):
            replace_file(str(root / folder / "a.metadata.json"), b"x", [str(root)])

    assert names_in(root) == {"book.epub"}


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(root: Path) -> None:
    target = root / "book.epub.metadata.json"
    target.write_bytes(b"old")

    with pytest.raises(TypeError):
        replace_file(str(target), "text", [str(root)])  # type: ignore[arg-type]
    with pytest.raises(FileError, match="file name too long"):
        replace_file(str(root / ("x" * 250 + ".metadata.json")), b"x", [str(root)])

    assert target.read_bytes() == b"old"
    assert names_in(root) == {"book.epub", "book.epub.metadata.json"}


def test_a_reader_sees_the_old_or_the_new_content_and_never_a_part(root: Path) -> None:
    target = root / "book.epub.metadata.json"
    versions = {b"a" * 100_000, b"b" * 100_000}
    stop = threading.Event()
    seen = set()

    def write() -> None:
        while not stop.is_set():
            for version in versions:
                replace_file(str(target), version, [str(root)])

    replace_file(str(target), b"a" * 100_000, [str(root)])
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            seen.add(read_companion(str(target), [str(root)], 200_000, "max_sidecar_bytes"))
    finally:
        stop.set()
        thread.join()

    assert seen <= versions


STALE, FRESH = f".resync-{'0' * 16}.tmp", f".resync-{'1' * 16}.tmp"


def test_only_what_a_dead_writer_left_is_removed(root: Path) -> None:
    folder, target = root / "stale", root / "target"
    folder.mkdir()
    for name in (STALE, FRESH, ".resync-notes.tmp", f"{STALE}.bak", "resync.tmp"):
        (folder / name).write_bytes(b"part")
    target.write_bytes(b"book")
    (folder / f".resync-{'2' * 16}.tmp").symlink_to(target)
    (folder / f".resync-{'3' * 16}.tmp").mkdir()
    os.mkfifo(folder / f".resync-{'4' * 16}.tmp")
    before = set(folder.iterdir())
    with open(folder / FRESH) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_stale_files(str(folder), [str(root)])
    assert set(folder.iterdir()) == before - {folder / STALE}
    assert target.read_bytes() == b"book"


def test_nothing_is_removed_outside_the_roots(root: Path, tmp_path: Path) -> None:
    (tmp_path / STALE).write_bytes(b"part")
    remove_stale_files(str(tmp_path), [str(root)])
    remove_stale_files(str(root / "absent"), [str(root)])
    assert (tmp_path / STALE).exists()
