"""make bench: how soon orders are paid and claimed, beside a bot that does one thing at a time.

    python -m tests.bench                 # everything, two hours
    BENCH_QUICK=1 python -m tests.bench   # a few orders, 2 minutes
    python -m tests.bench singles --l1 12 # one part, with blocks of 12 s
    python -m tests.bench --resume        # what an earlier call of this commit has not measured
    python -m tests.bench memory --minutes 5

Everything is real: the whole product, Postgres, local chains with interval mining, an L2 with a
block a second. Times are taken on the chains, from the order's L2 block to the L1 block with its
transfer or claim. Seconds are this machine's; ratios and blocks are the result.
"""

import argparse
import sys
import traceback
from pathlib import Path

from tests.bench.figures import Measured, machine, write
from tests.bench.parts import PARTS, QUICK, QUICK_PARTS, Part

_OF_CHAINS = ("blocks", "%")  # units


def main() -> None:
    """Measure part by part, print the table, write JSON and picture.

    Exits with 1 where a floor is missed, or a part could not be measured.
    """
    parser = argparse.ArgumentParser(description="Measure the product beside a serial baseline.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--l1", type=int, nargs="*", metavar="SECONDS", help="block times of L1")
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path(".mmbot/bench"))
    parser.add_argument("--minutes", type=float, help="at a steady rate: 5, and 30 of memory")
    parser.add_argument("--resume", action="store_true", help="leave out what is measured")
    given = parser.parse_args()
    parts = QUICK_PARTS if QUICK else PARTS
    names = given.parts or list(parts)
    if unknown := set(names) - set(parts):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}")
    measured, failed = list[Measured](), list[str]()
    for name in names:
        measure, block_seconds, minutes = parts[name]
        for seconds in given.l1 if given.l1 and len(block_seconds) > 1 else block_seconds:
            label = f"{name}, L1 {seconds} s"
            found = Measured.read(given.out, label) if given.resume else None
            if found is None:
                print(f"-- {label}", file=sys.stderr)
                part = Part(seconds=seconds, minutes=given.minutes or minutes)
                try:
                    found = Measured.of(label, list(measure(part)), part.singles)
                except Exception:
                    traceback.print_exc()
                    failed.append(label)
                    continue
                found.keep(given.out)
            for figure in found.figures:
                print(figure.line(), flush=True)
            measured.append(found)
    write(given.out, measured)
    print(f"{machine()}; all of it is in {given.out}")
    for label in failed:
        print(f"NOT MEASURED: {label}")
    judged = [f for each in measured for f in each.figures if not QUICK or f.unit in _OF_CHAINS]
    sys.exit(bool(failed) or any(figure.missed for figure in judged))


if __name__ == "__main__":
    main()
