"""Kept worker processes, shared by threads: who reads which file, and what happens when one breaks.

Processes start when they are needed and go when the pool does. A file that takes too long or ends
its process is reported; what else was asked of that process is read by another.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from ..errors import BadRequest, ResyncError
from ..model import FileReading, Limits, ReadRequest
from ..reading import failed
from .child import WorkerSettings
from .extensions import Extensions
from .process import Worker, WorkerError, is_taken_at_once, packed
from .task import Task

T = TypeVar("T")

BATCH_SIZE = 16
_BATCHES_A_WORKER = 2

Batch = tuple[ReadRequest, ...]


@dataclass(slots=True)
class _Crew:
    """The processes of a pool. Apart from the pool, so that they can be ended when it is garbage.

    `executor` may wait for a process to be free, `finishers` see through what the processes do already: were
    these the same threads, those that wait could keep out those that they wait for.
    """

    executor: ThreadPoolExecutor
    finishers: ThreadPoolExecutor
    owner_pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    all: set[Worker] = field(default_factory=set)
    idle: deque[Worker] = field(default_factory=deque)
    is_closed: bool = False

    def close(self) -> None:
        if os.getpid() != self.owner_pid:  # a fork of the owner must not end the owner's workers
            return
        with self.lock:
            self.is_closed = True
            workers = tuple(self.all)
        for worker in workers:
            worker.kill()
        while self.idle:
            self.discard(self.idle.pop())

    def discard(self, worker: Worker) -> None:
        with self.lock:
            self.all.discard(worker)
        worker.close()


class WorkerPool:
    """Reads files and does tasks in `count` worker processes; every method may be called from any thread.

    `low_priority` is for work in the background. `limits.worker_memory_bytes` bounds a process, the
    limits of a request bound its parse.

    Raises BadRequest when a function of `extensions` cannot be found by a worker process.
    """

    def __init__(
        self, count: int, limits: Limits, extensions: Extensions, *, low_priority: bool = False
    ) -> None:
        if count < 1:
            raise BadRequest(f"workers must be 1 or more, not {count}")
        self.file_types = frozenset(extensions.parsers)
        self._count = count
        self._settings = WorkerSettings(extensions.as_references(), limits.worker_memory_bytes, low_priority)
        self._slots = threading.BoundedSemaphore(count)
        self._crew = _Crew(
            ThreadPoolExecutor(count, thread_name_prefix="shisho-reader"),
            ThreadPoolExecutor(count, thread_name_prefix="shisho-finisher"),
        )
        self._finalizer = weakref.finalize(self, self._crew.close)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pids(self) -> frozenset[int]:
        """The processes that run now."""
        with self._crew.lock:
            return frozenset(worker.pid for worker in self._crew.all)

    def read(self, request: ReadRequest) -> FileReading:
        """Read one file; the calling thread waits. Raises ResyncError when the pool is closed."""
        return self._read_some((request,))[0]

    def submit(self, request: ReadRequest) -> Future[FileReading]:
        """Read one file while the caller does something else. Raises ResyncError when the pool is closed."""
        self._check_open()
        return self._crew.executor.submit(self.read, request)

    def begin(self, task: Task[T]) -> Future[T | None]:
        """Begin a task, at once if a process is idle; see it through while the caller does something else.

        What is begun must not be cancelled. The future holds None when the task failed, is too large or no
        process could be started, WorkerError when it took too long or ended the process, ResyncError when the
        pool was closed.

        Raises ResyncError when the pool is closed.
        """
        self._check_open()
        message = packed(task)
        if not is_taken_at_once(message):
            return _not_done()
        if self._slots.acquire(blocking=False):
            worker = self._idle_worker()
            if worker is not None:
                worker.begin(message, task.limits.parse_seconds)
                return self._crew.finishers.submit(self._finish_and_leave, worker, task)
            self._slots.release()
        return self._crew.executor.submit(self._begin_and_finish, task, message)

    def do(self, task: Task[T]) -> T | None:
        """Have a process do a task of whatever size; the calling thread waits.

        Returns None when it was not done, or not to its end: it failed, took too long, ended its process, or
        the pool was closed.
        """
        with suppress(ResyncError, WorkerError, CancelledError):
            self._check_open()
            return self._crew.executor.submit(self._begin_and_finish, task, packed(task)).result()
        return None

    def _begin_and_finish(self, task: Task[T], message: bytes) -> T | None:
        with self._slots:
            try:
                worker = self._hire()
            except WorkerError:
                return None
            worker.begin(message, task.limits.parse_seconds)
            return self._finish(worker, task)

    def _finish_and_leave(self, worker: Worker, task: Task[T]) -> T | None:
        try:
            return self._finish(worker, task)
        finally:
            self._slots.release()

    def _finish(self, worker: Worker, task: Task[T]) -> T | None:
        is_done = False
        try:
            done = worker.finish(task)
            is_done = True
        except WorkerError:
            self._check_open()
            raise
        finally:
            self._release(worker, is_done)
        return done

    def map_unordered(
        self, requests: Iterable[ReadRequest], batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[ReadRequest, FileReading]]:
        """Yield each request with its reading, as they get ready.

        `requests` is consumed in the calling thread, and only a few batches ahead. Large results end
        a batch early. The first batches are small, so that few files are spread over all workers.

        Raises ResyncError when the pool is closed.
        """
        source = iter(requests)
        postponed: deque[ReadRequest] = deque()
        done: SimpleQueue[Future[tuple[Batch, list[FileReading]]]] = SimpleQueue()
        running: set[Future[tuple[Batch, list[FileReading]]]] = set()
        size = 1
        try:
            while True:
                while len(running) < self._count * _BATCHES_A_WORKER:
                    batch = _take(postponed, size) or tuple(islice(source, size))
                    if not batch:
                        break
                    size = min(2 * size, batch_size)
                    running.add(self._submit_batch(batch, done))
                if not running:
                    return
                finished = done.get()
                running.remove(finished)
                self._check_open()  # closing cancels what has not begun
                batch, readings = finished.result()
                postponed.extend(batch[len(readings) :])
                yield from zip(batch, readings, strict=False)
        finally:
            for future in running:
                future.cancel()

    def close(self) -> None:
        """End all processes, also those at work, whose readers get a ResyncError."""
        self._finalizer()
        self._crew.executor.shutdown(wait=True, cancel_futures=True)
        self._crew.finishers.shutdown(wait=True)

    def _submit_batch(
        self, batch: Batch, done: SimpleQueue[Future[tuple[Batch, list[FileReading]]]]
    ) -> Future[tuple[Batch, list[FileReading]]]:
        self._check_open()
        future = self._crew.executor.submit(lambda: (batch, self._read_some(batch)))
        future.add_done_callback(done.put)
        return future

    def _read_some(self, requests: Sequence[ReadRequest]) -> list[FileReading]:
        """Return the readings of the first one or more requests."""
        with self._slots:
            try:
                worker = self._hire()
            except WorkerError as error:
                return [failed(requests[0], f"could not be read, {error}")]
            can_go_on = False
            try:
                readings, can_go_on = worker.read(requests)
            except WorkerError as error:
                self._check_open()
                readings = [failed(requests[0], f"could not be read, {error}")]
            finally:
                self._release(worker, can_go_on)
            return readings

    def _hire(self) -> Worker:
        self._check_open()
        idle = self._idle_worker()
        if idle is not None:
            return idle
        worker = Worker(self._settings)
        with self._crew.lock:
            self._crew.all.add(worker)
        if self._crew.is_closed:  # closed meanwhile, without a look at this one
            self._crew.discard(worker)
        self._check_open()
        return worker

    def _idle_worker(self) -> Worker | None:
        with suppress(IndexError):  # there is none, or another thread was quicker
            while True:
                worker = self._crew.idle.pop()
                if worker.is_usable():
                    return worker
                self._crew.discard(worker)
        return None

    def _release(self, worker: Worker, can_go_on: bool) -> None:
        with self._crew.lock:
            is_kept = can_go_on and not self._crew.is_closed
            if is_kept:
                self._crew.idle.append(worker)
        if not is_kept:
            self._crew.discard(worker)

    def _check_open(self) -> None:
        if self._crew.is_closed:
            raise ResyncError("The worker processes were closed.")


def _not_done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


def _take(postponed: deque[ReadRequest], size: int) -> Batch:
    return tuple(postponed.popleft() for _ in range(min(size, len(postponed))))
