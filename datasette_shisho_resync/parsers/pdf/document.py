"""Opens a PDF and reads its objects. Every fault of pypdf ends here as an error of ours.

Trees in a PDF are made of references, which a damaged file may point anywhere: whoever walks one
goes through `entry` and `text`, keeps the references seen and counts what it visits.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from pypdf import PasswordType, PdfReader, apply_configuration
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError
from pypdf.generic import (
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    PdfObject,
    TextStringObject,
)

from ...errors import LimitExceeded, MediaError, UnreadableFile
from ...normalize.text import clean

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_REPAIR_BYTES = 64 * 1024**2
_MAX_REASON_BYTES = 200

Reference = tuple[int, int]


@contextmanager
def pdf_faults(name: str) -> Iterator[None]:
    """Keep pypdf silent, and turn whatever it raises into UnreadableFile or LimitExceeded."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        # No other program is started for the sake of a picture.
        with warnings.catch_warnings(), apply_configuration(jbig2dec_binary=None):
            warnings.simplefilter("ignore")
            yield
    except (MediaError, MemoryError):
        raise
    except FileNotDecryptedError as error:
        raise UnreadableFile(name, "it is encrypted and needs a password") from error
    except DependencyError as error:
        raise UnreadableFile(
            name, "it is encrypted, and the package `cryptography` is not installed"
        ) from error
    except LimitReachedError as error:
        raise LimitExceeded(name, _reason(error)) from error
    except Exception as error:  # a damaged object makes pypdf raise nearly anything
        raise UnreadableFile(name, _reason(error)) from error
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    line = clean(" ".join(str(error).split()), _MAX_REASON_BYTES)
    return f"damaged PDF: {line or type(error).__name__}"


def open_pdf(file: BinaryIO, name: str) -> PdfReader:
    """Open a PDF, with the empty password where it is encrypted. To be called within `pdf_faults`."""
    reader = PdfReader(io.BufferedReader(_LargeFile(file, name)))
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise UnreadableFile(name, "it is encrypted and needs a password")
    return reader


class _LargeFile(io.RawIOBase):
    """A view of a file with a position of its own, so that others may read the file as well.

    It refuses to be read into memory whole where that is too much, as pypdf does to repair a file.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._size_bytes = file.seek(0, os.SEEK_END)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise ValueError("a place before the file's start")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        self._file.seek(self._position)
        data = self._file.read(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        size_bytes = self._size_bytes - self._position
        if size_bytes > _MAX_REPAIR_BYTES:
            raise UnreadableFile(self._name, "damaged PDF, too large to be repaired")
        return self.read(max(0, size_bytes)) or b""


def resolved(value: object) -> object:
    """Follow a reference to the object behind it."""
    return value.get_object() if isinstance(value, PdfObject) else value


def entry(dictionary: object, key: str) -> object:
    """Return a dictionary's entry, reference followed; None when there is none, or no dictionary."""
    return resolved(raw_entry(dictionary, key))


def raw_entry(dictionary: object, key: str) -> object:
    return dict.get(dictionary, key) if isinstance(dictionary, DictionaryObject) else None


def text(value: object) -> str:
    """Return a literal string; names, numbers and other objects give an empty one."""
    found = resolved(value)
    if isinstance(found, TextStringObject):
        return str(found)
    if isinstance(found, ByteStringObject):
        return found.decode("latin-1")
    return ""


def reference(value: object) -> Reference | None:
    """Return what identifies the object that a reference points to."""
    return (value.idnum, value.generation) if isinstance(value, IndirectObject) else None


class Visited:
    """The references that a walk has followed. It ends loops, and the walk when it grows too long."""

    def __init__(self, name: str, what: str, maximum: int) -> None:
        self._name = name
        self._what = what
        self._maximum = maximum
        self._count = 0
        self._references: set[Reference] = set()

    def is_new(self, value: object) -> bool:
        """Count an object, and tell whether it was not met before. Raises: LimitExceeded."""
        self._count += 1
        if self._count > self._maximum:
            raise LimitExceeded(self._name, f"more than {self._maximum:,} {self._what}")
        target = reference(value)
        if target in self._references:
            return False
        if target:
            self._references.add(target)
        return True
