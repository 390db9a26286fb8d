"""Fuzzes the parsers, and keeps the smallest inputs that take each branch that was reached.

`python tests/fuzzing.py [--minutes N] [--parser epub]` starts from what was kept before, `--fresh` from the
valid files alone; `--keep` writes `tests/fuzz/seeds` anew. `--replay` only gives back what was kept. What no
parser may do is written into `--finds`, a folder, one case a file.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from fuzz.beginnings import first_cases
from fuzz.branches import Branches, Count, is_of_kind
from fuzz.building import KINDS
from fuzz.cases import keep, kept_cases
from fuzz.fuzzer import Fuzzer
from fuzz.smallest import smallest
from fuzz.targets import draw_covers_in_this_process, try_case

Kinds = Sequence[str]


def main() -> None:
    options = _options()
    kinds = options.kinds or KINDS
    branches = Branches()
    draw_covers_in_this_process()
    if options.replay:
        _replay(kinds, branches, options.json)
        return
    faulthandler.enable()
    options.finds.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        _in_a_child(kind, partial(_fuzz, kind, options, branches), options.finds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of computing, for each parser")
    parser.add_argument("--parser", choices=KINDS, action="append", dest="kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--fresh", action="store_true", help="forget what was kept")
    parser.add_argument("--keep", action="store_true", help="write down what to keep")
    parser.add_argument("--replay", action="store_true", help="try no new inputs")
    parser.add_argument("--json", action="store_true", help="print what --replay reached as JSON")
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"))
    return parser.parse_args()


def _replay(kinds: Kinds, branches: Branches, as_json: bool) -> None:
    with branches.watched():
        for kind in kinds:
            for case in kept_cases(kind):
                try_case(case)
    counts = _of_kinds(kinds, branches.counts())
    if as_json:
        print(json.dumps(counts))
    else:
        _show(counts)


def _fuzz(kind: str, options: argparse.Namespace, branches: Branches) -> None:
    """Fuzz one kind in this process, and say what came of it."""
    fuzzer = Fuzzer(kind, branches, options.finds)
    fuzzer.start([*first_cases(kind), *(() if options.fresh else kept_cases(kind))])
    start = time.process_time()
    fuzzer.run(options.minutes * 60, random.Random(options.seed))
    seconds = time.process_time() - start
    print(f"{kind}: {fuzzer.tried} inputs, {fuzzer.tried / seconds:.0f} a second, {len(fuzzer.found)} finds")
    kept = smallest(fuzzer.pool, fuzzer.arcs_of) if options.keep else fuzzer.pool
    if options.keep:
        keep(kind, [case for case, _ in kept])
    fuzzer.replay(case for case, _ in kept)
    _show(_of_kinds((kind,), branches.counts()))


def _of_kinds(kinds: Kinds, counts: Mapping[str, Count]) -> dict[str, Count]:
    return {name: counts[name] for name in sorted(counts) if any(is_of_kind(name, kind) for kind in kinds)}


def _show(counts: Mapping[str, Count]) -> None:
    for name, count in counts.items():
        percent = 100 * count.reached / count.branches if count.branches else 100
        missing = " ".join(f"{start}->{end}" for start, end in count.missing)
        print(
            f"  {name:22} {count.branches:3} branches {count.reached:3} reached {percent:5.1f} %  {missing}"
        )
    sys.stdout.flush()


def _in_a_child(kind: str, work: Callable[[], None], finds: Path) -> None:
    """Do the work in a process of its own, whose end by a signal is a find too."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    _, status = os.waitpid(child, 0)
    now = finds / f"{kind}.now"
    if os.WIFSIGNALED(status):
        now.rename(finds / f"{kind}-signal-{os.WTERMSIG(status)}.json")
        print(f"FIND {kind}: ended by signal {os.WTERMSIG(status)}", flush=True)
    now.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
