"""Runs the benchmarks one after the other: `python -m benchmarks [--quick | --full] [NAME ...]`."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks import table
from benchmarks.measuring import Size
from benchmarks.runner import discover, failed, run


def main() -> int:
    """Measure, show, write down; the exit code is 1 if one failed."""
    found = discover()
    size, names = _asked(sys.argv[1:], list(found))
    results = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results.append(failed(name, found[name]) if found[name] else run(name, size))
    table.show(results)
    table.write(results, size)
    return int(any(result.failure for result in results))


def _asked(arguments: Sequence[str], known: list[str]) -> tuple[Size, list[str]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What Threadfly costs.")
    sizes = parser.add_mutually_exclusive_group()
    for size, meaning in ((Size.QUICK, "under a minute"), (Size.FULL, "the largest sizes, under 45 minutes")):
        sizes.add_argument(
            f"--{size}", dest="size", action="store_const", const=size, default=Size.NORMAL, help=meaning
        )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(known)}")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return given.size, given.names or known


if __name__ == "__main__":
    sys.exit(main())
