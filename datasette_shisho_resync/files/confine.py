"""Opening files for reading, only inside the roots, only regular ones, without ever waiting.

What may be read is decided by where a path leads, not by what it says: links inside a root are
fine, and nothing that was swapped in between checking and opening is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import BinaryIO

from ..errors import FileRefused, LimitExceeded, UnreadableFile
from .names import is_below, shown

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Opens nothing: what it leads to is neither read nor waited for.
_JUST_A_PATH: int | None = os.O_PATH | os.O_CLOEXEC if hasattr(os, "O_PATH") else None
_DELETED = " (deleted)"
_ABSENT = (errno.ENOENT, errno.ENAMETOOLONG)


def open_confined(path: str, roots: Sequence[str]) -> BinaryIO:
    """Open a regular file for reading whose resolved path lies in a resolved root.

    Raises FileRefused for anything else, and for a link that leads nowhere: refused is not missing.
    Raises FileNotFoundError only when nothing of that name is there; every other trouble
    (ENOTDIR, ELOOP, EACCES, EIO) stays an OSError of its own.
    """
    resolved, real_roots = resolve_confined(path, roots)
    try:
        found = os.lstat(resolved)
    except FileNotFoundError:
        _refuse_dangling(path, roots)
        raise
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused(shown(path), "is not a regular file")
    descriptor = os.open(resolved, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileRefused(shown(path), "is not a regular file")
        check_descriptor(descriptor, resolved, path, real_roots)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


class CompanionFolder:
    """The folder of a media file, resolved and checked once for all covers and sidecars in it.

    >>> with CompanionFolder("/books/dune", ["/books"]) as folder:
    ...     folder.read("dune.epub.metadata.json", 1_000_000, "max_sidecar_bytes")
    """

    def __init__(self, path: str, roots: Sequence[str]) -> None:
        """Raises FileRefused when the folder lies outside the roots, OSError when it can't be opened."""
        self.path = path
        self._roots = roots
        resolved, real_roots = resolve_confined(path, roots)
        self._descriptor = os.open(resolved, _FLAGS | os.O_DIRECTORY)
        try:
            check_descriptor(self._descriptor, resolved, path, real_roots)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> CompanionFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def read(self, name: str, max_bytes: int, setting: str) -> bytes | None:
        """Return what `read_companion` does for a base name in this folder."""
        found = self._status(name)
        if found is None:
            return None
        if not stat.S_ISREG(found.st_mode):  # a link may be fine, the rest is refused there
            return read_companion(os.path.join(self.path, name), self._roots, max_bytes, setting)
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=self._descriptor)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FileRefused(shown(os.path.join(self.path, name)), "is not a regular file")
                data = file.read(max_bytes + 1)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise UnreadableFile(shown(os.path.join(self.path, name)), reason_of(error)) from error
        return _bounded(data, os.path.join(self.path, name), max_bytes, setting)

    def _status(self, name: str) -> os.stat_result | None:
        if os.path.basename(name) != name or "\0" in name:
            raise FileRefused(shown(name), "is not the name of a file")
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise UnreadableFile(shown(os.path.join(self.path, name)), reason_of(error)) from error


def read_companion(path: str, roots: Sequence[str], max_bytes: int, setting: str) -> bytes | None:
    """Return the content of a cover or sidecar, None when there is none. `setting` is the limit's name.

    Raises FileRefused, LimitExceeded, UnreadableFile.
    """
    require_path(path)
    try:
        os.lstat(path)  # most are absent, and asking is cheaper than resolving
        with open_confined(path, roots) as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise UnreadableFile(shown(path), reason_of(error)) from error
    return _bounded(data, path, max_bytes, setting)


def _bounded(data: bytes, path: str, max_bytes: int, setting: str) -> bytes:
    if len(data) > max_bytes:
        raise LimitExceeded(shown(path), f"is larger than {setting} ({max_bytes:,} bytes)")
    return data


def resolve_confined(path: str, roots: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return where the path leads and where the roots are, links and `..` resolved; nothing need exist there.

    Raises FileRefused when that lies outside every root.
    """
    require_path(path)
    resolved = _real(path)
    real_roots = tuple(_real(root) for root in roots)
    if not _is_inside(resolved, real_roots):
        raise FileRefused(shown(path), "lies outside the library's folders")
    return resolved, real_roots


def _real(path: str) -> str:
    """Return what `os.path.realpath` does; for what exists by asking Linux, at a quarter of the time."""
    if _JUST_A_PATH is None:
        return os.path.realpath(path)
    try:
        descriptor = os.open(path, _JUST_A_PATH)
    except (OSError, ValueError):
        return os.path.realpath(path)
    try:
        found = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        found = ""
    finally:
        os.close(descriptor)
    # Of what was replaced meanwhile, or lies outside of what this process can see, it says something else.
    is_plain = found.startswith("/") and not found.endswith(_DELETED)
    return found if is_plain else os.path.realpath(path)


def require_path(path: str) -> None:
    """Refuse what the system could not even be asked for: relative, with NUL, or not to be had as bytes."""
    try:
        usable = os.path.isabs(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise FileRefused(shown(path), "is not an absolute path that this system can have")


def check_descriptor(descriptor: int, resolved: str, path: str, real_roots: Sequence[str]) -> None:
    """Refuse what was opened unless it lies in a root now, whatever the path said before."""
    if not _is_inside(_opened_path(descriptor, resolved), real_roots):
        raise FileRefused(shown(path), "was moved out of the library's folders while it was opened")


def reason_of(error: OSError) -> str:
    """Return what the system says, in words for a person."""
    return (error.strerror or type(error).__name__).lower()


def _is_inside(resolved: str, real_roots: Sequence[str]) -> bool:
    return any(is_below(resolved, root) for root in real_roots)


def _opened_path(descriptor: int, resolved: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # a system without /proc: see whether the path still leads to what was opened
        again = os.path.realpath(resolved)
        same = os.path.samestat(os.lstat(again), os.fstat(descriptor))
        return again if same else ""


def _refuse_dangling(path: str, roots: Sequence[str]) -> None:
    """Refuse a path of which a part below its root is a dead link. A dead root is for the guard to judge."""
    ends = {"/", *(os.path.normpath(root) for root in roots)}
    part = path
    while part not in ends:
        if os.path.islink(part) and not os.path.exists(part):
            raise FileRefused(shown(path), f"{shown(part)} is a link that leads nowhere")
        part = os.path.dirname(part)
