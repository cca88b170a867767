"""Shows results on the terminal, and writes them down."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Size

RESULTS = Path(__file__).parent / "results.json"
LIBRARIES = ("aiosqlite", "asyncpg", "langchain-community", "langchain-openai", "redis", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one benchmark."""

    name: str
    seconds: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    shown: Sequence[str] = ()
    failure: str = ""
    """Why there are no numbers."""


def show(results: Sequence[Result]) -> None:
    """A table of what each benchmark wants to be seen."""
    table = Table("benchmark", "what", title="Threadfly, measured", title_justify="left")
    table.add_column("value", justify="right")
    for result in results:
        table.add_section()
        if result.failure:
            table.add_row(result.name, f"[red]failed: {result.failure}", "")
        for row, key in enumerate(_seen(result)):
            table.add_row(result.name if row == 0 else "", key, _written(result.numbers[key]))
    Console().print(table)


def _seen(result: Result) -> list[str]:
    """The keys that are shown, in the order of the patterns."""
    return list(
        dict.fromkeys(key for pattern in result.shown for key in result.numbers if fnmatch(key, pattern))
    )


def _written(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def write(results: Sequence[Result], size: Size) -> None:
    """All numbers, and what they were measured on, into `results.json`."""
    told: dict[str, Any] = {
        "size": size,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "results": {result.name: dict(result.numbers) for result in results if not result.failure},
        "failed": {result.name: result.failure for result in results if result.failure},
        "seconds": {result.name: round(result.seconds, 1) for result in results},
    }
    RESULTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What numbers depend on: processor, memory, system, Python, libraries, and who else was at work."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
