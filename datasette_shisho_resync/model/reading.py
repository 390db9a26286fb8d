"""What a worker is asked to read, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .metadata import CoverImage, Layer, Limits, ParsedFile
from .portable import portable


class FileStatus(str, Enum):
    """What a run found at a file's path. Only `MISSING` may ever lead to a removal."""

    OK = "ok"
    MISSING = "missing"  # "no such file"; whether its root is alive is judged elsewhere
    UNAVAILABLE = "unavailable"  # the root is not there, or gives no proof of life
    REFUSED = "refused"  # outside the roots, or not a regular file
    ERROR = "error"  # unreadable, unsupported, too large

    @property
    def is_failed(self) -> bool:
        """Tell whether the file could not be read although nothing says that it is gone."""
        return self not in (FileStatus.OK, FileStatus.MISSING)


@portable
@dataclass(frozen=True, slots=True)
class FileStat:
    size_bytes: int
    mtime_ns: int

    def is_same(self, stored: FileStat) -> bool:
        """Tell whether size and time are those of a stored stat, whose time has microseconds, or only
        seconds when it came from a coarse file system."""
        unit_ns = 1_000 if stored.mtime_ns % 1_000_000_000 else 1_000_000_000
        same_time = self.mtime_ns // unit_ns == stored.mtime_ns // unit_ns
        return same_time and self.size_bytes == stored.size_bytes


@portable
@dataclass(frozen=True, slots=True)
class SidecarReading:
    """A sidecar as found on disk. `parsed` is None when its JSON is not usable (`error` says why), or
    when it `is_known`: nobody edited it since it was last seen, so that it was not parsed again."""

    path: str
    sha256: str
    data: bytes = field(repr=False)
    parsed: ParsedFile | None = None
    error: str | None = None
    is_known: bool = False


@portable
@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a worker shall read. Paths are absolute, as they are here, undecodable bytes as surrogates.

    `path` must lie in one of `roots` after resolving. `parse` False: a supplement, only looked at.
    `image_name` is the base name of the cover image that the database knows, beside the file.
    `known` is the size and time of the last scan: with `cover_if_changed` an unchanged file's cover
    is not extracted while its image is there. `known_sidecars`: the SHA-256 of sidecars seen before.
    """

    path: str
    roots: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    parse: bool = True
    image_name: str | None = None
    sidecar_path: str | None = None
    book_sidecar_path: str | None = None
    known: FileStat | None = None
    cover_if_changed: bool = False
    with_cover: bool = True
    with_sidecars: bool = True
    known_sidecars: frozenset[str] = frozenset()


@portable
@dataclass(frozen=True, slots=True)
class FileReading:
    """What a worker found. `error` is one sentence; `stat` is None unless the file could be opened.

    `image` is the cover image beside the file, `image_name` its base name; `enriched` the layers
    that other plugins added. `cover_mimes`: the media types, among those of the images from inside, of
    which one could be written beside the file.
    """

    path: str
    status: FileStatus
    error: str | None = None
    stat: FileStat | None = None
    parsed: ParsedFile | None = None
    enriched: tuple[Layer, ...] = ()
    image: CoverImage | None = None
    image_name: str | None = None
    sidecar: SidecarReading | None = None
    book_sidecar: SidecarReading | None = None
    cover_mimes: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
