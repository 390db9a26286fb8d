"""What runs in the process of a job: one order, then messages about it until it is done.

A process of its own, so that planning never holds up Datasette's event loop. The messages: first a `JobOrder`
from the parent; then `Begun` or `Refused` to it, a `RowDone` for each row that changed, and the end. The
parent says `CANCEL`, or closes its end, which stops the job too. Datasette is never imported here.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from ..errors import ResyncError
from ..model import Outcome
from ..resync import By, Service
from ..settings import Settings
from ..store.schema import open_library
from ..workers import WorkerPool
from ..workers.channel import Channel
from ..workers.extensions import Extensions
from .alone import only_job
from .done import RowDone, row_done
from .foresight import require_little_loss
from .job import Job
from .reading_ahead import ReadingAhead
from .rows import RowsJob, RowsOrder

CANCEL = b"cancel"
_LOOK_SECONDS = 5.0  # how long who ordered the job is kept waiting


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job on rows with all that another process needs for it; `database` is the name that errors show."""

    path: str
    database: str
    settings: Settings
    extensions: Extensions
    rows: RowsOrder
    by: By


@dataclass(frozen=True, slots=True)
class Begun:
    job: int


@dataclass(frozen=True, slots=True)
class Refused:
    error: ResyncError


@dataclass(slots=True)
class Parent:
    """Who ordered the job, at the other end of a channel."""

    channel: Channel
    _wish: str | None = None

    def tell(self, message: Begun | Refused | RowDone) -> None:
        with suppress(OSError):  # who is gone need not know
            self.channel.send(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def wish(self) -> str | None:
        """Return the state that the job shall end in, None while it shall go on."""
        if self._wish is None and not self.channel.is_quiet():
            try:
                self._wish = "cancelled" if self.channel.receive() == CANCEL else "interrupted"
            except (EOFError, OSError):
                self._wish = "interrupted"
        return self._wish


def main() -> None:
    """Do the one order that comes over standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = Parent(Channel(os.dup(0)))
    order: JobOrder = pickle.loads(parent.channel.receive())
    try:
        _work(order, parent)
    except ResyncError as error:
        parent.tell(Refused(error))
    except Exception:  # the shell's one catch-all
        logging.getLogger(__name__).exception("the job on %s failed", order.database)
        parent.tell(Refused(ResyncError("The job could not be done; the server's log says more.")))


def _work(order: JobOrder, parent: Parent) -> None:
    settings = order.settings
    with (
        closing(open_library(order.path)) as conn,
        WorkerPool(settings.workers, settings.limits, order.extensions, low_priority=True) as pool,
    ):
        ahead = ReadingAhead(pool)
        service = Service(conn, order.database, settings, ahead)
        with service.translated(), only_job(service), closing(service):
            service.recover(By("job"))
            require_little_loss(service, order.rows, _LOOK_SECONDS)
            job = Job(service, order.rows.mode, order.by, order.rows.table)
            work = RowsJob(service, ahead, order.rows, job, parent.wish, _teller(parent))
            parent.tell(Begun(work.start()))
            work.run()


def _teller(parent: Parent) -> Callable[[Outcome], None]:
    def tell(outcome: Outcome) -> None:
        done = row_done(outcome)
        if done is not None:
            parent.tell(done)

    return tell
