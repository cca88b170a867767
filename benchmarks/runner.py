"""Finds the benchmarks, and runs each in a process of its own."""

import importlib
import multiprocessing
import pkgutil
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

import benchmarks
from benchmarks.measuring import Benchmark, Size
from benchmarks.table import Result
from bot import process

FIRST = ("startup", "memory", "window_read", "turn")
"""The rest follows by name."""


def discover() -> dict[str, str]:
    """The benchmarks of this folder by name, each with what keeps it from being imported, or ""."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name == "__main__":
            continue
        try:
            if hasattr(_module(module.name), "measure"):
                found[module.name] = ""
        except Exception as error:  # noqa: BLE001 - shown as a failed benchmark
            found[module.name] = f"{type(error).__name__}: {error}"
    order = {name: place for place, name in enumerate(FIRST)}
    return {name: found[name] for name in sorted(found, key=lambda name: (order.get(name, len(FIRST)), name))}


def _module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


def run(name: str, size: Size) -> Result:
    """Run one in a new process, so that none inherits another's heap, threads or open files."""
    began = time.monotonic()
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as anew:
            shown, numbers = anew.submit(_measure, name, size).result()
    except Exception as error:  # noqa: BLE001 - the others still run
        traceback.print_exception(error)
        return failed(name, f"{type(error).__name__}: {error}", time.monotonic() - began)
    return Result(name, time.monotonic() - began, numbers, shown)


def _measure(name: str, size: Size) -> tuple[tuple[str, ...], dict[str, float]]:
    benchmark = cast(Benchmark, _module(name))
    return benchmark.SHOWN, process.run(benchmark.measure(size))


def failed(name: str, why: str, seconds: float = 0.0) -> Result:
    return Result(name, seconds, failure=why.splitlines()[0])
