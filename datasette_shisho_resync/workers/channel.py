"""Messages over a descriptor, both ways: a length, then that many bytes."""

from __future__ import annotations

import os
import select
import struct
import time

_LENGTH = struct.Struct("!Q")
_CHUNK_BYTES = 16 * 1024  # most messages; a larger buffer costs more than the reading
_MAX_CHUNK_BYTES = 1024 * 1024


class Channel:
    """One end of a connection; used by one thread at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._received = bytearray()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def send(self, message: bytes, timeout_seconds: float | None = None) -> None:
        """Raises OSError when the other end is gone; where the descriptor does not block, TimeoutError when
        the message is not taken in time.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        rest = memoryview(_LENGTH.pack(len(message)) + message)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                room = select.poll()
                room.register(self._descriptor, select.POLLOUT)
                _wait(room, deadline)

    def receive(self, timeout_seconds: float | None = None) -> bytes:
        """Return the next message.

        Raises EOFError when the other end is gone, TimeoutError when the message is not complete in time.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._fill(_LENGTH.size, deadline)
        end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
        self._fill(end, deadline)
        message = bytes(memoryview(self._received)[_LENGTH.size : end])
        del self._received[:end]
        return message

    def is_quiet(self) -> bool:
        """Tell whether nothing waits to be received: neither a message nor the end."""
        return not self._received and not self._poll.poll(0)

    def close(self) -> None:
        os.close(self._descriptor)

    def _fill(self, size: int, deadline: float | None) -> None:
        while len(self._received) < size:
            if deadline is not None:
                _wait(self._poll, deadline)
            wanted = min(size - len(self._received), _MAX_CHUNK_BYTES)
            chunk = os.read(self._descriptor, max(wanted, _CHUNK_BYTES))
            if not chunk:
                raise EOFError
            self._received += chunk


def _wait(poll: select.poll, deadline: float | None) -> None:
    remaining_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    if not poll.poll(remaining_ms):
        raise TimeoutError
