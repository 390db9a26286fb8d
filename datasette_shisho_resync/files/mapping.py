"""Where stored paths are on this machine, and which folders may be roots. Opens nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from ..errors import BadRequest
from .names import is_below, shown

_SYSTEM_FOLDERS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/var/run", "/System", "/private/etc", "/private/var/run",
)  # fmt: skip
_ALLOWED_BELOW = ("/run/media", "/dev/shm")  # where desktops mount removable disks; a disk in memory
_ALLOWED_ONLY_BELOW = ("/root", "/var", "/private", "/private/var")  # containers keep media below them


class PathMap:
    """Translates between paths as the database has them and as they are here.

    >>> PathMap({"/media": "/mnt/nas"}).here("/media/a.epub")
    '/mnt/nas/a.epub'
    """

    __slots__ = ("_here", "_stored")

    def __init__(self, mapping: Mapping[str, str]) -> None:
        pairs = [(_prefix(stored), _prefix(here)) for stored, here in mapping.items()]
        if len({here for _, here in pairs}) < len(pairs) or len(dict(pairs)) < len(pairs):
            raise BadRequest("path_map: two entries name the same folder.")
        self._here = sorted(pairs, key=_prefix_length, reverse=True)
        self._stored = sorted(((here, stored) for stored, here in pairs), key=_prefix_length, reverse=True)

    def here(self, stored: str) -> str:
        """Return where a stored path is on this machine."""
        return _replaced(stored, self._here)

    def stored(self, here: str) -> str:
        """Return a path of this machine as the database has it."""
        return _replaced(here, self._stored) if self._stored else here

    def is_mapped(self, stored: str) -> bool:
        """Tell whether an entry covers this stored path."""
        return any(is_below(stored, prefix) for prefix, _ in self._here)


def checked_roots(roots: Iterable[str]) -> tuple[str, ...]:
    """Return the roots normalised and without repeats.

    Raises BadRequest naming the first that is relative, `/` or a system folder, also through a link.
    """
    return tuple(dict.fromkeys(_checked_root(root) for root in roots))


def respelled(path: str, roots: Iterable[str]) -> str:
    """Return the path as it is below one of the roots, if that is where it leads through links or mounts."""
    roots = tuple(roots)
    if any(is_below(path, root) for root in roots):
        return path
    folder = real = os.path.realpath(path)
    while folder != "/":
        for root in roots:
            if _is_same_folder(folder, root):
                return root + real[len(folder) :]
        folder = os.path.dirname(folder)
    return path


def _is_same_folder(folder: str, root: str) -> bool:
    """Tell whether two names lead to one folder, as those of a bind mount do."""
    try:
        return os.path.samefile(folder, root)
    except OSError:  # one is not there, and may still be called the same
        return folder == os.path.realpath(root)


def shared_roots(library_paths: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that lie both in a library path and in an allowed root: the deeper of each pair."""
    pairs = [(os.path.realpath(path), os.path.realpath(root)) for path in library_paths for root in allowed]
    found = (
        path if is_below(path, root) else root
        for path, root in pairs
        if is_below(path, root) or is_below(root, path)
    )
    return tuple(dict.fromkeys(found))


def _prefix_length(pair: tuple[str, str]) -> int:
    return len(pair[0])


def _prefix(folder: object) -> str:
    if not isinstance(folder, str) or not folder.startswith("/"):
        raise BadRequest(f"path_map: {shown(str(folder))} is not an absolute path.")
    normal = _normal(folder)
    return "" if normal == "/" else normal


def _normal(folder: str) -> str:
    """Normalise as `os.path.normpath` does, but with one slash in front."""
    return "/" + os.path.normpath(folder).lstrip("/")


def _replaced(path: str, pairs: list[tuple[str, str]]) -> str:
    for prefix, replacement in pairs:
        if is_below(path, prefix):
            return replacement + path[len(prefix) :] or "/"
    return path


def _checked_root(root: object) -> str:
    if not isinstance(root, str) or not root.startswith("/") or "\0" in root:
        raise BadRequest(f"roots: {shown(str(root))} is not an absolute path.")
    normal = _normal(root)
    for path in (normal, os.path.realpath(normal)):
        if _is_system(path):
            raise BadRequest(f"roots: {shown(root)} is a system folder; name the folder of the library.")
    return normal


def _is_system(path: str) -> bool:
    if path == "/" or path in _ALLOWED_ONLY_BELOW or path in _ALLOWED_BELOW:
        return True
    if any(is_below(path, folder) for folder in _ALLOWED_BELOW):
        return False
    return any(is_below(path, folder) for folder in _SYSTEM_FOLDERS)
