"""Reads the files of the rows that come next while one row is written."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..model import FileReading, ReadRequest
from ..resync.gathering import Reader


@dataclass(slots=True)
class ReadingAhead:
    """A reader that may have begun already with what it is asked for."""

    reader: Reader
    _begun: dict[ReadRequest, Future[FileReading]] = field(default_factory=dict)

    def begin(self, requests: Iterable[ReadRequest]) -> None:
        for request in requests:
            if request not in self._begun:
                self._begun[request] = self.reader.submit(request)

    def forget(self, requests: Iterable[ReadRequest]) -> None:
        """Drop what nobody asked for."""
        for request in requests:
            self._begun.pop(request, None)

    def read(self, request: ReadRequest) -> FileReading:
        begun = self._begun.pop(request, None)
        return self.reader.read(request) if begun is None else begun.result()

    def submit(self, request: ReadRequest) -> Future[FileReading]:
        return self._begun.pop(request, None) or self.reader.submit(request)
