"""What streaming costs: CPU of this process while many answers stream to it at once over real sockets.

    python -m benchmarks.stream --streams 64 --tokens 200 --interval 0.02

The server runs in a process of its own. The same answers are read three times, one after the other:
by a bare aiohttp reader, by plain `ChatOpenAI.astream`, and by our models.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from adapters.llm.models import ModelSettings
from adapters.llm.roster import Roster
from benchmarks.measuring import Size
from bot.domain import Delta, Finished, Prompt, PromptMessage, Role

SHOWN = (
    "bare_cpu_s",
    "plain_cpu_s",
    "ours_cpu_s",
    "ours_to_plain",
    "ours_to_bare",
    "bare_first_text_median_ms",
    "ours_first_text_median_ms",
)
MODEL = "bench"
KEY = "bench"
QUESTION = "Joe: tell me everything"
TOKEN = "token "


@dataclass(frozen=True, slots=True)
class Load:
    """What is streamed."""

    streams: int = 64
    tokens: int = 200
    interval_s: float = 0.02
    """Between two tokens of one stream."""

    @property
    def text(self) -> str:
        """What each reader must end up with."""
        return TOKEN * self.tokens


@dataclass(frozen=True, slots=True)
class Read:
    """What one answer was like for its reader."""

    text: str
    first_s: float
    """From the request to the first text."""


Reader = Callable[[], Awaitable[Read]]


async def measure(size: Size) -> dict[str, float]:
    """As much as the module's own defaults, or only a little."""
    return await main() if size is not Size.QUICK else await main(streams=8, tokens=40)


async def main(streams: int = 64, tokens: int = 200, interval_s: float = 0.02) -> dict[str, float]:
    """Measure; keys end in their unit."""
    load = Load(streams, tokens, interval_s)
    async with _server(load) as url:
        bare = await _measure(load, _bare_reader, url)
        plain = await _measure(load, _plain_reader, url)
        ours = await _measure(load, _our_reader, url)
    return {
        "streams": streams,
        "tokens": tokens,
        "interval_ms": interval_s * 1000,
        **{f"bare_{name}": value for name, value in bare.items()},
        **{f"plain_{name}": value for name, value in plain.items()},
        **{f"ours_{name}": value for name, value in ours.items()},
        "ours_to_plain": ours["cpu_s"] / plain["cpu_s"],
        "ours_to_bare": ours["cpu_s"] / bare["cpu_s"],
    }


async def _measure(
    load: Load, opened: Callable[[str], AbstractAsyncContextManager[Reader]], url: str
) -> dict[str, float]:
    async with opened(url) as read:
        await read()  # connections, caches and lazy imports are not what is measured
        began, cpu = time.monotonic(), time.process_time()
        answers = await asyncio.gather(*(read() for _ in range(load.streams)))
        cpu_s, wall_s = time.process_time() - cpu, time.monotonic() - began
    assert all(answer.text == load.text for answer in answers)
    firsts = sorted(answer.first_s for answer in answers)
    return {"cpu_s": cpu_s, "wall_s": wall_s, "first_text_median_ms": firsts[len(firsts) // 2] * 1000}


@asynccontextmanager
async def _bare_reader(url: str) -> AsyncIterator[Reader]:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def read() -> Read:
            began, first_s, texts = time.monotonic(), 0.0, []
            async with session.post(f"{url}/chat/completions", json=body, headers=headers) as response:
                async for line in response.content:
                    if not line.startswith(b"data: {"):
                        continue
                    delta = json.loads(line[6:])["choices"][0]["delta"]
                    if text := delta.get("content"):
                        first_s = first_s or time.monotonic() - began
                        texts.append(text)
            return Read("".join(texts), first_s)

        yield read


@asynccontextmanager
async def _plain_reader(url: str) -> AsyncIterator[Reader]:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, stream_usage=True)

    async def read() -> Read:
        began, first_s, texts = time.monotonic(), 0.0, []
        async for chunk in model.astream([("user", QUESTION)]):
            if chunk.text:
                first_s = first_s or time.monotonic() - began
                texts.append(chunk.text)
        return Read("".join(texts), first_s)

    yield read


@asynccontextmanager
async def _our_reader(url: str) -> AsyncIterator[Reader]:
    roster = Roster([ModelSettings(MODEL, base_url=url, api_key=KEY)], MODEL)
    prompt = Prompt((PromptMessage(Role.USER, QUESTION),), shown=1, left_out=0, first=1)

    async def read() -> Read:
        began, first_s, texts = time.monotonic(), 0.0, []
        async for chunk in roster.stream(prompt, MODEL):
            match chunk:
                case Delta(text):
                    first_s = first_s or time.monotonic() - began
                    texts.append(text)
                case Finished():
                    return Read("".join(texts), first_s)
        raise AssertionError("the answer has no end")

    yield read
    await roster.close()


@asynccontextmanager
async def _server(load: Load) -> AsyncIterator[str]:
    """A fake OpenAI server as a process of its own, which streams the load to whoever asks."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.openai", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        origin = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        script = {"deltas": [TOKEN] * load.tokens, "delay_s": load.interval_s}
        async with aiohttp.ClientSession() as session:
            (await session.post(f"{origin}/control/always", json=script)).raise_for_status()
        yield f"{origin}/v1"
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What streaming costs in CPU.")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.02, help="seconds between two tokens")
    given = parser.parse_args()
    for name, value in asyncio.run(main(given.streams, given.tokens, given.interval)).items():
        print(f"{name:28} {value:10.3f}")
