"""A reader of files in the same process: for one that is about to be killed, or whose system calls fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import FileReading, ReadRequest
from datasette_shisho_resync.reading import read_file
from datasette_shisho_resync.workers.task import Task

T = TypeVar("T")


class Reader:
    """Does what a `WorkerPool` does, without its processes."""

    def __init__(self) -> None:
        self._extensions = default_extensions()
        self.file_types = frozenset(self._extensions.parsers)

    def read(self, request: ReadRequest) -> FileReading:
        return read_file(request, self._extensions)

    def submit(self, request: ReadRequest) -> Future[FileReading]:
        future: Future[FileReading] = Future()
        future.set_result(self.read(request))
        return future

    def do(self, task: Task[T]) -> T:
        return task.do(self.read)

    def map_unordered(self, requests: Iterable[ReadRequest]) -> Iterator[tuple[ReadRequest, FileReading]]:
        return ((request, self.read(request)) for request in requests)
