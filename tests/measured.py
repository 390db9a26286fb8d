"""A program that reads each file of its arguments in a child process, as a worker does, and prints as JSON
what that cost: seconds of computing and bytes beyond the start, with those of the processes below."""

from __future__ import annotations

import json
import os
import resource
import sys

import lxml.etree  # noqa: F401  what a worker that has read a file of each kind has imported

import datasette_shisho_resync.parsers.pdf.reading  # noqa: F401
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import ReadRequest
from datasette_shisho_resync.reading import read_file
from datasette_shisho_resync.workers.child import bounded_memory


def costs(who: int) -> tuple[float, int]:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main(paths: list[str]) -> None:
    extensions = default_extensions()
    for path in paths:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        seconds_before, bytes_before = costs(resource.RUSAGE_SELF)
        request = ReadRequest(path, (os.path.dirname(path),))
        with bounded_memory(request.limits.parse_memory_bytes):
            reading = read_file(request, extensions)
        seconds, own_bytes = costs(resource.RUSAGE_SELF)
        seconds_below, bytes_below = costs(resource.RUSAGE_CHILDREN)
        told = {
            "name": os.path.basename(path),
            "status": reading.status.value,
            "told": [reading.error, *reading.warnings, *(reading.parsed.warnings if reading.parsed else ())],
            "seconds": seconds - seconds_before + seconds_below,
            "bytes": max(0, own_bytes - bytes_before) + max(0, bytes_below - bytes_before),
        }
        print(json.dumps(told), flush=True)
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
