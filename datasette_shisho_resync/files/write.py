"""Writing covers and sidecars: whole or not at all, and nothing but covers and sidecars."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence

from ..errors import FileError, FileRefused
from .confine import check_descriptor, reason_of, require_path, resolve_confined
from .names import cover_name, is_writable_companion, shown

_TEMP = re.compile(r"\.resync-[0-9a-f]{16}\.tmp")
_NEW_MODE = 0o644
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STALE_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TEMP_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_files(
    folder: str,
    contents: Mapping[str, bytes],
    roots: Sequence[str],
    *,
    mtime_ns: int | None = None,
) -> dict[str, FileError]:
    """Write covers and sidecars of one folder that exists inside a root, each by temporary file and rename,
    with this time if given. An existing file keeps its mode and owner.

    Returns: base name -> error of each that could not be written, whose old content is still there:
    FileRefused for any other kind of name or place, FileError where the system refuses. The others were
    written, unless one has a name that is not for us to write.
    """
    failed: dict[str, FileError] = {}
    for name in contents:
        if not is_writable_companion(name):
            path = os.path.join(folder, name)
            failed[name] = FileRefused(shown(path), "is not the name of a cover or sidecar")
    if failed:
        return failed
    try:
        require_path(folder)
        descriptor = _open_folder(folder, roots)
    except (FileError, OSError) as error:
        return {name: _as_ours(os.path.join(folder, name), error) for name in contents}
    try:
        for name, data in contents.items():
            path = os.path.join(folder, name)
            try:
                require_path(path)
                _replace(descriptor, name, path, data, mtime_ns)
            except (FileError, OSError) as error:
                failed[name] = _as_ours(path, error)
    finally:
        os.close(descriptor)
    return failed


def writable_cover_mimes(file_path: str, mimes: Iterable[str]) -> frozenset[str]:
    """Return those media types of which a cover could be written beside a file."""
    folder = os.path.dirname(file_path)
    names = {mime: cover_name(file_path, mime) for mime in mimes}
    free = {mime for mime, name in names.items() if name and _is_free(os.path.join(folder, name))}
    return frozenset(free if free and os.access(folder, os.W_OK) else ())


def can_come_later(path: str) -> bool:
    """Tell whether a cover or sidecar that could not be written may be at another time: nothing is in its way
    but a disk that is full or away."""
    folder = os.path.dirname(path)
    return not os.path.lexists(folder) or (_is_free(path) and os.access(folder, os.W_OK))


def _is_free(path: str) -> bool:
    """Tell whether nothing but an ordinary file that could be replaced lies there."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True
    except OSError:  # a name too long, for one
        return False


def remove_stale_files(folder: str, roots: Sequence[str]) -> None:
    """Remove what a killed writer of covers and sidecars left in a folder, and nothing else.

    A writer holds a lock on its temporary file, which ends with its process, however that ends. What the
    system refuses stays.
    """
    with contextlib.suppress(FileError, OSError):
        require_path(folder)
        descriptor = _open_folder(folder, roots)
        try:
            for name in filter(_TEMP.fullmatch, os.listdir(descriptor)):
                with contextlib.suppress(OSError):
                    _remove_if_stale(descriptor, name)
        finally:
            os.close(descriptor)


def _remove_if_stale(folder: int, name: str) -> None:
    descriptor = os.open(name, _STALE_FLAGS, dir_fd=folder)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # not every file system has locks; its stale files stay
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _as_ours(path: str, error: FileError | OSError) -> FileError:
    if isinstance(error, FileError):
        return error
    ours = FileError(shown(path), f"could not be written: {reason_of(error)}")
    ours.__cause__ = error
    return ours


def _open_folder(path: str, roots: Sequence[str]) -> int:
    """Open the folder itself, so that everything after happens in it, wherever its name leads by then."""
    resolved, real_roots = resolve_confined(path, roots)
    folder = os.open(resolved, _FOLDER_FLAGS)
    try:
        check_descriptor(folder, resolved, path, real_roots)
    except BaseException:
        os.close(folder)
        raise
    return folder


def _replace(folder: int, name: str, path: str, data: bytes, mtime_ns: int | None) -> None:
    existing = _existing(folder, name)
    if existing is not None and not stat.S_ISREG(existing.st_mode):
        raise FileRefused(shown(path), "is not a regular file")
    temp = f".resync-{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temp, _TEMP_FLAGS, _NEW_MODE, dir_fd=folder)
    try:
        try:
            _lock(descriptor)
            _give_to_owner(descriptor, existing or os.fstat(folder))
            if existing is not None:
                os.fchmod(descriptor, stat.S_IMODE(existing.st_mode))
            _write(descriptor, data)
            if mtime_ns is not None:
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(descriptor)
        os.replace(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temp, dir_fd=folder)
        raise


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _existing(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _give_to_owner(descriptor: int, owned: os.stat_result) -> None:
    if owned.st_uid != os.geteuid():
        # Run by root beside a server of another user, who must be able to write it too.
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owned.st_uid, owned.st_gid)
