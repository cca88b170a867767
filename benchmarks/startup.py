"""How soon the command answers, and how soon a bot that starts is ready."""

import asyncio
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.measuring import Size, milliseconds

SHOWN = ("help_ms", "first_ready_ms", "ready_ms")
POLL_S = 0.01
PATIENCE_S = 60.0
OURS = ("THREADFLY", "SLACK", "DISCORD", "OPENAI")
"""Variables of these families would start another bot than the one that a newcomer gets."""


async def measure(size: Size) -> dict[str, float]:
    """Medians; the first start makes the archive, the later ones find it."""
    times = size.pick(2, 5, 15)
    helps = [await milliseconds(_help) for _ in range(times)]
    with tempfile.TemporaryDirectory(prefix="threadfly-bench-") as folder:
        first, *later = [await _ready_ms(Path(folder)) for _ in range(times + 1)]
    return {
        "help_ms": statistics.median(helps),
        "first_ready_ms": first,
        "ready_ms": statistics.median(later),
    }


async def _help() -> None:
    process = await _start(Path.cwd(), "--help")
    assert await process.wait() == 0


async def _ready_ms(folder: Path) -> float:
    """From the process's start to the first 200 from `/readyz`."""
    port = _free_port()
    began = time.perf_counter()
    process = await _start(folder, "run", THREADFLY__HTTP__PORT=str(port))
    try:
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as client:
            while not await _is_ready(client, f"http://127.0.0.1:{port}/readyz"):
                assert process.returncode is None, "the bot did not start"
                await asyncio.sleep(POLL_S)
        return (time.perf_counter() - began) * 1000
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _is_ready(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _start(folder: Path, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
    """`threadfly` with its defaults, in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        cwd=folder,
        env={**inherited, "THREADFLY__LOGS__LEVEL": "warning", **settings},
        stdout=asyncio.subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
